//! What a fixer sees and does: the guest's files and facts, and the recorder of edits.

use serde::de::DeserializeOwned;

use crate::{
    context::Context,
    error::{OptionalExt, Result},
    path,
    tree::FileTree,
    types::{
        Attributes, BlockDevice, FileKind, Kernel, MountPoint, Nic, OperatingSystem, Severity,
        Space, TargetMachine,
    },
};

/// The extended attribute of an SELinux label.
const LABEL: &str = "security.selinux";
/// How many files of a folder are looked at for what a new one should look like.
const SIBLINGS: usize = 64;

/// One guest: `view`, `facts` and `edits` of the contract in one.
///
/// As a [`FileTree`] it already shows every edit recorded so far. Nothing is written when
/// an edit is recorded: the host shows the edits, rehearses them and applies them. Every
/// edit has a reason, one sentence for the person who approves. Edits fail with
/// `not-found`, `exists`, `invalid` (the wrong kind of file) or `conflict`.
pub trait Guest: Context + FileTree {
    /// Names of the extended attributes; links are not followed.
    fn list_xattrs(&self, path: &str) -> Result<Vec<String>>;
    /// One extended attribute; links are not followed.
    fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>>;
    /// Room in the file system that holds the path, before any planned edit.
    fn free_space(&self, path: &str) -> Result<Space>;

    /// The operating system.
    fn os(&self) -> OperatingSystem;
    /// Every disk and partition.
    fn devices(&self) -> Vec<BlockDevice>;
    /// Where file systems are mounted.
    fn mounts(&self) -> Vec<MountPoint>;
    /// Installed kernels.
    fn kernels(&self) -> Vec<Kernel>;
    /// Network cards of the source.
    fn nics(&self) -> Vec<Nic>;
    /// `bios`, `uefi`, or `unknown`.
    fn firmware(&self) -> String;
    /// What the guest will run on.
    fn target(&self) -> TargetMachine;
    /// A fact that an inspector recorded.
    fn fact(&self, key: &str) -> Option<String>;

    /// Replaces the content of a regular file, following a link; mode, owner and extended
    /// attributes stay. Content that is there already records nothing.
    fn write(&mut self, path: &str, content: &[u8], reason: &str) -> Result<()>;
    /// A new regular file.
    fn create(
        &mut self,
        path: &str,
        content: &[u8],
        attributes: &Attributes,
        reason: &str,
    ) -> Result<()>;
    /// Adds to the end of a regular file, following a link.
    fn append(&mut self, path: &str, content: &[u8], reason: &str) -> Result<()>;
    /// Overwrites bytes inside a regular file, following a link.
    fn patch(&mut self, path: &str, offset: u64, content: &[u8], reason: &str) -> Result<()>;
    /// A new regular file with content, mode, owner and extended attributes of another.
    fn copy(&mut self, from: &str, to: &str, reason: &str) -> Result<()>;
    /// A new directory.
    fn make_directory(&mut self, path: &str, attributes: &Attributes, reason: &str) -> Result<()>;
    /// A new name for a file, link or directory; a file at the new name is replaced.
    fn rename(&mut self, from: &str, to: &str, reason: &str) -> Result<()>;
    /// Removes a file, a link, or an empty directory.
    fn remove(&mut self, path: &str, reason: &str) -> Result<()>;
    /// A new symbolic link.
    fn symlink(
        &mut self,
        path: &str,
        target: &str,
        attributes: &Attributes,
        reason: &str,
    ) -> Result<()>;
    /// One more name for a regular file.
    fn link(&mut self, existing: &str, path: &str, reason: &str) -> Result<()>;
    /// Permission bits, 0 to 0o7777.
    fn set_mode(&mut self, path: &str, mode: u32, reason: &str) -> Result<()>;
    /// Owner and group.
    fn set_owner(&mut self, path: &str, owner: u32, group: u32, reason: &str) -> Result<()>;
    /// An extended attribute; none removes it.
    fn set_xattr(
        &mut self,
        path: &str,
        name: &str,
        value: Option<&[u8]>,
        reason: &str,
    ) -> Result<()>;
    /// Something the person who approves should know; `Block` stops the plan.
    fn note(&mut self, severity: Severity, message: &str) -> Result<()>;
}

impl dyn Guest + '_ {
    /// The plugin's settings as its own type; see [`crate::context::settings`].
    pub fn settings<T: DeserializeOwned>(&self) -> Result<T> {
        crate::context::settings(self)
    }

    /// The label of a path, without the NUL that some systems store behind it.
    pub fn label(&self, path: &str) -> Result<Option<String>> {
        let value = self.get_xattr(path, LABEL).optional()?;
        Ok(value.map(|bytes| {
            String::from_utf8_lossy(&bytes)
                .trim_end_matches('\0')
                .to_string()
        }))
    }

    /// What a new file in `directory` should get: mode, owner, group and label that most
    /// of its regular files have (the first by name where several are equally frequent).
    /// In a folder without files: root, 0644, and the folder's own label.
    pub fn attributes_like_siblings(&self, directory: &str) -> Result<Attributes> {
        let mut counted: Vec<(Attributes, usize)> = Vec::new();
        let files = self.list(directory)?.into_iter();
        for entry in files
            .filter(|entry| entry.kind == FileKind::Regular)
            .take(SIBLINGS)
        {
            let sibling = path::join(directory, &entry.name);
            let metadata = self.stat(&sibling, false)?;
            let attributes = Attributes {
                mode: metadata.mode,
                owner: metadata.owner,
                group: metadata.group,
                label: self.label(&sibling)?,
            };
            match counted.iter_mut().find(|(seen, _)| *seen == attributes) {
                Some((_, count)) => *count += 1,
                None => counted.push((attributes, 1)),
            }
        }
        // `max_by_key` takes the last of equals, so the order is turned round.
        match counted.into_iter().rev().max_by_key(|(_, count)| *count) {
            Some((attributes, _)) => Ok(attributes),
            None => Ok(Attributes {
                label: self.label(directory)?,
                ..Attributes::root(0o644)
            }),
        }
    }

    /// The device that is mounted at a path.
    pub fn device_mounted_at(&self, path: &str) -> Option<BlockDevice> {
        let index = self.mounts().into_iter().find(|mount| mount.path == path)?;
        let devices = self.devices().into_iter();
        devices
            .into_iter()
            .find(|device| device.index == index.device)
    }
}
