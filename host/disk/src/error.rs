//! The one error type of this crate.
//!
//! A migration tool meets damaged and hostile images daily, so an error names the
//! file and, wherever one exists, the byte offset, says what was expected there, and
//! what the user can do. Callers tell the cases apart by variant, never by text.

use std::io;
use std::path::{Path, PathBuf};

/// Everything that can go wrong with a disk image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The named file, folder or partition does not exist.
    #[error("{path} does not exist; check the name, and that every file of the image was copied")]
    NotFound {
        /// What was looked for.
        path: String,
    },
    /// The folder for a new file does not exist.
    #[error("the folder {path} does not exist; make it first, or choose another target")]
    NoFolder {
        /// The folder.
        path: String,
    },
    /// A name leads out of the folder that was opened.
    #[error(
        "refused to open {path:?}: {why}; an image may only name files in its own folder, copy the file there"
    )]
    OutsideFolder {
        /// The offending name, as the image or the caller gave it.
        path: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A file ends before something that it promises.
    #[error(
        "{file} is truncated: {what} needs bytes {offset} to {end}, the file has {size}; copy it again",
        end = offset.saturating_add(*needed)
    )]
    Truncated {
        /// The short file.
        file: String,
        /// First byte of what was wanted.
        offset: u64,
        /// How many bytes were wanted from there.
        needed: u64,
        /// The length of the file.
        size: u64,
        /// What was to be found there.
        what: String,
    },
    /// A structure contradicts its format or itself.
    #[error(
        "{file} is corrupt at byte {offset}: {what}; copy it again or repair it with the tool that made it"
    )]
    Corrupt {
        /// The damaged file.
        file: String,
        /// Byte offset in that file of the field that is wrong.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A valid image that uses something this crate does not do.
    #[error(
        "{file} uses {what}, which is not supported; convert it with the tool that made it first"
    )]
    Unsupported {
        /// The file.
        file: String,
        /// The feature, by the name its format gives it.
        what: String,
    },
    /// The image is only a difference to another one.
    #[error(
        "{file} depends on the backing file {backing:?}, and images with a backing file are not supported; flatten it first, for example by removing its snapshots"
    )]
    BackingFile {
        /// The dependent file.
        file: String,
        /// The parent, as named by the image.
        backing: String,
    },
    /// No known format, or a format name nobody knows.
    #[error("unknown image format {given:?}; valid formats are {valid}")]
    UnknownFormat {
        /// What was given.
        given: String,
        /// The valid names, separated by commas.
        valid: String,
    },
    /// A write to something that was opened for reading.
    #[error("{file} is read-only; write to an overlay over it instead")]
    ReadOnly {
        /// The image.
        file: String,
    },
    /// A read, write or query beyond the end of the virtual disk.
    #[error("bytes {offset} to {end} of {file} were asked for, it has {size}", end = offset.saturating_add(*length))]
    OutOfRange {
        /// The image.
        file: String,
        /// First byte of the request.
        offset: u64,
        /// Length of the request.
        length: u64,
        /// Virtual size of the image.
        size: u64,
    },
    /// The file system that is written to is full, or a quota is.
    #[error("no space left for {path}; free some or choose another folder")]
    NoSpace {
        /// The file that was being written.
        path: String,
    },
    /// The caller asked to stop. Nothing is left behind.
    #[error("cancelled")]
    Cancelled,
    /// The target of a conversion exists; it is never overwritten.
    #[error("{path} already exists; remove it or choose another name")]
    Exists {
        /// The target.
        path: String,
    },
    /// Another process is writing the same target.
    #[error("{path} is being written by another process; wait for it or choose another name")]
    Locked {
        /// The partial file.
        path: String,
    },
    /// The operating system refused.
    #[error("{path}{at}: {source}", at = offset.map(|o| format!(" at byte {o}")).unwrap_or_default())]
    Io {
        /// The file or folder.
        path: String,
        /// The byte offset, where the call has one.
        offset: Option<u64>,
        /// The operating system's error.
        source: io::Error,
    },
}

impl DiskError {
    /// Wraps an operating-system error on `path`; a full disk, a missing file and an
    /// existing file become variants of their own.
    pub fn io(path: impl AsRef<Path>, offset: Option<u64>, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        let path = path.as_ref().display().to_string();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::AlreadyExists => Self::Exists { path },
            _ => Self::Io {
                path,
                offset,
                source,
            },
        }
    }

    /// A structure of `file` at `offset` is wrong.
    pub fn corrupt(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt {
            file: file.into(),
            offset,
            what: what.into(),
        }
    }

    /// `file` uses `what`, which this crate does not do.
    pub fn unsupported(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Unsupported {
            file: file.into(),
            what: what.into(),
        }
    }
}

/// The name of the temporary file that becomes `target` when it is complete.
pub(crate) fn part_path(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}
