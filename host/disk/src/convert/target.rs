//! The file that a conversion writes: `<target>.part` until it is complete.
//!
//! The name appears only after the content is on disk, so whoever finds the target finds
//! all of it, whenever the power went. A partial file left by a kill is taken over by the
//! next run, which goes on with it where a checkpoint says so and begins anew elsewhere; a
//! lock keeps two runs from writing the same one.

use super::buffer::ALIGNMENT;
use super::checkpoint::Checkpoint;
use crate::DiskError;
use crate::error::part_path;
use rustix::fs::{FallocateFlags, FlockOperation, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The file is made longer in steps of this, because direct writes within its length run
/// at once and writes that extend it one after the other. The steps are holes until they
/// are written.
const STEP: u64 = 256 << 20;

/// A target being written. Dropped before [`PartFile::finish`], it removes itself, unless
/// it is to be kept for another attempt.
pub(super) struct PartFile {
    file: File,
    part: PathBuf,
    target: PathBuf,
    direct: AtomicBool,
    written: AtomicU64,
    length: Mutex<u64>,
    /// Whether it stays where it is when it is dropped.
    keep: bool,
}

impl PartFile {
    /// Opens `<target>.part`, with whatever it holds; where it is missing it is made. It is
    /// left where it is when dropped if `keep` is set.
    ///
    /// # Errors
    /// [`DiskError::Exists`] if the target is there, [`DiskError::NoFolder`] if its folder
    /// is not, [`DiskError::Locked`] if another process is writing it.
    pub(super) fn open(target: &Path, keep: bool) -> Result<Self, DiskError> {
        let exists = || DiskError::Exists {
            path: target.display().to_string(),
        };
        if target.symlink_metadata().is_ok() {
            return Err(exists());
        }
        let folder = folder(target);
        if let Err(error) = std::fs::metadata(folder) {
            return Err(match error.kind() {
                std::io::ErrorKind::NotFound => DiskError::NoFolder {
                    path: folder.display().to_string(),
                },
                _ => DiskError::io(folder, None, error),
            });
        }
        let part = part_path(target);
        let fail = |error: std::io::Error| DiskError::io(&part, None, error);
        let file = loop {
            let file = std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(&part)
                .map_err(fail)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(DiskError::Locked {
                        path: part.display().to_string(),
                    });
                }
                Err(error) => return Err(fail(error.into())),
            }
            // Another run may have renamed or removed it between opening and locking.
            let mine = file.metadata().map_err(fail)?;
            match part.symlink_metadata() {
                Ok(found) if (found.dev(), found.ino()) == (mine.dev(), mine.ino()) => break file,
                _ => {}
            }
        };
        let this = Self {
            file,
            part,
            target: target.to_owned(),
            direct: AtomicBool::new(false),
            written: AtomicU64::new(0),
            length: Mutex::new(0),
            keep,
        };
        if target.symlink_metadata().is_ok() {
            return Err(exists());
        }
        this.set_direct(true);
        Ok(this)
    }

    /// Forgets all content. A checkpoint that may be there goes first.
    pub(super) fn begin(&self) -> Result<(), DiskError> {
        Checkpoint::remove(&self.target)?;
        self.set_len(0)
    }

    /// Keeps the first `length` bytes but for `open` (offset, length), which becomes a hole
    /// as everything behind. False, and nothing is changed, if the file is shorter.
    pub(super) fn take_up(&self, length: u64, open: Option<(u64, u64)>) -> Result<bool, DiskError> {
        if self.len()? < length {
            return Ok(false);
        }
        self.set_len(length)?;
        if let Some((offset, size)) = open.filter(|(offset, _)| *offset < length) {
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if let Err(error) = rustix::fs::fallocate(&self.file, punch, offset, size) {
                return match error {
                    // It is written whole later; only the end of the last one is not.
                    Errno::OPNOTSUPP => Ok(false),
                    error => Err(self.fail(offset, error.into())),
                };
            }
        }
        Ok(true)
    }

    /// Returns once everything written so far is on disk.
    pub(super) fn sync_data(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(|error| self.fail(0, error))
    }

    /// Whoever drops it next removes it.
    pub(super) fn discard(mut self) {
        self.keep = false;
    }

    /// Turns `O_DIRECT` on or off; a file system without it stays buffered.
    fn set_direct(&self, direct: bool) {
        let Ok(mut flags) = rustix::fs::fcntl_getfl(&self.file) else {
            return;
        };
        flags.set(OFlags::DIRECT, direct);
        let taken = rustix::fs::fcntl_setfl(&self.file, flags).is_ok();
        self.direct.store(direct && taken, Ordering::Relaxed);
    }

    fn fail(&self, offset: u64, error: std::io::Error) -> DiskError {
        DiskError::io(&self.part, Some(offset), error)
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Sets the length, which makes holes of what is not written.
    pub(super) fn set_len(&self, length: u64) -> Result<(), DiskError> {
        self.file
            .set_len(length)
            .map_err(|error| self.fail(length, error))?;
        *self.length.lock().unwrap_or_else(PoisonError::into_inner) = length;
        Ok(())
    }

    /// Makes the file long enough for a write up to `end`.
    fn reserve(&self, end: u64) {
        let mut length = self.length.lock().unwrap_or_else(PoisonError::into_inner);
        if end > *length {
            // Where that is refused the write itself may still be taken.
            let longer = end.saturating_add(STEP);
            if self.file.set_len(longer).is_ok() {
                *length = longer;
            }
        }
    }

    /// Writes at a multiple of [`ALIGNMENT`] bytes a multiple of it, from memory that is
    /// aligned so too. Threads may write at once.
    pub(super) fn write(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        debug_assert!(
            offset.is_multiple_of(ALIGNMENT as u64) && data.len().is_multiple_of(ALIGNMENT)
        );
        self.reserve(offset.saturating_add(data.len() as u64));
        let result = match self.file.write_all_at(data, offset) {
            // Taken when it was asked for, refused when it was used: some file systems do.
            Err(error)
                if error.kind() == std::io::ErrorKind::InvalidInput
                    && self.direct.load(Ordering::Relaxed) =>
            {
                self.set_direct(false);
                self.file.write_all_at(data, offset)
            }
            other => other,
        };
        result.map_err(|error| self.fail(offset, error))?;
        self.written.fetch_add(data.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the file its length, and returns once it is on disk.
    pub(super) fn complete(&self, length: u64) -> Result<(), DiskError> {
        self.set_len(length)?;
        self.file
            .sync_all()
            .map_err(|error| self.fail(length, error))
    }

    /// What the file is known by, whatever its name.
    pub(super) fn inode(&self) -> Result<u64, DiskError> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|error| self.fail(0, error))?.ino())
    }

    /// Length of the file.
    pub(super) fn len(&self) -> Result<u64, DiskError> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(|error| self.fail(0, error))?.len())
    }

    /// Gives the file its name, and returns once that is on disk.
    ///
    /// # Errors
    /// [`DiskError::Exists`] if a target has appeared meanwhile.
    pub(super) fn finish(mut self) -> Result<(), DiskError> {
        rename_new(&self.part, &self.target)
            .map_err(|error| DiskError::io(&self.target, None, error))?;
        self.keep = true;
        sync_folder(&self.target)
    }
}

