//! Block devices over memory and over a file, for file-system plugins.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::context::MemoryContext;
use crate::{
    error::{Error, Result},
    filesystem::{BlockDevice, DeviceInfo, Extent, ExtentKind, Session},
};

/// A session over these devices, with no settings, at the time 0.
pub fn session(devices: Vec<Arc<dyn BlockDevice>>) -> Session {
    Session {
        devices,
        context: Arc::new(MemoryContext::default()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(info: DeviceInfo, offset: u64, length: u64) -> Result<()> {
    match offset.checked_add(length) {
        Some(end) if end <= info.size => Ok(()),
        _ => Err(Error::invalid(format!(
            "{length} bytes from {offset} are beyond the device's end at {}",
            info.size
        ))),
    }
}

fn check_writable(info: DeviceInfo) -> Result<()> {
    if info.read_only {
        return Err(Error::denied("the device is read-only"));
    }
    Ok(())
}

fn all_data(info: DeviceInfo, offset: u64, length: u64) -> Result<Vec<Extent>> {
    check(info, offset, length)?;
    let whole = Extent {
        offset,
        length,
        kind: ExtentKind::Data,
    };
    Ok(if length == 0 { Vec::new() } else { vec![whole] })
}

/// A device in memory.
#[derive(Debug, Default)]
pub struct MemoryDevice {
    bytes: Mutex<Vec<u8>>,
    read_only: bool,
}

impl MemoryDevice {
    /// A device with this content.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes: Mutex::new(bytes),
            read_only: false,
        }
    }

    /// The same, refusing writes.
    pub fn read_only(bytes: Vec<u8>) -> Self {
        Self {
            bytes: Mutex::new(bytes),
            read_only: true,
        }
    }

    /// A copy of its content.
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.bytes).clone()
    }
}

impl BlockDevice for MemoryDevice {
    fn info(&self) -> Result<DeviceInfo> {
        Ok(DeviceInfo {
            size: lock(&self.bytes).len() as u64,
            block_size: 512,
            read_only: self.read_only,
        })
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self.info()?, offset, buffer.len() as u64)?;
        let bytes = lock(&self.bytes);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(range) = bytes.get(start..start.saturating_add(buffer.len())) {
            buffer.copy_from_slice(range);
        }
        Ok(())
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let info = self.info()?;
        check_writable(info)?;
        check(info, offset, bytes.len() as u64)?;
        let mut content = lock(&self.bytes);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(range) = content.get_mut(start..start.saturating_add(bytes.len())) {
            range.copy_from_slice(bytes);
        }
        Ok(())
    }
    fn flush(&self) -> Result<()> {
        Ok(())
    }
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        all_data(self.info()?, offset, length)
    }
}

/// A device over a file of this machine.
#[derive(Debug)]
pub struct FileDevice {
    file: Mutex<File>,
    size: u64,
    read_only: bool,
}

impl FileDevice {
    /// Over an open file; its length now is the device's.
    pub fn new(file: File, read_only: bool) -> std::io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self {
            file: Mutex::new(file),
            size,
            read_only,
        })
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::other(format!("the device's file: {error}"))
}

impl BlockDevice for FileDevice {
    fn info(&self) -> Result<DeviceInfo> {
        Ok(DeviceInfo {
            size: self.size,
            block_size: 512,
            read_only: self.read_only,
        })
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        check(self.info()?, offset, buffer.len() as u64)?;
        let mut file = lock(&self.file);
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.read_exact(buffer))
            .map_err(failed)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let info = self.info()?;
        check_writable(info)?;
        check(info, offset, bytes.len() as u64)?;
        let mut file = lock(&self.file);
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.write_all(bytes))
            .map_err(failed)
    }
    fn flush(&self) -> Result<()> {
        lock(&self.file).sync_data().map_err(failed)
    }
    fn extents(&self, offset: u64, length: u64) -> Result<Vec<Extent>> {
        all_data(self.info()?, offset, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn behaves(device: &dyn BlockDevice) {
        device.write_at(3, b"abc").unwrap();
        device.flush().unwrap();
        let mut buffer = [0; 5];
        device.read_at(2, &mut buffer).unwrap();
        assert_eq!(&buffer, b"\0abc\0");
        let code = |result: Result<()>| result.unwrap_err().code;
        assert_eq!(code(device.read_at(6, &mut buffer)), ErrorCode::Invalid);
        assert_eq!(code(device.write_at(8, b"xyz")), ErrorCode::Invalid);
        assert_eq!(
            code(device.read_at(u64::MAX, &mut buffer)),
            ErrorCode::Invalid
        );
        assert_eq!(device.extents(1, 4).unwrap()[0].length, 4);
        assert!(device.extents(8, 4).is_err());
    }

    #[test]
    fn memory_and_file_behave_alike() {
        behaves(&MemoryDevice::new(vec![0; 10]));
        let file = tempfile::tempfile().unwrap();
        file.set_len(10).unwrap();
        behaves(&FileDevice::new(file, false).unwrap());
    }

    #[test]
    fn a_read_only_device_refuses_writes() {
        let device = MemoryDevice::read_only(vec![0; 10]);
        assert_eq!(
            device.write_at(0, b"x").unwrap_err().code,
            ErrorCode::Denied
        );
        assert_eq!(device.bytes(), [0; 10]);
    }
}
