//! A guest's file systems on their own, and what an inspector found, in memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    context::{MemoryContext, delegate_context},
    edit::Note,
    files::MemoryFiles,
};
use crate::{
    error::{Error, Result},
    inspector::Trees,
    tree::FileTree as _,
    types::{BlockDevice, Kernel, Metadata, MountPoint, OperatingSystem, Page, Severity, Tree},
};

/// The most that one read of a device gives.
const DEVICE_READ: u32 = 1 << 20;

/// What an inspector recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Findings {
    /// The operating system; none where it found nothing of its kind.
    pub os: Option<OperatingSystem>,
    /// Mounts, in the order of their paths' first record.
    pub mounts: Vec<MountPoint>,
    /// Kernels, in the order of their versions' first record.
    pub kernels: Vec<Kernel>,
    /// What devices hold, as kind, UUID and label by the device's index.
    pub devices: BTreeMap<u32, (String, Option<String>, Option<String>)>,
    /// Other facts.
    pub facts: BTreeMap<String, String>,
    /// Notes.
    pub notes: Vec<Note>,
}

/// The trees of a guest, each in memory.
#[derive(Debug, Default)]
pub struct MemoryTrees {
    /// Every disk and partition.
    pub devices: Vec<BlockDevice>,
    /// The first bytes of devices, by index; all else reads as nothing.
    pub device_content: BTreeMap<u32, Vec<u8>>,
    /// What was recorded.
    pub findings: Findings,
    context: MemoryContext,
    trees: Vec<(Tree, MemoryFiles)>,
}

impl MemoryTrees {
    /// Without devices and trees.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the plugin's settings.
    pub fn set_settings(&mut self, settings: Value) {
        self.context.settings = settings;
    }

    /// Adds a tree that stands on the device with this index, and gives its number.
    pub fn add_tree(&mut self, device: u32, kind: &str, files: MemoryFiles) -> u32 {
        let index = u32::try_from(self.trees.len()).unwrap_or(u32::MAX);
        let tree = Tree {
            index,
            device,
            kind: kind.into(),
        };
        self.trees.push((tree, files));
        index
    }

    fn files(&self, tree: u32) -> Result<&MemoryFiles> {
        let found = self.trees.iter().find(|(known, _)| known.index == tree);
        found
            .map(|(_, files)| files)
            .ok_or_else(|| Error::not_found(format!("there is no tree {tree}")))
    }
}

/// A later record of the same thing replaces an earlier one.
fn replace<T>(records: &mut Vec<T>, new: T, same: impl Fn(&T) -> bool) {
    match records.iter_mut().find(|record| same(record)) {
        Some(record) => *record = new,
        None => records.push(new),
    }
}

delegate_context!(MemoryTrees);

impl Trees for MemoryTrees {
    fn devices(&self) -> Vec<BlockDevice> {
        self.devices.clone()
    }
    fn read_device(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>> {
        if !self.devices.iter().any(|known| known.index == device) {
            return Err(Error::not_found(format!("there is no device {device}")));
        }
        if length > DEVICE_READ {
            return Err(Error::limit("one read of a device gives at most 1 MiB"));
        }
        let content = self
            .device_content
            .get(&device)
            .map_or(&[][..], Vec::as_slice);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.get(start..).unwrap_or_default();
        Ok(rest.iter().take(length as usize).copied().collect())
    }
    fn trees(&self) -> Vec<Tree> {
        self.trees.iter().map(|(tree, _)| tree.clone()).collect()
    }
    fn stat(&self, tree: u32, path: &str, follow: bool) -> Result<Metadata> {
        self.files(tree)?.stat(path, follow)
    }
    fn list_directory(&self, tree: u32, path: &str, cursor: &str, limit: u32) -> Result<Page> {
        self.files(tree)?.list_directory(path, cursor, limit)
    }
    fn read_at(&self, tree: u32, path: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
        self.files(tree)?.read_at(path, offset, length)
    }
    fn read_link(&self, tree: u32, path: &str) -> Result<String> {
        self.files(tree)?.read_link(path)
    }

    fn set_operating_system(&mut self, os: &OperatingSystem) -> Result<()> {
        self.findings.os = Some(os.clone());
        Ok(())
    }
    fn add_mount(&mut self, mount: &MountPoint) -> Result<()> {
        let mounts = &mut self.findings.mounts;
        replace(mounts, mount.clone(), |known| known.path == mount.path);
        Ok(())
    }
    fn add_kernel(&mut self, kernel: &Kernel) -> Result<()> {
        let kernels = &mut self.findings.kernels;
        replace(kernels, kernel.clone(), |known| {
            known.version == kernel.version
        });
        Ok(())
    }
    fn identify_device(
        &mut self,
        device: u32,
        kind: &str,
        uuid: Option<&str>,
        label: Option<&str>,
    ) -> Result<()> {
        let identity = (
            kind.to_string(),
            uuid.map(str::to_string),
            label.map(str::to_string),
        );
        self.findings.devices.insert(device, identity);
        Ok(())
    }
    fn set_fact(&mut self, key: &str, value: &str) -> Result<()> {
        self.findings.facts.insert(key.into(), value.into());
        Ok(())
    }
    fn note(&mut self, severity: Severity, message: &str) -> Result<()> {
        self.findings.notes.push(Note {
            severity,
            message: message.into(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_reads_like_any_other_and_later_records_replace() {
        let mut memory = MemoryTrees::new();
        memory.devices.push(BlockDevice::default());
        memory.device_content.insert(0, b"0123".to_vec());
        let mut files = MemoryFiles::new();
        files.add_file("/etc/os-release", b"ID=debian\n");
        memory.add_tree(0, "ext4", files);

        let guest: &mut dyn Trees = &mut memory;
        let text = guest.tree(0).read_to_string("/etc/os-release", 100);
        assert_eq!(text.unwrap(), "ID=debian\n");
        assert!(guest.tree(1).read("/x", 1).is_err());
        assert_eq!(guest.read_device(0, 2, 10).unwrap(), b"23");
        assert_eq!(guest.read_device(0, 9, 10).unwrap(), b"");
        assert!(guest.read_device(7, 0, 1).is_err());
        for device in [3, 4] {
            let mount = MountPoint {
                path: "/".into(),
                device,
                options: String::new(),
            };
            guest.add_mount(&mount).unwrap();
        }
        assert_eq!(memory.findings.mounts.len(), 1);
        assert_eq!(memory.findings.mounts[0].device, 4);
    }
}
