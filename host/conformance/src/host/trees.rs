//! A guest's file systems, and what an inspector finds in them.

use super::unreadable;
use crate::convert;
use async_trait::async_trait;
use cofferdam_contract::services::{Findings, Trees};
use cofferdam_contract::types::{
    BlockDevice, Error, Kernel, Metadata, MountPoint, OperatingSystem, Page, Severity, Tree,
};
use cofferdam_sdk::inspector::Trees as _;
use cofferdam_sdk::testing::MemoryTrees;
use std::sync::{Mutex, PoisonError};

/// The trees, of which nothing can be read where `readable` is not set.
pub(crate) struct Shown {
    pub(crate) trees: Mutex<MemoryTrees>,
    pub(crate) readable: bool,
}

impl Shown {
    fn with<T>(
        &self,
        work: impl FnOnce(&mut MemoryTrees) -> cofferdam_sdk::Result<T>,
    ) -> Result<T, Error> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut trees).map_err(convert::error)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&mut MemoryTrees) -> cofferdam_sdk::Result<T>,
    ) -> Result<T, Error> {
        if !self.readable {
            return Err(unreadable());
        }
        self.with(work)
    }
}

#[async_trait]
impl Trees for Shown {
    fn devices(&self) -> Vec<BlockDevice> {
        let devices = self.with(|trees| Ok(trees.devices()));
        let devices = devices.unwrap_or_default().into_iter();
        devices.map(convert::device).collect()
    }
    fn list(&self) -> Vec<Tree> {
        let trees = self.with(|trees| Ok(trees.trees())).unwrap_or_default();
        let trees = trees.into_iter().map(|tree| Tree {
            index: tree.index,
            device: tree.device,
            kind: tree.kind,
        });
        trees.collect()
    }
    async fn read_device(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        self.read(|trees| trees.read_device(device, offset, length))
    }
    async fn stat(&self, tree: u32, path: &str, follow: bool) -> Result<Metadata, Error> {
        self.read(|trees| trees.stat(tree, path, follow))
            .map(convert::metadata)
    }
    async fn list_directory(
        &self,
        tree: u32,
        path: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, Error> {
        self.read(|trees| trees.list_directory(tree, path, cursor, limit))
            .map(convert::page)
    }
    async fn read_at(
        &self,
        tree: u32,
        path: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, Error> {
        self.read(|trees| trees.read_at(tree, path, offset, length))
    }
    async fn read_link(&self, tree: u32, path: &str) -> Result<String, Error> {
        self.read(|trees| trees.read_link(tree, path))
    }
}

impl Findings for Shown {
    fn set_operating_system(&self, os: OperatingSystem) -> Result<(), Error> {
        self.with(|trees| trees.set_operating_system(&convert::system_back(os)))
    }
    fn add_mount(&self, mount: MountPoint) -> Result<(), Error> {
        self.with(|trees| trees.add_mount(&convert::mount_back(mount)))
    }
    fn add_kernel(&self, kernel: Kernel) -> Result<(), Error> {
        self.with(|trees| trees.add_kernel(&convert::kernel_back(kernel)))
    }
    fn identify_device(
        &self,
        device: u32,
        kind: &str,
        uuid: Option<String>,
        label: Option<String>,
    ) -> Result<(), Error> {
        self.with(|trees| trees.identify_device(device, kind, uuid.as_deref(), label.as_deref()))
    }
    fn set_fact(&self, key: &str, value: &str) -> Result<(), Error> {
        self.with(|trees| trees.set_fact(key, value))
    }
    fn note(&self, severity: Severity, message: &str) -> Result<(), Error> {
        self.with(|trees| trees.note(convert::severity_back(severity), message))
    }
}
