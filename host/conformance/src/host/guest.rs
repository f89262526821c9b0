//! The SDK's guest in memory behind the services that a component imports.

use super::unreadable;
use crate::convert;
use async_trait::async_trait;
use cofferdam_contract::services::{Edits, View};
use cofferdam_contract::types::{Attributes, Error, Metadata, Page, Severity, Space};
use cofferdam_sdk::guest::Guest;
use cofferdam_sdk::testing::MemoryGuest;
use cofferdam_sdk::tree::FileTree;
use std::sync::{Mutex, PoisonError};

/// The guest, of whose files nothing can be read where `readable` is not set.
pub(crate) struct Shared {
    pub(crate) guest: Mutex<MemoryGuest>,
    pub(crate) readable: bool,
}

impl Shared {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut MemoryGuest) -> cofferdam_sdk::error::Result<T>,
    ) -> Result<T, Error> {
        let mut guest = self.guest.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut guest).map_err(convert::error)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&mut MemoryGuest) -> cofferdam_sdk::error::Result<T>,
    ) -> Result<T, Error> {
        if !self.readable {
            return Err(unreadable());
        }
        self.with(work)
    }
}

#[async_trait]
impl View for Shared {
    async fn stat(&self, path: &str, follow: bool) -> Result<Metadata, Error> {
        self.read(|guest| guest.stat(path, follow))
            .map(convert::metadata)
    }
    async fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page, Error> {
        self.read(|guest| guest.list_directory(path, cursor, limit))
            .map(convert::page)
    }
    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        self.read(|guest| guest.read_at(path, offset, length))
    }
    async fn read_link(&self, path: &str) -> Result<String, Error> {
        self.read(|guest| guest.read_link(path))
    }
    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, Error> {
        self.read(|guest| guest.list_xattrs(path))
    }
    async fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>, Error> {
        self.read(|guest| guest.get_xattr(path, name))
    }
    async fn free_space(&self, path: &str) -> Result<Space, Error> {
        self.read(|guest| guest.free_space(path))
            .map(convert::space)
    }
}

#[async_trait]
impl Edits for Shared {
    async fn write(&self, path: &str, content: Vec<u8>, reason: &str) -> Result<(), Error> {
        self.with(|guest| guest.write(path, &content, reason))
    }
    async fn create(
        &self,
        path: &str,
        content: Vec<u8>,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error> {
        let attributes = convert::attributes_back(attributes);
        self.with(|guest| guest.create(path, &content, &attributes, reason))
    }
    async fn append(&self, path: &str, content: Vec<u8>, reason: &str) -> Result<(), Error> {
        self.with(|guest| guest.append(path, &content, reason))
    }
    async fn patch(
        &self,
        path: &str,
        offset: u64,
        content: Vec<u8>,
        reason: &str,
    ) -> Result<(), Error> {
        self.with(|guest| guest.patch(path, offset, &content, reason))
    }
    async fn copy(&self, from: &str, to: &str, reason: &str) -> Result<(), Error> {
        self.with(|guest| guest.copy(from, to, reason))
    }
    async fn make_directory(
        &self,
        path: &str,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error> {
        let attributes = convert::attributes_back(attributes);
        self.with(|guest| guest.make_directory(path, &attributes, reason))
    }
    async fn rename(&self, from: &str, to: &str, reason: &str) -> Result<(), Error> {
        self.with(|guest| guest.rename(from, to, reason))
    }
    async fn remove(&self, path: &str, reason: &str) -> Result<(), Error> {
        self.with(|guest| guest.remove(path, reason))
    }
    async fn symlink(
        &self,
        path: &str,
        target: &str,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error> {
        let attributes = convert::attributes_back(attributes);
        self.with(|guest| guest.symlink(path, target, &attributes, reason))
    }
    async fn link(&self, existing: &str, path: &str, reason: &str) -> Result<(), Error> {
        self.with(|guest| guest.link(existing, path, reason))
    }
    async fn set_mode(&self, path: &str, mode: u32, reason: &str) -> Result<(), Error> {
        self.with(|guest| guest.set_mode(path, mode, reason))
    }
    async fn set_owner(
        &self,
        path: &str,
        owner: u32,
        group: u32,
        reason: &str,
    ) -> Result<(), Error> {
        self.with(|guest| guest.set_owner(path, owner, group, reason))
    }
    async fn set_xattr(
        &self,
        path: &str,
        name: &str,
        value: Option<Vec<u8>>,
        reason: &str,
    ) -> Result<(), Error> {
        self.with(|guest| guest.set_xattr(path, name, value.as_deref(), reason))
    }
    fn note(&self, severity: Severity, message: &str) -> Result<(), Error> {
        self.with(|guest| guest.note(convert::severity_back(severity), message))
    }
}
