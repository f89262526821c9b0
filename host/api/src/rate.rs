//! How often one client may ask.
//!
//! Two independent rates (generic cell rate algorithm, `governor`): of an address, known
//! token or not, and of a token. Wrong tokens are counted by the orchestrator's identity,
//! which alone can tell them from verified ones. The host's own command line, over the
//! Unix socket or in process, has no address and is not limited.

use crate::options::{ApiOptions, Rate};
use crate::problem::{Code, Problem};
use axum::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// After how many questions entries that count as fresh are thrown away.
const SWEEP_EVERY: u32 = 1024;

/// The rates of all clients.
pub struct RateLimits {
    addresses: Keyed<IpAddr>,
    tokens: Keyed<String>,
}

impl RateLimits {
    /// No client known yet.
    pub fn new(options: &ApiOptions) -> Self {
        Self {
            addresses: Keyed::new(options.address_rate),
            tokens: Keyed::new(options.token_rate),
        }
    }

    /// Counts one request of `address`.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Problem> {
        let address = network(address);
        self.addresses
            .check(&address)
            .map_err(|wait| too_many("this address sends too many requests", wait))
    }

    /// Counts one request with the token called `id`.
    pub fn check_token(&self, id: &str) -> Result<(), Problem> {
        self.tokens
            .check(&id.to_owned())
            .map_err(|wait| too_many("this token sends too many requests", wait))
    }
}

/// An IPv6 client usually holds a whole /64, so that counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
        address => address,
    }
}

fn too_many(what: &str, wait: Duration) -> Problem {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Problem::with_status(StatusCode::TOO_MANY_REQUESTS, Code::Limit, what)
        .hint("wait as long as Retry-After says")
        .retry_after(seconds.max(1))
}

struct Keyed<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
    asked: AtomicU32,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(rate: Rate) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            asked: AtomicU32::new(0),
        }
    }

    /// How long to wait, where the rate is exceeded.
    fn check(&self, key: &K) -> Result<(), Duration> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter
            .check_key(key)
            .map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> RateLimits {
        RateLimits::new(&ApiOptions {
            token_rate: Rate::new(1, 2),
            address_rate: Rate::new(1, 3),
            ..ApiOptions::default()
        })
    }

    #[test]
    fn a_burst_passes_and_the_next_is_told_when() {
        let limits = limits();
        limits.check_token("a").unwrap();
        limits.check_token("a").unwrap();
        let problem = limits.check_token("a").unwrap_err();
        assert_eq!(problem.status, 429);
        assert!(problem.retry_after.unwrap() >= 1);
        limits.check_token("b").expect("others are not touched");
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let limits = limits();
        for last in 1..=3 {
            let address = format!("2001:db8::{last}").parse().unwrap();
            limits.check_address(address).unwrap();
        }
        limits
            .check_address("2001:db8::9".parse().unwrap())
            .unwrap_err();
        limits
            .check_address("2001:db8:0:1::9".parse().unwrap())
            .unwrap();
    }

    #[test]
    fn an_ipv4_address_is_one_client_however_it_is_written() {
        let limits = limits();
        for _ in 0..3 {
            limits.check_address("192.0.2.7".parse().unwrap()).unwrap();
        }
        limits
            .check_address("::ffff:192.0.2.7".parse().unwrap())
            .unwrap_err();
    }
}