/// Renames a file, and refuses to replace one.
///
/// # Errors
/// `AlreadyExists`, and what the system says.
pub fn rename_new(from: &Path, to: &Path) -> Result<(), std::io::Error> {
    let cwd = rustix::fs::CWD;
    let renamed = match rustix::fs::renameat_with(cwd, from, cwd, to, RenameFlags::NOREPLACE) {
        // Not every file system can refuse to replace.
        Err(Errno::INVAL | Errno::NOSYS) if to.symlink_metadata().is_err() => {
            rustix::fs::rename(from, to)
        }
        other => other,
    };
    Ok(renamed?)
}

/// The folder that a file is in.
fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Returns once the names in the folder of `file` are on disk.
pub(super) fn sync_folder(file: &Path) -> Result<(), DiskError> {
    let folder = folder(file);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| DiskError::io(folder, None, error))
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.keep {
            // The lock is still held, so it is this run's file.
            let _ = std::fs::remove_file(&self.part);
        }
        // Closing is not enough: a program that another thread is just starting has a copy
        // of the descriptor, and with it the lock, until it is executed.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_ends_with_its_owner_even_where_a_copy_of_the_descriptor_is_about() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("t");
        for keep in [true, false] {
            let part = PartFile::open(&target, keep).unwrap();
            let _copy = part.file.try_clone().unwrap();
            assert!(matches!(
                PartFile::open(&target, keep),
                Err(DiskError::Locked { .. })
            ));
            drop(part);
            PartFile::open(&target, keep).unwrap();
        }
    }
}
