//! The device as the ext4 crate sees it.
//!
//! The crate flushes four times for every journaled operation. Nothing that is written
//! counts before `commit`, so those flushes are swallowed here and `commit` flushes once.
//! The crate keeps 256 clean blocks of its own, so that no second cache is kept here.

use std::sync::Arc;

use cofferdam_sdk::filesystem::{BlockDevice, Session};
use cofferdam_sdk::{Error, Result};

/// The device that holds the file system; its size and kind are asked for once.
#[derive(Clone)]
pub struct Disk {
    device: Arc<dyn BlockDevice>,
    size: u64,
    read_only: bool,
}

impl Disk {
    /// The first device of the session.
    pub fn new(session: &Session) -> Result<Self> {
        let device = session.device()?;
        let info = device.info()?;
        Ok(Self {
            device,
            size: info.size,
            read_only: info.read_only,
        })
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether writes are refused.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Fills `into` from `offset`.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.device.read_at(offset, into)
    }

    /// Makes everything written as safe as the device can.
    pub fn flush(&self) -> Result<()> {
        self.device.flush()
    }
}

/// A disk as the crate's block device, writable or not as the mount asks.
pub struct Port {
    disk: Disk,
    writable: bool,
}

impl Port {
    /// The disk; `writable` only where the disk takes writes, too.
    pub fn new(disk: &Disk, writable: bool) -> Arc<Self> {
        let writable = writable && !disk.read_only;
        let disk = disk.clone();
        Arc::new(Self { disk, writable })
    }

    /// A pointer to beyond the end is the file system's fault, not the device's.
    fn check(&self, offset: u64, length: usize) -> fs_ext4::Result<()> {
        let end = u64::try_from(length)
            .ok()
            .and_then(|length| offset.checked_add(length));
        if end.is_some_and(|end| end <= self.disk.size) {
            Ok(())
        } else {
            Err(fs_ext4::Error::Corrupt(
                "a structure points beyond the end of the device",
            ))
        }
    }
}

fn io(error: Error) -> fs_ext4::Error {
    fs_ext4::Error::Io(std::io::Error::other(error))
}

impl fs_ext4::block_io::BlockDevice for Port {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> fs_ext4::Result<()> {
        self.check(offset, buffer.len())?;
        self.disk.device.read_at(offset, buffer).map_err(io)
    }

    fn size_bytes(&self) -> u64 {
        self.disk.size
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> fs_ext4::Result<()> {
        if !self.writable {
            return Err(fs_ext4::Error::ReadOnly);
        }
        self.check(offset, bytes.len())?;
        self.disk.device.write_at(offset, bytes).map_err(io)
    }

    fn is_writable(&self) -> bool {
        self.writable
    }
}
