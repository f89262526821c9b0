//! Checked readers and writers of integers in byte slices.
//!
//! Every number in an image is the attacker's. All parsers read through these functions,
//! which answer `None` outside the slice; this is the one module that takes slices apart
//! by position, and it does so without indexing.

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The byte at `at`.
#[must_use]
pub fn u8(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// Little-endian 16-bit number at byte `at`.
#[must_use]
pub fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// Little-endian 32-bit number at byte `at`.
#[must_use]
pub fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

/// Little-endian 64-bit number at byte `at`.
#[must_use]
pub fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// Big-endian 32-bit number at byte `at`.
#[must_use]
pub fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

/// Big-endian 64-bit number at byte `at`.
#[must_use]
pub fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}

/// `length` bytes from byte `at`.
#[must_use]
pub fn slice(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

/// `length` bytes from byte `at`, to be written.
#[must_use]
pub fn slice_mut(bytes: &mut [u8], at: usize, length: usize) -> Option<&mut [u8]> {
    bytes.get_mut(at..at.checked_add(length)?)
}

/// Writes `value` at byte `at`; false, and nothing written, if it does not fit.
#[must_use]
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> bool {
    match slice_mut(bytes, at, value.len()) {
        Some(place) => {
            place.copy_from_slice(value);
            true
        }
        None => false,
    }
}

/// Whether every byte is zero.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    // Data differs early as a rule; the wide loop only runs over what begins with zeros.
    let (head, tail) = bytes.split_at(bytes.len().min(16));
    head.iter().all(|byte| *byte == 0)
        && tail
            .chunks(256)
            .all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_their_order_and_never_beyond_the_end() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u8(&bytes, 7), Some(8));
        assert_eq!(u8(&bytes, 8), None);
        assert_eq!(le16(&bytes, 6), Some(0x0807));
        assert_eq!(le16(&bytes, 7), None);
        assert_eq!(le32(&bytes, 4), Some(0x0807_0605));
        assert_eq!(be32(&bytes, 4), Some(0x0506_0708));
        assert_eq!(be32(&bytes, 5), None);
        assert_eq!(le64(&bytes, 0), Some(0x0807_0605_0403_0201));
        assert_eq!(be64(&bytes, 0), Some(0x0102_0304_0506_0708));
        assert_eq!(be64(&bytes, usize::MAX), None);
        assert_eq!(slice(&bytes, 2, usize::MAX), None);
        assert_eq!(slice(&bytes, 6, 2), Some(&[7, 8][..]));
    }

    #[test]
    fn put_takes_all_or_nothing() {
        let mut bytes = [0; 4];
        assert!(!put(&mut bytes, 2, &[1, 2, 3]));
        assert_eq!(bytes, [0; 4]);
        assert!(put(&mut bytes, 2, &[1, 2]));
        assert_eq!(bytes, [0, 0, 1, 2]);
    }

    #[test]
    fn a_single_bit_anywhere_is_not_zero() {
        for length in [0, 1, 15, 16, 17, 255, 256, 300, 1000] {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for at in 0..length {
                bytes[at] = 1;
                assert!(!is_zero(&bytes), "{length} {at}");
                bytes[at] = 0;
            }
        }
    }
}
