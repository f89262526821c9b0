//! HMAC-SHA256 (RFC 2104) over several parts, as if they were one.
//!
//! The crate of that name would do; it asks a feature of `digest` that nothing else here
//! asks for, and with it everything below the compiler is built again.

use sha2::{Digest, Sha256};

/// SHA-256's block, bytes.
const BLOCK: usize = 64;

/// The tag of a key that is no longer than a block.
pub(super) fn sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = [with; BLOCK];
        for (padded, byte) in block.iter_mut().zip(key) {
            *padded ^= byte;
        }
        block
    };
    let mut inner = Sha256::new_with_prefix(padded(0x36));
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha256::new_with_prefix(padded(0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 1, 2 and 3: their keys are shorter than 32 bytes, and shorter
    /// keys are filled up with zeros.
    #[test]
    fn the_tags_are_those_of_the_rfc() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
        ];
        for (short, data, expected) in cases {
            let mut key = [0; 32];
            key[..short.len()].copy_from_slice(short);
            assert_eq!(hex::encode(sha256(&key, &[data])), expected);
            let (begin, end) = data.split_at(5);
            assert_eq!(hex::encode(sha256(&key, &[begin, b"", end])), expected);
        }
    }
}
