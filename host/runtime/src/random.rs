//! Random bytes that are the same every time: SHA-256 in counter mode over a seed.
//!
//! Chosen over a generator of a library because the bytes may end up in a plan that is
//! rehearsed later, perhaps by a newer host: this sequence cannot change.

use rand_core::TryRng;
use sha2::{Digest, Sha256};
use std::convert::Infallible;

/// A sequence of bytes that its seed decides.
pub(crate) struct SeededRandom {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    taken: usize,
}

impl SeededRandom {
    /// The sequence of `parts`, whose lengths count too.
    pub(crate) fn new(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self {
            seed: hash.finalize().into(),
            counter: 0,
            block: [0; 32],
            taken: 32,
        }
    }

    fn byte(&mut self) -> u8 {
        if self.taken >= self.block.len() {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update(self.counter.to_le_bytes());
            self.block = hash.finalize().into();
            self.counter = self.counter.wrapping_add(1);
            self.taken = 0;
        }
        let byte = self.block.get(self.taken).copied().unwrap_or(0);
        self.taken += 1;
        byte
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// The next 128 bits.
    pub(crate) fn next_u128(&mut self) -> u128 {
        u128::from_le_bytes(self.array())
    }
}

impl TryRng for SeededRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| self.byte());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_the_bytes() {
        let bytes = |parts: &[&[u8]]| -> [u8; 48] { SeededRandom::new(parts).array() };
        assert_eq!(bytes(&[b"a", b"b"]), bytes(&[b"a", b"b"]));
        assert_ne!(bytes(&[b"a", b"b"]), bytes(&[b"ab", b""]));
        let first = bytes(&[b"a"]);
        assert_ne!(first[..16], first[32..], "blocks differ");
    }
}
