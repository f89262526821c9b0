//! A folder of this machine as a source, and the machine that a disk source recorded.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    context::{MemoryContext, delegate_context},
    edit::Note,
};
use crate::{
    error::{Error, Result},
    source::{Machine, SourceFile, SourceFolder},
    types::Severity,
};

pub use crate::types::Nic;

/// A folder of this machine. Names must be plain and links must stay inside, as with the
/// host.
#[derive(Clone, Debug)]
pub struct DirectoryFolder(PathBuf);

impl DirectoryFolder {
    /// The folder at a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn locate(&self, name: &str) -> Result<PathBuf> {
        let outside = || Error::denied(format!("{name} is outside the source's folder"));
        let plain = |part: &str| !matches!(part, "" | "." | "..");
        if !name.split('/').all(plain) {
            return Err(outside());
        }
        let missing = |error| Error::not_found(format!("{name}: {error}"));
        let root = fs::canonicalize(&self.0).map_err(missing)?;
        let path = fs::canonicalize(root.join(name)).map_err(missing)?;
        if path.starts_with(&root) {
            Ok(path)
        } else {
            Err(outside())
        }
    }
}

fn failed(name: &Path, error: &std::io::Error) -> Error {
    Error::other(format!("{}: {error}", name.display()))
}

impl SourceFolder for DirectoryFolder {
    fn list(&self) -> Result<Vec<SourceFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(|error| failed(&self.0, &error))? {
            let entry = entry.map_err(|error| failed(&self.0, &error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_file()
                && let Ok(file) = self.stat(&name)
            {
                files.push(file);
            }
        }
        files.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(files)
    }

    fn stat(&self, name: &str) -> Result<SourceFile> {
        let path = self.locate(name)?;
        let metadata = fs::metadata(&path).map_err(|error| failed(&path, &error))?;
        if !metadata.is_file() {
            return Err(Error::invalid(format!("{name} is no regular file")));
        }
        Ok(SourceFile {
            name: name.into(),
            size: metadata.len(),
        })
    }

    fn read_at(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
        let path = self.locate(name)?;
        let mut file = File::open(&path).map_err(|error| failed(&path, &error))?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.take(u64::from(length)).read_to_end(&mut bytes))
            .map_err(|error| failed(&path, &error))?;
        Ok(bytes)
    }
}

/// What a disk source recorded.
#[derive(Debug, Default)]
pub struct MemoryMachine {
    /// Disks in order, as file name and format.
    pub disks: Vec<(String, String)>,
    /// The machine's name.
    pub name: Option<String>,
    /// `bios` or `uefi`.
    pub firmware: Option<String>,
    /// Memory in MiB.
    pub memory: Option<u32>,
    /// Network cards in order.
    pub nics: Vec<Nic>,
    /// Notes in order.
    pub notes: Vec<Note>,
    context: MemoryContext,
}

impl MemoryMachine {
    /// Nothing recorded yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the plugin's settings.
    pub fn set_settings(&mut self, settings: Value) {
        self.context.settings = settings;
    }
}

delegate_context!(MemoryMachine);

impl Machine for MemoryMachine {
    fn add_disk(&mut self, name: &str, format: &str) -> Result<()> {
        self.disks.push((name.into(), format.into()));
        Ok(())
    }
    fn set_name(&mut self, name: &str) -> Result<()> {
        self.name = Some(name.into());
        Ok(())
    }
    fn set_firmware(&mut self, firmware: &str) -> Result<()> {
        if !matches!(firmware, "bios" | "uefi") {
            return Err(Error::invalid(format!("{firmware:?} is no firmware")));
        }
        self.firmware = Some(firmware.into());
        Ok(())
    }
    fn set_memory(&mut self, mebibytes: u32) -> Result<()> {
        self.memory = Some(mebibytes);
        Ok(())
    }
    fn add_nic(&mut self, mac: &str, model: Option<&str>) -> Result<()> {
        self.nics.push(Nic {
            mac: mac.into(),
            model: model.map(str::to_string),
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

    #[test]
    fn nothing_outside_the_folder_is_reached() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir_all(inner.join("sub")).unwrap();
        fs::write(outer.path().join("secret"), "x").unwrap();
        fs::write(inner.join("disk.raw"), "0123456789").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("../secret", inner.join("link")).unwrap();
        let folder = DirectoryFolder::new(&inner);

        let names: Vec<String> = folder
            .list()
            .unwrap()
            .into_iter()
            .map(|file| file.name)
            .collect();
        assert_eq!(names, ["disk.raw"]);
        assert_eq!(folder.read("disk.raw", 10).unwrap(), b"0123456789");
        assert_eq!(folder.read_at("disk.raw", 8, 10).unwrap(), b"89");
        assert_eq!(
            folder.read("disk.raw", 9).unwrap_err().code,
            ErrorCode::Limit
        );
        for (name, code) in [
            ("../secret", ErrorCode::Denied),
            ("/etc/passwd", ErrorCode::Denied),
            ("link", ErrorCode::Denied),
            ("nothing", ErrorCode::NotFound),
            ("sub", ErrorCode::Invalid),
        ] {
            assert_eq!(folder.stat(name).unwrap_err().code, code, "{name}");
        }
    }
}
