//! Services with nothing behind them: an empty folder, a device of zeros, no guest.

use async_trait::async_trait;
use cofferdam_contract::services::{
    Context, Devices, Edits, Facts, Findings, Machine, SourceFolder, Trees, View,
};
use cofferdam_contract::types::{
    Attributes, BlockDevice, DeviceInfo, Error, Extent, ExtentKind, Kernel, Level, Metadata,
    MountPoint, Nic, OperatingSystem, Page, Severity, SourceFile, Space, TargetMachine, Timestamp,
    Tree,
};
use std::collections::BTreeMap;

/// Size of the device, bytes: room for what file systems look at when they are asked whether
/// a device is theirs.
const DEVICE: u64 = 1 << 20;
const BLOCK: u32 = 512;

/// Nothing.
pub(super) struct Nothing;

/// What is known of no guest.
pub(super) fn no_facts() -> Facts {
    Facts {
        operating_system: OperatingSystem {
            kind: "linux".to_owned(),
            distribution: String::new(),
            version: String::new(),
            name: "nothing".to_owned(),
            architecture: String::new(),
        },
        devices: Vec::new(),
        mounts: Vec::new(),
        kernels: Vec::new(),
        nics: Vec::new(),
        firmware: "unknown".to_owned(),
        target: TargetMachine {
            disk_bus: "virtio-blk".to_owned(),
            nic_model: "virtio-net".to_owned(),
        },
        other: BTreeMap::new(),
    }
}

fn missing<T>(name: &str) -> Result<T, Error> {
    Err(Error::not_found(format!("there is no {name}")))
}

impl Context for Nothing {
    fn run_id(&self) -> String {
        "self-test".to_owned()
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn now(&self) -> Timestamp {
        Timestamp {
            seconds: 0,
            nanoseconds: 0,
        }
    }
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, plugin: &str, _: Level, message: &str, _: &[(String, String)]) {
        tracing::debug!(plugin, message, "said in its self-test");
    }
}

#[async_trait]
impl SourceFolder for Nothing {
    async fn list(&self) -> Result<Vec<SourceFile>, Error> {
        Ok(Vec::new())
    }
    async fn stat(&self, name: &str) -> Result<SourceFile, Error> {
        missing(name)
    }
    async fn read_at(&self, name: &str, _: u64, _: u32) -> Result<Vec<u8>, Error> {
        missing(name)
    }
}

