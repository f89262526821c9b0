//! Plugins over disks that are test doubles, and what they are given.

use crate::doubles::{Double, returned, unsupported};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{
    Call, DiskSource, FileTree, Filesystem, Inspector, Plugin, SessionSlot,
};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::{Devices, Findings, Machine, SourceFolder, Trees};
use cofferdam_contract::types::{
    Attributes, BlockDevice, Error, Identity, Kernel, Metadata, MountPoint, MountReport,
    OperatingSystem, Page, Severity, Space, Tree,
};
use std::sync::{Arc, Mutex};

/// A disk source, a file system and an inspector that do nothing but answer.
pub struct Plain(pub Double);

impl Plugin for Plain {
    fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }
    fn digest(&self) -> &str {
        &self.0.digest
    }
}

#[async_trait]
impl DiskSource for Plain {
    async fn discover(
        &self,
        _: Call,
        _: Arc<dyn SourceFolder>,
        _: Arc<dyn Machine>,
        name: &str,
    ) -> Result<bool, CallError> {
        Ok(name == "disk")
    }
}

#[async_trait]
impl Filesystem for Plain {
    async fn open(
        &self,
        _: Call,
        _: Arc<dyn Devices>,
        _: SessionSlot,
    ) -> Result<Box<dyn FileTree>, CallError> {
        Ok(Box::new(PlainTree))
    }
}

#[async_trait]
impl Inspector for Plain {
    async fn inspect(
        &self,
        _: Call,
        trees: Arc<dyn Trees>,
        findings: Arc<dyn Findings>,
    ) -> Result<(), CallError> {
        let failed = |error| returned("inspect", error);
        let read = trees.read_at(0, "/etc/os-release", 0, 100).await;
        let text = String::from_utf8(read.map_err(failed)?).unwrap();
        findings.set_fact("os", &text).map_err(failed)
    }
}

struct PlainTree;

fn not_there<T>() -> Result<T, CallError> {
    Err(returned("tree", Error::not_found("secret name")))
}

#[async_trait]
impl FileTree for PlainTree {
    async fn probe(&self) -> Result<Option<Identity>, CallError> {
        Ok(None)
    }
    async fn mount(&self, _: bool) -> Result<MountReport, CallError> {
        not_there()
    }
    async fn stat(&self, _: &str) -> Result<Metadata, CallError> {
        not_there()
    }
    async fn list_directory(&self, _: &str, _: &str, _: u32) -> Result<Page, CallError> {
        not_there()
    }
    async fn read_at(&self, _: &str, _: u64, length: u32) -> Result<Vec<u8>, CallError> {
        Ok(vec![b'x'; length as usize])
    }
    async fn read_link(&self, _: &str) -> Result<String, CallError> {
        not_there()
    }
    async fn list_xattrs(&self, _: &str) -> Result<Vec<String>, CallError> {
        not_there()
    }
    async fn get_xattr(&self, _: &str, _: &str) -> Result<Vec<u8>, CallError> {
        not_there()
    }
    async fn free_space(&self) -> Result<Space, CallError> {
        not_there()
    }
    async fn create(&self, _: &str, _: &Attributes) -> Result<(), CallError> {
        not_there()
    }
    async fn write_at(&self, _: &str, _: u64, _: &[u8]) -> Result<(), CallError> {
        Ok(())
    }
    async fn truncate(&self, _: &str, _: u64) -> Result<(), CallError> {
        not_there()
    }
    async fn rename(&self, _: &str, _: &str) -> Result<(), CallError> {
        not_there()
    }
    async fn link(&self, _: &str, _: &str) -> Result<(), CallError> {
        not_there()
    }
    async fn symlink(&self, _: &str, _: &str, _: &Attributes) -> Result<(), CallError> {
        not_there()
    }
    async fn make_directory(&self, _: &str, _: &Attributes) -> Result<(), CallError> {
        not_there()
    }
    async fn remove(&self, _: &str) -> Result<(), CallError> {
        not_there()
    }
    async fn set_attributes(&self, _: &str, _: u32, _: u32, _: u32) -> Result<(), CallError> {
        not_there()
    }
    async fn set_xattr(&self, _: &str, _: &str, _: Option<&[u8]>) -> Result<(), CallError> {
        not_there()
    }
    async fn commit(&self) -> Result<(), CallError> {
        Ok(())
    }
}

/// Trees with one file, and findings that are kept.
#[derive(Default)]
pub struct Disk {
    pub os_release: String,
    pub facts: Mutex<Vec<(String, String)>>,
}

#[async_trait]
impl Trees for Disk {
    fn devices(&self) -> Vec<BlockDevice> {
        Vec::new()
    }
    fn list(&self) -> Vec<Tree> {
        vec![Tree {
            index: 0,
            device: 0,
            kind: "ext4".to_owned(),
        }]
    }
    async fn read_device(&self, _: u32, _: u64, _: u32) -> Result<Vec<u8>, Error> {
        unsupported()
    }
    async fn stat(&self, _: u32, _: &str, _: bool) -> Result<Metadata, Error> {
        unsupported()
    }
    async fn list_directory(&self, _: u32, _: &str, _: &str, _: u32) -> Result<Page, Error> {
        unsupported()
    }
    async fn read_at(&self, _: u32, _: &str, _: u64, _: u32) -> Result<Vec<u8>, Error> {
        Ok(self.os_release.clone().into_bytes())
    }
    async fn read_link(&self, _: u32, _: &str) -> Result<String, Error> {
        unsupported()
    }
}

impl Findings for Disk {
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
        _: u32,
        _: &str,
        _: Option<String>,
        _: Option<String>,
    ) -> Result<(), Error> {
        Ok(())
    }
    fn set_fact(&self, key: &str, value: &str) -> Result<(), Error> {
        let fact = (key.to_owned(), value.to_owned());
        self.facts.lock().unwrap().push(fact);
        Ok(())
    }
    fn note(&self, _: Severity, _: &str) -> Result<(), Error> {
        Ok(())
    }
}
