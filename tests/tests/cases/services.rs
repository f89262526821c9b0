//! The SDK's guest in memory behind the services that a component imports.

use crate::convert;
use async_trait::async_trait;
use cofferdam_contract::services::{Context, Edits, View};
use cofferdam_contract::types::{
    Attributes, Error, Level, Metadata, Page, Severity, Space, Timestamp,
};
use cofferdam_sdk::guest::Guest;
use cofferdam_sdk::testing::MemoryGuest;
use cofferdam_sdk::tree::FileTree;
use std::sync::{Arc, Mutex};

/// A case's run: its time, in seconds since 1970.
pub struct CaseRun(pub i64);

impl Context for CaseRun {
    fn run_id(&self) -> String {
        "case".to_owned()
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn now(&self) -> Timestamp {
        Timestamp {
            seconds: self.0,
            nanoseconds: 0,
        }
    }
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, _: &str, _: Level, _: &str, _: &[(String, String)]) {}
}

/// The guest, which the test looks at afterwards.
pub struct Shared(pub Arc<Mutex<MemoryGuest>>);

impl Shared {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut MemoryGuest) -> cofferdam_sdk::error::Result<T>,
    ) -> Result<T, Error> {
        work(&mut self.0.lock().unwrap()).map_err(convert::error)
    }
}

#[async_trait]
impl View for Shared {
    async fn stat(&self, path: &str, follow: bool) -> Result<Metadata, Error> {
        self.with(|guest| guest.stat(path, follow))
            .map(convert::metadata)
    }
    async fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page, Error> {
        self.with(|guest| guest.list_directory(path, cursor, limit))
            .map(convert::page)
    }
    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        self.with(|guest| guest.read_at(path, offset, length))
    }
    async fn read_link(&self, path: &str) -> Result<String, Error> {
        self.with(|guest| guest.read_link(path))
    }
    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, Error> {
        self.with(|guest| guest.list_xattrs(path))
    }
    async fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>, Error> {
        self.with(|guest| guest.get_xattr(path, name))
    }
    async fn free_space(&self, path: &str) -> Result<Space, Error> {
        self.with(|guest| guest.free_space(path))
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
