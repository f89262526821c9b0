//! WASI 0.2, linked because every language's standard library imports it, and inert: no
//! environment, no arguments, no folders, no sockets, nothing to read, output discarded.
//!
//! For the pure kinds the clocks stand still at the plan's time and random bytes follow
//! from the plugin's digest and that time, so that the same input gives the same edits. A
//! step has outside effects anyway: its clocks run and its random bytes are the host's.

use crate::random::SeededRandom;
use cofferdam_contract::types::Timestamp;
use std::time::Duration;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

/// The most random bytes that one call gives.
const MAX_RANDOM: u64 = 64 << 10;

/// A clock that stands still.
#[derive(Clone, Copy)]
struct StoppedClock(Duration);

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for StoppedClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The context of one instance of a plugin of a kind that is not pure.
pub(crate) fn inert() -> WasiCtx {
    closed(&mut WasiCtxBuilder::new())
}

/// Without a way out.
fn closed(builder: &mut WasiCtxBuilder) -> WasiCtx {
    builder
        .max_random_size(MAX_RANDOM)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// The context of one instance of the plugin with `digest`, at `now`.
pub(crate) fn repeatable(digest: &str, now: Timestamp) -> WasiCtx {
    // WASI's clock cannot say times before 1970.
    let seconds = u64::try_from(now.seconds).unwrap_or(0);
    let clock = StoppedClock(Duration::new(seconds, now.nanoseconds.min(999_999_999)));
    let time = [
        now.seconds.to_le_bytes().as_slice(),
        now.nanoseconds.to_le_bytes().as_slice(),
    ]
    .concat();
    let random = |purpose: &[u8]| SeededRandom::new(&[purpose, digest.as_bytes(), &time]);
    closed(
        WasiCtxBuilder::new()
            .wall_clock(clock)
            .monotonic_clock(clock)
            .secure_random(random(b"secure"))
            .insecure_random(random(b"insecure"))
            .insecure_random_seed(random(b"seed").next_u128()),
    )
}
