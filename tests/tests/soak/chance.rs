//! What is random, and how much of it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that one seed decides: SplitMix64
/// (<https://prng.di.unimi.it/splitmix64.c>).
pub struct Chance(u64);

impl Chance {
    /// The numbers of `COFFERDAM_SEED`, else of the clock; `what` tells tests of one seed
    /// apart. Prints how to have them again.
    pub fn new(what: &str) -> Self {
        let seed = match std::env::var("COFFERDAM_SEED") {
            Ok(text) => text.parse().unwrap(),
            Err(_) => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs(),
        };
        println!("{what}: COFFERDAM_SEED={seed}");
        let own = what
            .bytes()
            .fold(seed, |sum, byte| (sum ^ u64::from(byte)).rotate_left(7));
        Self(own)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit.max(1)
    }
}

/// How often something is killed at a random moment.
pub fn kills() -> u32 {
    std::env::var("COFFERDAM_KILLS").map_or(20, |text| text.parse().unwrap())
}
