//! A guest in memory.

use serde_json::Value;

use super::{
    case::Facts,
    context::{MemoryContext, delegate_context},
    edit::{Content, Edit, Note},
    files::MemoryFiles,
};
use crate::{
    error::{Error, Result},
    guest::Guest,
    path,
    tree::FileTree,
    types::{
        Attributes, BlockDevice, Kernel, Metadata, MountPoint, Nic, OperatingSystem, Page,
        Severity, Space, TargetMachine, Timestamp,
    },
};

/// The most that one edit carries (`wit/guest`, interface `edits`).
const CALL: usize = 16 << 20;

/// A guest whose edits are applied to [`MemoryGuest::files`] as they are recorded.
#[derive(Debug, Default)]
pub struct MemoryGuest {
    /// The guest's files, with the edits so far.
    pub files: MemoryFiles,
    /// What is known beside the files.
    pub facts: Facts,
    context: MemoryContext,
    edits: Vec<Edit>,
    notes: Vec<Note>,
}

impl MemoryGuest {
    /// A guest without files, on a disk that nothing is known of.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the plugin's settings.
    pub fn set_settings(&mut self, settings: Value) {
        self.context.settings = settings;
    }

    /// Sets the plan's time, which all files get too.
    pub fn set_now(&mut self, now: Timestamp) {
        self.context.now = now;
        self.files.time = now;
    }

    /// What was recorded so far.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// What was noted so far.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The log lines so far.
    pub fn log_lines(&self) -> Vec<String> {
        self.context.log_lines()
    }

    /// Forgets edits and notes and keeps the edited files: the guest that a second run
    /// sees.
    pub fn begin_again(&mut self) {
        self.edits.clear();
        self.notes.clear();
    }

    /// The mount that holds a path, which need not exist.
    fn mount_of(&self, path: &str) -> Result<Option<&MountPoint>> {
        let resolved = self.files.resolve(path, false)?;
        let holds = |mount: &&MountPoint| {
            mount.path == "/"
                || resolved == mount.path
                || resolved.starts_with(&path::join(&mount.path, ""))
        };
        let mounts = self.facts.mounts.iter().filter(holds);
        Ok(mounts.max_by_key(|mount| mount.path.len()))
    }

    fn same_file_system(&self, from: &str, to: &str) -> Result<()> {
        if self.mount_of(from)? == self.mount_of(to)? {
            Ok(())
        } else {
            Err(Error::conflict(format!(
                "{from} and {to} are in different file systems"
            )))
        }
    }
}

fn carried(content: &[u8]) -> Result<()> {
    if content.len() > CALL {
        return Err(Error::limit(format!(
            "one edit carries at most {CALL} bytes, not {}",
            content.len()
        )));
    }
    Ok(())
}

delegate_context!(MemoryGuest);

impl FileTree for MemoryGuest {
    fn stat(&self, path: &str, follow: bool) -> Result<Metadata> {
        self.files.stat(path, follow)
    }
    fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page> {
        self.files.list_directory(path, cursor, limit)
    }
    fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
        self.files.read_at(path, offset, length)
    }
    fn read_link(&self, path: &str) -> Result<String> {
        self.files.read_link(path)
    }
}

impl Guest for MemoryGuest {
    fn list_xattrs(&self, path: &str) -> Result<Vec<String>> {
        self.files.list_xattrs(path)
    }
    fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>> {
        self.files.get_xattr(path, name)
    }
    fn free_space(&self, path: &str) -> Result<Space> {
        self.files.stat(path, true)?;
        Ok(self.facts.space)
    }

    fn os(&self) -> OperatingSystem {
        self.facts.os.clone()
    }
    fn devices(&self) -> Vec<BlockDevice> {
        self.facts.devices.clone()
    }
    fn mounts(&self) -> Vec<MountPoint> {
        self.facts.mounts.clone()
    }
    fn kernels(&self) -> Vec<Kernel> {
        self.facts.kernels.clone()
    }
    fn nics(&self) -> Vec<Nic> {
        self.facts.nics.clone()
    }
    fn firmware(&self) -> String {
        self.facts.firmware.clone()
    }
    fn target(&self) -> TargetMachine {
        self.facts.target.clone()
    }
    fn fact(&self, key: &str) -> Option<String> {
        self.facts.other.get(key).cloned()
    }

