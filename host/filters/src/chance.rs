//! Random numbers that a seed decides, the same on every machine and in every version.
//!
//! SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): the
//! n-th number is a function of seed and n, so that calls at the same time need no order.

/// What the generator's state grows by.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The `n`-th number of `seed`.
pub(crate) fn number(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(STEP.wrapping_mul(n.wrapping_add(1)));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `n`-th number of `seed`, from 0 to just below 1.
pub(crate) fn fraction(seed: u64, n: u64) -> f64 {
    // 53 bits are what an f64 holds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "below 2^53 every number is exact"
    )]
    let bits = (number(seed, n) >> 11) as f64;
    bits / 9_007_199_254_740_992.0
}

/// A seed that nobody chose; always the same one where the system has no randomness.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        // Short enough to be typed from a log line.
        Ok(()) => u64::from(u32::from_le_bytes(bytes)),
        Err(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        // The first numbers of seed 1234567, from the reference implementation.
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        for (n, expected) in (0..).zip(expected) {
            assert_eq!(number(1_234_567, n), expected);
        }
    }

    #[test]
    fn fractions_fill_their_range() {
        let all: Vec<f64> = (0..1000).map(|n| fraction(7, n)).collect();
        assert!(all.iter().all(|f| (0.0..1.0).contains(f)));
        assert!(all.iter().any(|f| *f < 0.01) && all.iter().any(|f| *f > 0.99));
    }
}