impl Machine for Nothing {
    fn add_disk(&self, name: &str, _: &str) -> Result<(), Error> {
        missing(name)
    }
    fn set_name(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
    fn set_firmware(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
    fn set_memory(&self, _: u32) -> Result<(), Error> {
        Ok(())
    }
    fn add_nic(&self, _: Nic) -> Result<(), Error> {
        Ok(())
    }
    fn note(&self, _: Severity, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

/// Whether a range lies on the only device.
fn within(device: u32, offset: u64, length: u64) -> Result<(), Error> {
    let end = offset.checked_add(length);
    if device == 0 && end.is_some_and(|end| end <= DEVICE) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "there are not {length} bytes at {offset} of device {device}"
    )))
}

#[async_trait]
impl Devices for Nothing {
    fn count(&self) -> u32 {
        1
    }
    fn info(&self, device: u32) -> Result<DeviceInfo, Error> {
        within(device, 0, 0)?;
        Ok(DeviceInfo {
            size: DEVICE,
            block_size: BLOCK,
            read_only: true,
        })
    }
    async fn read_at(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        within(device, offset, u64::from(length))?;
        Ok(vec![0; usize::try_from(length).unwrap_or_default()])
    }
    async fn write_at(&self, _: u32, _: u64, _: &[u8]) -> Result<(), Error> {
        Err(Error::invalid("the device is read-only"))
    }
    async fn flush(&self, device: u32) -> Result<(), Error> {
        within(device, 0, 0)
    }
    async fn extents(&self, device: u32, offset: u64, length: u64) -> Result<Vec<Extent>, Error> {
        within(device, offset, length)?;
        let whole = Extent {
            offset,
            length,
            kind: ExtentKind::Hole,
        };
        Ok(if length == 0 { Vec::new() } else { vec![whole] })
    }
}

#[async_trait]
impl Trees for Nothing {
    fn devices(&self) -> Vec<BlockDevice> {
        Vec::new()
    }
    fn list(&self) -> Vec<Tree> {
        Vec::new()
    }
    async fn read_device(&self, device: u32, _: u64, _: u32) -> Result<Vec<u8>, Error> {
        missing(&format!("device {device}"))
    }
    async fn stat(&self, _: u32, path: &str, _: bool) -> Result<Metadata, Error> {
        missing(path)
    }
    async fn list_directory(&self, _: u32, path: &str, _: &str, _: u32) -> Result<Page, Error> {
        missing(path)
    }
    async fn read_at(&self, _: u32, path: &str, _: u64, _: u32) -> Result<Vec<u8>, Error> {
        missing(path)
    }
    async fn read_link(&self, _: u32, path: &str) -> Result<String, Error> {
        missing(path)
    }
}

impl Findings for Nothing {
    fn set_operating_system(&self, _: OperatingSystem) -> Result<(), Error> {
        Ok(())
    }
    fn add_mount(&self, _: MountPoint) -> Result<(), Error> {
        Ok(())
    }
    fn add_kernel(&self, _: Kernel) -> Result<(), Error> {
        Ok(())
    }
    fn identify_device(
        &self,
        device: u32,
        _: &str,
        _: Option<String>,
        _: Option<String>,
    ) -> Result<(), Error> {
        missing(&format!("device {device}"))
    }
    fn set_fact(&self, _: &str, _: &str) -> Result<(), Error> {
        Ok(())
    }
    fn note(&self, _: Severity, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl View for Nothing {
    async fn stat(&self, path: &str, _: bool) -> Result<Metadata, Error> {
        missing(path)
    }
    async fn list_directory(&self, path: &str, _: &str, _: u32) -> Result<Page, Error> {
        missing(path)
    }
    async fn read_at(&self, path: &str, _: u64, _: u32) -> Result<Vec<u8>, Error> {
        missing(path)
    }
    async fn read_link(&self, path: &str) -> Result<String, Error> {
        missing(path)
    }
    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, Error> {
        missing(path)
    }
    async fn get_xattr(&self, path: &str, _: &str) -> Result<Vec<u8>, Error> {
        missing(path)
    }
    async fn free_space(&self, path: &str) -> Result<Space, Error> {
        missing(path)
    }
}

#[async_trait]
impl Edits for Nothing {
    async fn write(&self, path: &str, _: Vec<u8>, _: &str) -> Result<(), Error> {
        missing(path)
    }
    async fn create(&self, _: &str, _: Vec<u8>, _: Attributes, _: &str) -> Result<(), Error> {
        Ok(())
    }
    async fn append(&self, path: &str, _: Vec<u8>, _: &str) -> Result<(), Error> {
        missing(path)
    }
    async fn patch(&self, path: &str, _: u64, _: Vec<u8>, _: &str) -> Result<(), Error> {
        missing(path)
    }
    async fn copy(&self, from: &str, _: &str, _: &str) -> Result<(), Error> {
        missing(from)
    }
    async fn make_directory(&self, _: &str, _: Attributes, _: &str) -> Result<(), Error> {
        Ok(())
    }
    async fn rename(&self, from: &str, _: &str, _: &str) -> Result<(), Error> {
        missing(from)
    }
    async fn remove(&self, path: &str, _: &str) -> Result<(), Error> {
        missing(path)
    }
    async fn symlink(&self, _: &str, _: &str, _: Attributes, _: &str) -> Result<(), Error> {
        Ok(())
    }
    async fn link(&self, existing: &str, _: &str, _: &str) -> Result<(), Error> {
        missing(existing)
    }
    async fn set_mode(&self, path: &str, _: u32, _: &str) -> Result<(), Error> {
        missing(path)
    }
    async fn set_owner(&self, path: &str, _: u32, _: u32, _: &str) -> Result<(), Error> {
        missing(path)
    }
    async fn set_xattr(
        &self,
        path: &str,
        _: &str,
        _: Option<Vec<u8>>,
        _: &str,
    ) -> Result<(), Error> {
        missing(path)
    }
    fn note(&self, _: Severity, _: &str) -> Result<(), Error> {
        Ok(())
    }
}
