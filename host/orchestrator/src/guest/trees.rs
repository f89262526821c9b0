//! The services that an inspector is given: the file systems, each on its own, and the
//! place for what it finds.

use super::model::{CHUNK, Model};
use super::note::{Note, Notes};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::services::{Devices, Findings, Trees};
use cofferdam_contract::types::{
    BlockDevice, Error, ErrorCode, Kernel, Metadata, MountPoint, OperatingSystem, Page, Severity,
    Tree,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use tokio::sync::Mutex;

/// Most bytes of one raw read of a device: what the contract allows.
const MOST_RAW: u32 = 1 << 20;

/// Most mounts, most kernels and most facts of a guest.
const MOST_FINDINGS: usize = 1_000;

/// The file systems for inspectors.
pub struct GuestTrees {
    /// Every disk and partition.
    pub devices: Vec<BlockDevice>,
    /// The same, readable; device numbers are those of `devices`.
    pub raw: Arc<dyn Devices>,
    /// The file systems.
    pub trees: Vec<Tree>,
    /// All file systems behind one model, each with its own root.
    pub model: Mutex<Model>,
}

impl GuestTrees {
    /// The failure of a file system that a plugin's call ran into.
    pub async fn take_fault(&self) -> Option<CallError> {
        self.model.lock().await.take_fault()
    }
}

/// Resolves `path` in a tree and gives the node.
async fn node_at(
    model: &mut Model,
    tree: u32,
    path: &str,
    follow: bool,
) -> Result<super::model::NodeId, Error> {
    let root = model
        .tree_root(tree)
        .ok_or_else(|| Error::not_found(format!("there is no tree number {tree}")))?;
    model.resolve_from(root, path, follow).await?.existing()
}

#[async_trait]
impl Trees for GuestTrees {
    fn devices(&self) -> Vec<BlockDevice> {
        self.devices.clone()
    }

    fn list(&self) -> Vec<Tree> {
        self.trees.clone()
    }

    async fn read_device(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let size = self.raw.info(device)?.size;
        let left = size.saturating_sub(offset);
        let length = length
            .min(MOST_RAW)
            .min(u32::try_from(left).unwrap_or(u32::MAX));
        if length == 0 {
            return Ok(Vec::new());
        }
        self.raw.read_at(device, offset, length).await
    }

    async fn stat(&self, tree: u32, path: &str, follow: bool) -> Result<Metadata, Error> {
        let mut model = self.model.lock().await;
        let id = node_at(&mut model, tree, path, follow).await?;
        Ok(model.node(id)?.metadata)
    }

    async fn list_directory(
        &self,
        tree: u32,
        path: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, Error> {
        let mut model = self.model.lock().await;
        let id = node_at(&mut model, tree, path, true).await?;
        model.page(id, cursor, limit).await
    }

    async fn read_at(
        &self,
        tree: u32,
        path: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, Error> {
        let mut model = self.model.lock().await;
        let id = node_at(&mut model, tree, path, true).await?;
        let content = model.content(id)?;
        model
            .read(&content, offset, u64::from(length.min(CHUNK)))
            .await
    }

    async fn read_link(&self, tree: u32, path: &str) -> Result<String, Error> {
        let mut model = self.model.lock().await;
        let id = node_at(&mut model, tree, path, false).await?;
        model.target(id).await
    }
}

/// What all inspectors found together.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The operating system.
    pub operating_system: Option<OperatingSystem>,
    /// Mounts by path.
    pub mounts: BTreeMap<String, MountPoint>,
    /// Kernels by release.
    pub kernels: BTreeMap<String, Kernel>,
    /// What devices hold that no file system recognised: kind, UUID, label.
    pub devices: BTreeMap<u32, (String, Option<String>, Option<String>)>,
    /// Other facts.
    pub facts: BTreeMap<String, String>,
}

/// [`Findings`] of one inspector, into what all share.
pub struct InspectorFindings {
    inspector: String,
    device_count: u32,
    found: Arc<StdMutex<Found>>,
    notes: Arc<Notes>,
}

impl InspectorFindings {
    /// For the inspector with this id, on a guest with so many devices.
    pub fn new(
        inspector: &str,
        device_count: u32,
        found: Arc<StdMutex<Found>>,
        notes: Arc<Notes>,
    ) -> Self {
        Self {
            inspector: inspector.to_owned(),
            device_count,
            found,
            notes,
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_device(&self, device: u32) -> Result<(), Error> {
        if device < self.device_count {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "there is no device number {device}"
        )))
    }
}

/// Keeps one more finding, where there are not too many of its sort.
fn record<T>(found: &mut BTreeMap<String, T>, key: String, value: T) -> Result<(), Error> {
    if found.len() >= MOST_FINDINGS && !found.contains_key(&key) {
        return Err(Error::new(
            ErrorCode::Limit,
            format!("inspectors record at most {MOST_FINDINGS} findings of a sort"),
        ));
    }
    found.insert(key, value);
    Ok(())
}

fn check_path(path: &str) -> Result<(), Error> {
    let fine = path.starts_with('/') && !path.split('/').any(|name| name == "..");
    if fine {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{path:?} is not an absolute path without `..`"
    )))
}

impl Findings for InspectorFindings {
    fn set_operating_system(&self, os: OperatingSystem) -> Result<(), Error> {
        self.found().operating_system = Some(os);
        Ok(())
    }

    fn add_mount(&self, mount: MountPoint) -> Result<(), Error> {
        self.check_device(mount.device)?;
        check_path(&mount.path)?;
        record(&mut self.found().mounts, mount.path.clone(), mount)
    }

    fn add_kernel(&self, kernel: Kernel) -> Result<(), Error> {
        check_path(&kernel.image)?;
        for path in kernel.initrd.iter().chain(&kernel.modules) {
            check_path(path)?;
        }
        record(&mut self.found().kernels, kernel.version.clone(), kernel)
    }

    fn identify_device(
        &self,
        device: u32,
        kind: &str,
        uuid: Option<String>,
        label: Option<String>,
    ) -> Result<(), Error> {
        self.check_device(device)?;
        self.found()
            .devices
            .insert(device, (kind.to_owned(), uuid, label));
        Ok(())
    }

    fn set_fact(&self, key: &str, value: &str) -> Result<(), Error> {
        record(&mut self.found().facts, key.to_owned(), value.to_owned())
    }

    fn note(&self, severity: Severity, message: &str) -> Result<(), Error> {
        self.notes.add_of_plugin(Note {
            plugin: self.inspector.clone(),
            severity,
            message: message.to_owned(),
        })
    }
}
