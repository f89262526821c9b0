//! How often an address may come with a wrong token.
//!
//! Checking a token that was not seen before costs one argon2 hash: memory and some ten
//! milliseconds of a core. Whoever sends wrong ones must not be able to make the host do
//! nothing else. Tokens that were verified before are not held up: the wrong tokens of one
//! client behind a shared address do not lock out another.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong tokens that are answered within [`WINDOW`].
const ALLOWED: u32 = 10;
/// How long an address is remembered after its first wrong token.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered at once; beyond it the longest known is forgotten.
const REMEMBERED: usize = 4096;

struct Window {
    since: Instant,
    failures: u32,
}

/// Failures by address; all local callers count as one.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<Option<IpAddr>, Window>>);

impl Failures {
    /// How long the address has to wait; none where it may try.
    pub fn wait(&self, address: Option<IpAddr>, now: Instant) -> Option<Duration> {
        let windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.get(&group(address))?;
        let passed = now.saturating_duration_since(window.since);
        (window.failures >= ALLOWED && passed < WINDOW).then(|| WINDOW.saturating_sub(passed))
    }

    /// One more wrong token from this address.
    pub fn record(&self, address: Option<IpAddr>, now: Instant) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = group(address);
        if !windows.contains_key(&key) && windows.len() >= REMEMBERED {
            windows.retain(|_, window| now.saturating_duration_since(window.since) < WINDOW);
            if windows.len() >= REMEMBERED {
                let oldest = windows
                    .iter()
                    .min_by_key(|(_, window)| window.since)
                    .map(|(address, _)| *address);
                if let Some(oldest) = oldest {
                    windows.remove(&oldest);
                }
            }
        }
        let window = windows.entry(key).or_insert(Window {
            since: now,
            failures: 0,
        });
        if now.saturating_duration_since(window.since) >= WINDOW {
            *window = Window {
                since: now,
                failures: 0,
            };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

/// What counts as one client: an IPv4 address, or the /64 of an IPv6 address, which is what
/// one site is given (RFC 6177).
fn group(address: Option<IpAddr>) -> Option<IpAddr> {
    address.map(|address| match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (!0_u128 << 64)).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn ten_failures_are_answered_and_the_next_must_wait() {
        let failures = Failures::default();
        let start = Instant::now();
        let here = address("192.0.2.1");
        for _ in 0..ALLOWED {
            assert_eq!(failures.wait(here, start), None);
            failures.record(here, start);
        }
        assert_eq!(failures.wait(here, start), Some(WINDOW));
        assert_eq!(failures.wait(address("192.0.2.2"), start), None);
        let later = start + Duration::from_secs(59);
        assert_eq!(failures.wait(here, later), Some(Duration::from_secs(1)));
        assert_eq!(failures.wait(here, start + WINDOW), None);
        failures.record(here, start + WINDOW);
        assert_eq!(failures.wait(here, start + WINDOW), None);
    }

    #[test]
    fn one_site_is_one_client_however_it_writes_its_address() {
        let failures = Failures::default();
        let now = Instant::now();
        for host in 0..ALLOWED {
            failures.record(address(&format!("2001:db8::{host}")), now);
        }
        assert!(failures.wait(address("2001:db8::ffff"), now).is_some());
        assert!(failures.wait(address("2001:db8:0:1::1"), now).is_none());
        for _ in 0..ALLOWED {
            failures.record(address("::ffff:192.0.2.9"), now);
        }
        assert!(failures.wait(address("192.0.2.9"), now).is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let failures = Failures::default();
        let now = Instant::now();
        for host in 0..u32::try_from(REMEMBERED).unwrap() + 100 {
            failures.record(Some(IpAddr::V4(host.into())), now);
        }
        assert!(failures.0.lock().unwrap().len() <= REMEMBERED);
    }
}