    fn write(&mut self, path: &str, content: &[u8], reason: &str) -> Result<()> {
        carried(content)?;
        let old = self.files.content(path)?;
        if old == content {
            return Ok(());
        }
        let description = Content::new(old, content);
        self.files.write(path, content)?;
        self.edits.push(Edit::Write {
            path: path.into(),
            reason: reason.into(),
            content: description,
        });
        Ok(())
    }

    fn create(
        &mut self,
        path: &str,
        content: &[u8],
        attributes: &Attributes,
        reason: &str,
    ) -> Result<()> {
        carried(content)?;
        self.files.create(path, content, attributes)?;
        self.edits.push(Edit::Create {
            path: path.into(),
            reason: reason.into(),
            attributes: attributes.clone(),
            content: Content::new(b"", content),
        });
        Ok(())
    }

    fn append(&mut self, path: &str, content: &[u8], reason: &str) -> Result<()> {
        carried(content)?;
        let whole = [self.files.content(path)?, content].concat();
        self.files.write(path, &whole)?;
        self.edits.push(Edit::Append {
            path: path.into(),
            reason: reason.into(),
            content: Content::new(b"", content),
        });
        Ok(())
    }

    fn patch(&mut self, path: &str, offset: u64, content: &[u8], reason: &str) -> Result<()> {
        carried(content)?;
        let mut whole = self.files.content(path)?.to_vec();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(content.len());
        let range = whole.get_mut(start..end).ok_or_else(|| {
            Error::invalid(format!("bytes {start} to {end} are not inside {path}"))
        })?;
        let description = Content::new(range, content);
        range.copy_from_slice(content);
        self.files.write(path, &whole)?;
        self.edits.push(Edit::Patch {
            path: path.into(),
            reason: reason.into(),
            offset,
            content: description,
        });
        Ok(())
    }

    fn copy(&mut self, from: &str, to: &str, reason: &str) -> Result<()> {
        self.files.copy(from, to)?;
        self.edits.push(Edit::Copy {
            from: from.into(),
            path: to.into(),
            reason: reason.into(),
        });
        Ok(())
    }

    fn make_directory(&mut self, path: &str, attributes: &Attributes, reason: &str) -> Result<()> {
        self.files.make_directory(path, attributes)?;
        self.edits.push(Edit::MakeDirectory {
            path: path.into(),
            reason: reason.into(),
            attributes: attributes.clone(),
        });
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str, reason: &str) -> Result<()> {
        self.same_file_system(from, to)?;
        self.files.rename(from, to)?;
        self.edits.push(Edit::Rename {
            from: from.into(),
            path: to.into(),
            reason: reason.into(),
        });
        Ok(())
    }

    fn remove(&mut self, path: &str, reason: &str) -> Result<()> {
        self.files.remove(path)?;
        self.edits.push(Edit::Remove {
            path: path.into(),
            reason: reason.into(),
        });
        Ok(())
    }

    fn symlink(
        &mut self,
        path: &str,
        target: &str,
        attributes: &Attributes,
        reason: &str,
    ) -> Result<()> {
        self.files.symlink(path, target, attributes)?;
        self.edits.push(Edit::Symlink {
            path: path.into(),
            reason: reason.into(),
            target: target.into(),
            attributes: attributes.clone(),
        });
        Ok(())
    }

    fn link(&mut self, existing: &str, path: &str, reason: &str) -> Result<()> {
        self.same_file_system(existing, path)?;
        self.files.link(existing, path)?;
        self.edits.push(Edit::Link {
            existing: existing.into(),
            path: path.into(),
            reason: reason.into(),
        });
        Ok(())
    }

    fn set_mode(&mut self, path: &str, mode: u32, reason: &str) -> Result<()> {
        self.files.set_mode(path, mode)?;
        self.edits.push(Edit::SetMode {
            path: path.into(),
            reason: reason.into(),
            mode,
        });
        Ok(())
    }

    fn set_owner(&mut self, path: &str, owner: u32, group: u32, reason: &str) -> Result<()> {
        self.files.set_owner(path, owner, group)?;
        self.edits.push(Edit::SetOwner {
            path: path.into(),
            reason: reason.into(),
            owner,
            group,
        });
        Ok(())
    }

