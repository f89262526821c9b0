//! A block device of the kit: zeros, noise, or damage.

use super::unreadable;
use async_trait::async_trait;
use cofferdam_contract::services::Devices;
use cofferdam_contract::types::{DeviceInfo, Error, Extent, ExtentKind};

/// Size of the device, bytes: room for what file systems look at when they are asked whether
/// a device is theirs.
const SIZE: u64 = 1 << 20;
const BLOCK: u32 = 512;

/// What the only device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// Nothing.
    Zeros,
    /// Bytes that mean nothing, the same each time.
    Noise,
    /// No read succeeds.
    Unreadable,
}

/// The byte at an offset: the low byte of a linear congruential generator's output (Knuth,
/// The Art of Computer Programming, volume 2, 3.3.4, MMIX).
fn noise(at: u64) -> u8 {
    let state = at
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    state.to_be_bytes()[0]
}

fn within(device: u32, offset: u64, length: u64) -> Result<(), Error> {
    let end = offset.checked_add(length);
    if device == 0 && end.is_some_and(|end| end <= SIZE) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "there are not {length} bytes at {offset} of device {device}"
    )))
}

#[async_trait]
impl Devices for Device {
    fn count(&self) -> u32 {
        1
    }
    fn info(&self, device: u32) -> Result<DeviceInfo, Error> {
        within(device, 0, 0)?;
        Ok(DeviceInfo {
            size: SIZE,
            block_size: BLOCK,
            read_only: true,
        })
    }
    async fn read_at(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let end = u64::from(length);
        within(device, offset, end)?;
        match self {
            Self::Zeros => Ok(vec![0; length as usize]),
            Self::Noise => Ok((offset..offset + end).map(noise).collect()),
            Self::Unreadable => Err(unreadable()),
        }
    }
    async fn write_at(&self, _: u32, _: u64, _: &[u8]) -> Result<(), Error> {
        Err(Error::new(
            cofferdam_contract::types::ErrorCode::Denied,
            "the device is read-only",
        ))
    }
    async fn flush(&self, device: u32) -> Result<(), Error> {
        within(device, 0, 0)
    }
    async fn extents(&self, device: u32, offset: u64, length: u64) -> Result<Vec<Extent>, Error> {
        within(device, offset, length)?;
        if *self == Self::Unreadable {
            return Err(unreadable());
        }
        let whole = Extent {
            offset,
            length,
            kind: ExtentKind::Data,
        };
        Ok(if length == 0 { Vec::new() } else { vec![whole] })
    }
}
