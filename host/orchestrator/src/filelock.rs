//! A lock of a file that ends when its owner says so.
//!
//! **Problem.** `flock` belongs to the open file, not to the process. While one thread
//! starts a program, the child has a copy of every open file until it is executed, also of
//! those that are closed on exec. A lock that is only closed stays taken that long, and who
//! wants it next is told of an owner that is not there.
//!
//! **Design.** Unlocking ends the lock whoever has copies of the file, so it is done when
//! the lock is dropped.
//!
//! **Limits.** A killed process cannot do that: a lock that it had may seem taken until the
//! program that it was just starting is executed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file's exclusive lock, given up when it is dropped.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Locks the file, or says none where somebody else has the lock.
    ///
    /// # Errors
    /// Those of `flock`, for instance of a file system that cannot lock.
    pub fn take(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Locks the file there, which is made for its owner alone where there is none; none
    /// where somebody else has the lock.
    ///
    /// # Errors
    /// It cannot be opened, or cannot be locked.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        Self::take(options.mode(0o600).open(path)?)
    }

    /// Whether somebody has the lock of the file there. A file that is not there, or that
    /// cannot be opened, is not locked; it is not made by looking.
    #[must_use]
    pub fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(Self::take(file), Ok(None)))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Closing does the same, if nobody has a copy.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::FileLock;
    use std::fs::File;

    #[test]
    fn one_has_it_until_it_is_dropped_also_where_the_file_was_copied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!FileLock::is_held(&path), "there is none");
        assert!(!path.exists(), "looking makes none");

        let file = File::create(&path).unwrap();
        let copy = file.try_clone().unwrap();
        let lock = FileLock::take(file).unwrap().unwrap();
        assert!(FileLock::is_held(&path));
        assert!(
            FileLock::take(File::open(&path).unwrap())
                .unwrap()
                .is_none()
        );
        assert!(FileLock::open(&path).unwrap().is_none());
        drop(lock);
        assert!(!FileLock::is_held(&path));
        drop(copy);
    }
}