    fn set_xattr(
        &mut self,
        path: &str,
        name: &str,
        value: Option<&[u8]>,
        reason: &str,
    ) -> Result<()> {
        self.files.set_xattr(path, name, value)?;
        self.edits.push(Edit::SetXattr {
            path: path.into(),
            reason: reason.into(),
            name: name.into(),
            value: value.map(|value| Content::new(b"", value)),
        });
        Ok(())
    }

    fn note(&mut self, severity: Severity, message: &str) -> Result<()> {
        self.notes.push(Note {
            severity,
            message: message.into(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn guest() -> MemoryGuest {
        let mut guest = MemoryGuest::new();
        guest.files.add_file("/etc/fstab", b"abc");
        guest
    }

    #[test]
    fn later_reads_see_an_edit_and_a_second_run_starts_from_it() {
        let mut guest = guest();
        guest.write("/etc/fstab", b"abc", "no change").unwrap();
        assert_eq!(guest.edits(), []);
        guest.append("/etc/fstab", b"d", "more").unwrap();
        guest.patch("/etc/fstab", 1, b"XY", "other").unwrap();
        assert_eq!(guest.read("/etc/fstab", 10).unwrap(), b"aXYd");
        assert_eq!(
            guest.patch("/etc/fstab", 3, b"XY", "").unwrap_err().code,
            ErrorCode::Invalid
        );
        assert_eq!(guest.edits().len(), 2);
        guest.begin_again();
        assert_eq!(guest.edits(), []);
        assert_eq!(guest.files.content("/etc/fstab").unwrap(), b"aXYd");
    }

    #[test]
    fn names_do_not_cross_file_systems() {
        let mut guest = guest();
        guest.files.add_file("/boot/vmlinuz", b"");
        for (path, device) in [("/", 0), ("/boot", 1)] {
            guest.facts.mounts.push(MountPoint {
                path: path.into(),
                device,
                options: String::new(),
            });
        }
        let error = guest.rename("/boot/vmlinuz", "/vmlinuz", "").unwrap_err();
        assert_eq!(error.code, ErrorCode::Conflict);
        let error = guest.link("/etc/fstab", "/boot/fstab", "").unwrap_err();
        assert_eq!(error.code, ErrorCode::Conflict);
        guest.rename("/boot/vmlinuz", "/boot/old", "").unwrap();
        assert_eq!(guest.edits().len(), 1);
    }

    #[test]
    fn a_new_file_looks_like_the_others() {
        let mut guest = guest();
        let attributes = |guest: &mut MemoryGuest| {
            let guest: &mut dyn Guest = guest;
            guest.attributes_like_siblings("/etc").unwrap()
        };
        assert_eq!(attributes(&mut guest), Attributes::root(0o644));

        for name in ["a", "b", "c"] {
            let path = format!("/etc/{name}");
            guest.files.add_file(&path, b"");
            guest.files.set_mode(&path, 0o600).unwrap();
            guest.files.set_owner(&path, 1, 2).unwrap();
            let label = Some(&b"system_u:object_r:etc_t:s0\0"[..]);
            guest
                .files
                .set_xattr(&path, "security.selinux", label)
                .unwrap();
        }
        let expected = Attributes {
            mode: 0o600,
            owner: 1,
            group: 2,
            label: Some("system_u:object_r:etc_t:s0".into()),
        };
        assert_eq!(attributes(&mut guest), expected);

        guest.files.add_directory("/empty");
        guest
            .files
            .set_xattr("/empty", "security.selinux", Some(b"t"))
            .unwrap();
        let guest: &mut dyn Guest = &mut guest;
        let attributes = guest.attributes_like_siblings("/empty").unwrap();
        assert_eq!(attributes.mode, 0o644);
        assert_eq!(attributes.label.as_deref(), Some("t"));
    }

    #[test]
    fn settings_are_the_plugins_type() {
        let mut guest = guest();
        guest.set_settings(serde_json::json!({"mode": "all"}));
        let guest: &mut dyn Guest = &mut guest;
        #[derive(serde::Deserialize)]
        struct Settings {
            mode: String,
        }
        assert_eq!(guest.settings::<Settings>().unwrap().mode, "all");
        let error = guest.settings::<Vec<u8>>().unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
    }
}
