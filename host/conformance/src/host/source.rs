//! The folder of a disk source, and the machine it records.

use super::unreadable;
use crate::convert;
use async_trait::async_trait;
use cofferdam_contract::services::{Machine, SourceFolder};
use cofferdam_contract::types::{Error, Nic, Severity, SourceFile};
use cofferdam_sdk::source::{self, Machine as _, SourceFolder as _};
use cofferdam_sdk::testing::{DirectoryFolder, MemoryMachine};
use std::sync::{Mutex, PoisonError};

/// A folder, of which no file can be read where `readable` is not set.
pub(crate) struct Folder {
    pub(crate) folder: DirectoryFolder,
    pub(crate) readable: bool,
}

fn file(of: source::SourceFile) -> SourceFile {
    SourceFile {
        name: of.name,
        size: of.size,
    }
}

#[async_trait]
impl SourceFolder for Folder {
    async fn list(&self) -> Result<Vec<SourceFile>, Error> {
        let files = self.folder.list().map_err(convert::error)?;
        Ok(files.into_iter().map(file).collect())
    }
    async fn stat(&self, name: &str) -> Result<SourceFile, Error> {
        self.folder.stat(name).map(file).map_err(convert::error)
    }
    async fn read_at(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        if !self.readable {
            return Err(unreadable());
        }
        let read = self.folder.read_at(name, offset, length);
        read.map_err(convert::error)
    }
}

/// The machine that is recorded.
pub(crate) struct Recorded(pub(crate) Mutex<MemoryMachine>);

impl Recorded {
    fn with(
        &self,
        work: impl FnOnce(&mut MemoryMachine) -> cofferdam_sdk::Result<()>,
    ) -> Result<(), Error> {
        let mut machine = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut machine).map_err(convert::error)
    }
}

impl Machine for Recorded {
    fn add_disk(&self, name: &str, format: &str) -> Result<(), Error> {
        self.with(|machine| machine.add_disk(name, format))
    }
    fn set_name(&self, name: &str) -> Result<(), Error> {
        self.with(|machine| machine.set_name(name))
    }
    fn set_firmware(&self, firmware: &str) -> Result<(), Error> {
        self.with(|machine| machine.set_firmware(firmware))
    }
    fn set_memory(&self, mebibytes: u32) -> Result<(), Error> {
        self.with(|machine| machine.set_memory(mebibytes))
    }
    fn add_nic(&self, nic: Nic) -> Result<(), Error> {
        self.with(|machine| machine.add_nic(&nic.mac, nic.model.as_deref()))
    }
    fn note(&self, severity: Severity, message: &str) -> Result<(), Error> {
        self.with(|machine| machine.note(convert::severity_back(severity), message))
    }
}
