//! Little-endian fields of on-disk structures, with every access checked: a structure
//! shorter than the format says is `corrupt`, never a trap.

use cofferdam_sdk::{Error, Result};

fn short(offset: usize) -> Error {
    Error::corrupt(format!(
        "an ext4 structure ends before its field at byte {offset}"
    ))
}

/// `length` bytes at `offset`.
pub fn slice(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8]> {
    offset
        .checked_add(length)
        .and_then(|end| bytes.get(offset..end))
        .ok_or_else(|| short(offset))
}

/// `length` bytes at `offset`, to be changed.
pub fn slice_mut(bytes: &mut [u8], offset: usize, length: usize) -> Result<&mut [u8]> {
    offset
        .checked_add(length)
        .and_then(|end| bytes.get_mut(offset..end))
        .ok_or_else(|| short(offset))
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N]> {
    slice(bytes, offset, N)?
        .try_into()
        .map_err(|_| short(offset))
}

/// A 16-bit field.
pub fn u16_at(bytes: &[u8], offset: usize) -> Result<u16> {
    Ok(u16::from_le_bytes(array(bytes, offset)?))
}

/// A 32-bit field.
pub fn u32_at(bytes: &[u8], offset: usize) -> Result<u32> {
    Ok(u32::from_le_bytes(array(bytes, offset)?))
}

/// Stores a 16-bit field.
pub fn put_u16(bytes: &mut [u8], offset: usize, value: u16) -> Result<()> {
    slice_mut(bytes, offset, 2)?.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

/// Stores a 32-bit field.
pub fn put_u32(bytes: &mut [u8], offset: usize, value: u32) -> Result<()> {
    slice_mut(bytes, offset, 4)?.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_beyond_the_end_is_an_error() {
        let mut bytes = [1u8, 2, 3, 4];
        assert_eq!(u16_at(&bytes, 2).unwrap(), 0x0403);
        assert_eq!(u32_at(&bytes, 0).unwrap(), 0x0403_0201);
        assert!(u32_at(&bytes, 1).is_err());
        assert!(u16_at(&bytes, usize::MAX).is_err());
        put_u16(&mut bytes, 0, 0xbbaa).unwrap();
        assert_eq!(bytes, [0xaa, 0xbb, 3, 4]);
        assert!(put_u32(&mut bytes, 2, 0).is_err());
    }
}
