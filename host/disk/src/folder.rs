//! Opening the files of an image, and nothing else.
//!
//! A VMDK descriptor names other files; so does an OVF, and so do plugins that look for
//! an image. Those names are input from strangers. All of them are opened through a
//! [`SourceFolder`], relative to a handle of the folder and with the kernel's own check
//! (`openat2` with `RESOLVE_BENEATH`, Linux 5.6) that no step of the resolution leaves it,
//! so there is no window between checking and opening. Where `openat2` is missing or
//! forbidden, a walk that follows no symbolic link at all takes its place.
//!
//! Files are opened read-only, never block (a FIFO is refused, not waited for), and must
//! be regular files or block devices. Hard links cannot be told apart and are followed.

use crate::DiskError;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The flags of every file that is opened for reading.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// A handle of the folder that holds an image. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SourceFolder {
    handle: Arc<OwnedFd>,
    path: Arc<Path>,
}

/// One entry of a [`SourceFolder`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FolderEntry {
    /// Name in the folder.
    pub name: String,
    /// Whether it is a folder. Everything else listed is a file or a link to one.
    pub folder: bool,
    /// Size in bytes of a file, 0 for a folder.
    pub size: u64,
}

impl SourceFolder {
    /// Opens a folder. The path is the operator's own and may be anything.
    ///
    /// # Errors
    /// [`DiskError::NotFound`], or [`DiskError::Io`] if it is not a folder.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DiskError> {
        let path = path.as_ref();
        let handle = rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| DiskError::io(path, None, error))?;
        Ok(Self {
            handle: Arc::new(handle),
            path: path.into(),
        })
    }

    /// Opens the folder of a file that the operator named, and says what the file is
    /// called in it. A path that is itself a symbolic link is followed first: the operator
    /// may point anywhere, only the image may not.
    ///
    /// # Errors
    /// [`DiskError::NotFound`], or [`DiskError::Io`] if the path cannot be resolved, or
    /// its last part is not UTF-8.
    pub fn of_file(path: impl AsRef<Path>) -> Result<(Self, String), DiskError> {
        let path = path.as_ref();
        let real = std::fs::canonicalize(path).map_err(|error| DiskError::io(path, None, error))?;
        let name = real
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| {
                let why = "its name is not UTF-8, as every name that an image or a plugin may say must be; rename it";
                DiskError::io(path, None, std::io::Error::new(std::io::ErrorKind::InvalidInput, why))
            })?
            .to_owned();
        let folder = Self::open(real.parent().unwrap_or(Path::new("/")))?;
        Ok((folder, name))
    }

    /// The path under which the folder was opened, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file `name`, a path relative to the folder.
    ///
    /// # Errors
    /// [`DiskError::OutsideFolder`] for an absolute name, one with a `..`, and one whose
    /// symbolic links lead out; [`DiskError::NotFound`]; [`DiskError::Unsupported`] if it
    /// is neither a regular file nor a block device.
    pub fn open_file(&self, name: &str) -> Result<SourceFile, DiskError> {
        let components = self.check_name(name)?;
        let handle = match rustix::fs::openat2(
            &self.handle,
            name,
            READ,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        ) {
            Ok(handle) => handle,
            Err(Errno::NOSYS | Errno::PERM) => self.walk(name, &components)?,
            Err(Errno::XDEV) => {
                return Err(outside(
                    name,
                    "a symbolic link in it leads out of the folder",
                ));
            }
            Err(Errno::LOOP) => {
                return Err(outside(name, "its symbolic links do not end at a file"));
            }
            Err(error) => return Err(DiskError::io(self.path.join(name), None, error)),
        };
        SourceFile::new(name, self.path.join(name), File::from(handle))
    }

    /// The files and folders directly in `sub_folder` ("" for the folder itself), by name.
    /// Names that are not UTF-8, and what is neither a file nor a folder, are left out.
    ///
    /// # Errors
    /// As [`SourceFolder::open_file`].
    pub fn list(&self, sub_folder: &str) -> Result<Vec<FolderEntry>, DiskError> {
        let name = if sub_folder.is_empty() {
            "."
        } else {
            sub_folder
        };
        self.check_name(name)?;
        let shown = self.path.join(name);
        let fail = |error: Errno| DiskError::io(&shown, None, error);
        let handle = match rustix::fs::openat2(
            &self.handle,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        ) {
            Err(Errno::XDEV) => {
                return Err(outside(
                    name,
                    "a symbolic link in it leads out of the folder",
                ));
            }
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(
                &self.handle,
                name,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
                Mode::empty(),
            )
            .map_err(fail)?,
            other => other.map_err(fail)?,
        };
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&handle).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Ok(entry_name) = entry.file_name().to_str() else {
                continue;
            };
            if entry_name == "." || entry_name == ".." {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(
                handle.as_fd(),
                entry_name,
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            ) else {
                continue;
            };
            let (folder, size) = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => (true, 0),
                FileType::RegularFile => (false, u64::try_from(stat.st_size).unwrap_or(0)),
                FileType::Symlink => {
                    let full = if sub_folder.is_empty() {
                        entry_name.to_owned()
                    } else {
                        format!("{sub_folder}/{entry_name}")
                    };
                    match self.open_file(&full) {
                        Ok(file) => (false, file.size()),
                        Err(_) => continue,
                    }
                }
                _ => continue,
            };
            entries.push(FolderEntry {
                name: entry_name.to_owned(),
                folder,
                size,
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Refuses names that leave the folder by their own letters, and returns their parts.
    fn check_name<'n>(&self, name: &'n str) -> Result<Vec<&'n str>, DiskError> {
        if name.is_empty() || name.contains('\0') {
            return Err(outside(name, "it is not a file name"));
        }
        let mut parts = Vec::new();
        for component in Path::new(name).components() {
            match component {
                Component::Normal(part) => parts.extend(part.to_str()),
                Component::CurDir => {}
                Component::ParentDir => return Err(outside(name, "it has a `..` part")),
                Component::RootDir | Component::Prefix(_) => {
                    return Err(outside(name, "it is an absolute path"));
                }
            }
        }
        Ok(parts)
    }

    /// Opens `name` part by part without following any symbolic link.
    fn walk(&self, name: &str, parts: &[&str]) -> Result<OwnedFd, DiskError> {
        let Some((last, folders)) = parts.split_last() else {
            return Err(outside(name, "it is not a file name"));
        };
        let open = |at: &OwnedFd, part: &str, flags: OFlags| {
            rustix::fs::openat(at, part, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(|error| {
                match error {
                    Errno::LOOP | Errno::NOTDIR => outside(
                        name,
                        "it has a symbolic link, and this kernel cannot tell where that leads",
                    ),
                    error => DiskError::io(self.path.join(name), None, error),
                }
            })
        };
        let mut at: Option<OwnedFd> = None;
        for part in folders {
            let next = open(
                at.as_ref().unwrap_or(&self.handle),
                part,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            )?;
            at = Some(next);
        }
        open(at.as_ref().unwrap_or(&self.handle), last, READ)
    }
}

fn outside(name: &str, why: &'static str) -> DiskError {
    DiskError::OutsideFolder {
        path: name.to_owned(),
        why,
    }
}

/// A file of an image, open for reading.
#[derive(Debug)]
pub struct SourceFile {
    name: String,
    path: PathBuf,
    file: File,
    size: u64,
    allocated: u64,
}

impl SourceFile {
    fn new(name: &str, path: PathBuf, mut file: File) -> Result<Self, DiskError> {
        let fail = |error: std::io::Error| DiskError::io(&path, None, error);
        let stat = rustix::fs::fstat(&file).map_err(|error| fail(error.into()))?;
        let size = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => u64::try_from(stat.st_size).unwrap_or(0),
            FileType::BlockDevice => file.seek(SeekFrom::End(0)).map_err(fail)?,
            _ => {
                return Err(DiskError::unsupported(
                    path.display().to_string(),
                    "something that is neither a file nor a block device",
                ));
            }
        };
        Ok(Self {
            name: name.to_owned(),
            file,
            size,
            allocated: u64::try_from(stat.st_blocks)
                .unwrap_or(0)
                .saturating_mul(512),
            path,
        })
    }

    /// The name, relative to the folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path as it is shown in errors.
    #[must_use]
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Length in bytes when it was opened.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Device and inode: two names with the same are one file.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn inode(&self) -> Result<(u64, u64), DiskError> {
        let found = self.file.metadata();
        let found = found.map_err(|error| DiskError::io(&self.path, None, error))?;
        Ok((found.dev(), found.ino()))
    }

    /// Which file this is and whether it was changed since: device, inode, length, times of
    /// change of content and of inode.
    ///
    /// # Errors
    /// [`DiskError::Io`].
    pub fn identity(&self) -> Result<String, DiskError> {
        let found = self.file.metadata();
        let found = found.map_err(|error| DiskError::io(&self.path, None, error))?;
        Ok(format!(
            "{}:{}:{}:{}.{:09}:{}.{:09}",
            found.dev(),
            found.ino(),
            self.size,
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec()
        ))
    }

    /// Bytes that the file takes on its file system.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        self.allocated
    }

    /// Fills `buf` from `offset`; `what` names, for the error, what is being read.
    ///
    /// # Errors
    /// [`DiskError::Truncated`] if the file ends before; [`DiskError::Io`].
    pub fn read_at(&self, offset: u64, buf: &mut [u8], what: &str) -> Result<(), DiskError> {
        let needed = buf.len() as u64;
        if offset.checked_add(needed).is_none_or(|end| end > self.size) {
            return Err(self.truncated(offset, needed, what));
        }
        match self.file.read_exact_at(buf, offset) {
            Ok(()) => Ok(()),
            // Shorter than when it was opened.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.truncated(offset, needed, what))
            }
            Err(error) => Err(DiskError::io(&self.path, Some(offset), error)),
        }
    }

    /// Reads `length` bytes from `offset` into a buffer of their own, which is only made
    /// if the file is long enough to justify it.
    ///
    /// # Errors
    /// As [`SourceFile::read_at`].
    pub fn read_vec(&self, offset: u64, length: u64, what: &str) -> Result<Vec<u8>, DiskError> {
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(self.truncated(offset, length, what));
        }
        let length = usize::try_from(length).map_err(|_| {
            DiskError::corrupt(self.path(), offset, format!("{what} of {length} bytes"))
        })?;
        let mut bytes = vec![0; length];
        self.read_at(offset, &mut bytes, what)?;
        Ok(bytes)
    }

    /// The error of a structure that the file is too short for.
    #[must_use]
    pub fn truncated(&self, offset: u64, needed: u64, what: &str) -> DiskError {
        DiskError::Truncated {
            file: self.path(),
            offset,
            needed,
            size: self.size,
            what: what.to_owned(),
        }
    }

    /// The error of a structure that is wrong.
    #[must_use]
    pub fn corrupt(&self, offset: u64, what: impl Into<String>) -> DiskError {
        DiskError::corrupt(self.path(), offset, what)
    }

    /// The error of a feature that this crate does not do.
    #[must_use]
    pub fn unsupported(&self, what: impl Into<String>) -> DiskError {
        DiskError::unsupported(self.path(), what)
    }

    /// The first range of stored bytes at or after `offset`, as the file system knows it:
    /// `(start, end)`, or nothing if only a hole follows. A file system that does not know
    /// says that all is stored.
    #[must_use]
    pub fn next_data(&self, offset: u64) -> Option<(u64, u64)> {
        use rustix::fs::SeekFrom as Seek;
        if offset >= self.size {
            return None;
        }
        let start = match rustix::fs::seek(&self.file, Seek::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return None,
            Err(_) => return Some((offset, self.size)),
        };
        let end = rustix::fs::seek(&self.file, Seek::Hole(start)).unwrap_or(self.size);
        if start < offset || end <= start {
            return Some((offset, self.size));
        }
        Some((start, end.min(self.size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder with `in.raw`, `sub/deep.raw` and links, beside a secret.
    fn folder() -> (tempfile::TempDir, SourceFolder) {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("inner");
        std::fs::create_dir_all(inner.join("sub")).unwrap();
        std::fs::write(root.path().join("secret"), "s").unwrap();
        std::fs::write(inner.join("in.raw"), "data").unwrap();
        std::fs::write(inner.join("sub/deep.raw"), "deep!").unwrap();
        symlink("in.raw", inner.join("link.raw")).unwrap();
        symlink("../secret", inner.join("out.raw")).unwrap();
        symlink(root.path().join("secret"), inner.join("abs.raw")).unwrap();
        symlink("..", inner.join("up")).unwrap();
        symlink("loop.raw", inner.join("loop.raw")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            inner.join("pipe"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let folder = SourceFolder::open(&inner).unwrap();
        (root, folder)
    }

    #[test]
    fn a_name_that_is_no_text_is_told_so() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder
            .path()
            .join(std::ffi::OsStr::from_bytes(b"disk\xff.raw"));
        std::fs::write(&file, "content").unwrap();
        let error = SourceFolder::of_file(&file).unwrap_err();
        assert!(error.to_string().contains("not UTF-8"), "{error}");
    }

    #[test]
    fn only_names_inside_are_opened() {
        let (_root, folder) = folder();
        for (name, content) in [
            ("in.raw", "data"),
            ("./in.raw", "data"),
            ("link.raw", "data"),
            ("sub/deep.raw", "deep!"),
        ] {
            let file = folder.open_file(name).unwrap();
            assert_eq!(file.size(), content.len() as u64);
            let bytes = file.read_vec(0, file.size(), "all").unwrap();
            assert_eq!(bytes, content.as_bytes());
        }
        for name in [
            "../secret",
            "sub/../../secret",
            "sub/../in.raw",
            "/etc/passwd",
            "out.raw",
            "abs.raw",
            "up/secret",
            "loop.raw",
            "",
            "a\0b",
        ] {
            let error = folder.open_file(name).unwrap_err();
            assert!(
                matches!(&error, DiskError::OutsideFolder { path, .. } if path == name),
                "{name}: {error}"
            );
        }
        assert!(matches!(
            folder.open_file("absent.raw"),
            Err(DiskError::NotFound { .. })
        ));
        for name in ["sub", "pipe"] {
            assert!(
                matches!(folder.open_file(name), Err(DiskError::Unsupported { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn the_walk_without_openat2_follows_no_link() {
        let (_root, folder) = folder();
        assert!(folder.walk("in.raw", &["in.raw"]).is_ok());
        assert!(folder.walk("sub/deep.raw", &["sub", "deep.raw"]).is_ok());
        for parts in [&["link.raw"][..], &["out.raw"], &["up", "secret"]] {
            let error = folder.walk(&parts.join("/"), parts).unwrap_err();
            assert!(matches!(error, DiskError::OutsideFolder { .. }), "{error}");
        }
    }

    #[test]
    fn a_listing_shows_what_can_be_opened() {
        let (_root, folder) = folder();
        let names = |entries: Vec<FolderEntry>| -> Vec<(String, bool, u64)> {
            entries
                .into_iter()
                .map(|e| (e.name, e.folder, e.size))
                .collect()
        };
        assert_eq!(
            names(folder.list("").unwrap()),
            [
                ("in.raw".to_owned(), false, 4),
                ("link.raw".to_owned(), false, 4),
                ("sub".to_owned(), true, 0),
            ]
        );
        assert_eq!(
            names(folder.list("sub").unwrap()),
            [("deep.raw".to_owned(), false, 5)]
        );
        assert!(matches!(
            folder.list("up"),
            Err(DiskError::OutsideFolder { .. })
        ));
    }

    #[test]
    fn reading_beyond_the_end_says_what_was_wanted() {
        let (_root, folder) = folder();
        let file = folder.open_file("in.raw").unwrap();
        let error = file.read_vec(2, 3, "the header").unwrap_err().to_string();
        assert!(
            error.contains("the header needs bytes 2 to 5, the file has 4"),
            "{error}"
        );
        assert!(file.read_vec(u64::MAX, 2, "x").is_err());
    }
}
