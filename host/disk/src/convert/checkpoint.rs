//! The file that says how far a conversion is on disk: `<target>.checkpoint`.
//!
//! It names what is being made of what (the key), the position up to which the partial
//! target holds everything, and the state of the target's tables there. It is replaced
//! as a whole, after the data that it vouches for is on disk, so it is either there or
//! not, and never promises more than there is. What does not fit is no checkpoint: the
//! worst that a lost or damaged one costs is copying again.
//!
//! Layout, little-endian: magic (8 bytes), version (u32), length of the key (u32), the key,
//! number of the next batch (u64), position (u64), bytes of the partial file that are
//! needed (u64), length of the tables' state (u64), the state, CRC-32 (IEEE) of all before.

use super::target::{PartFile, sync_folder};
use crate::error::part_path;
use crate::{DiskError, bytes};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"CFDMCKPT";
/// Also to be raised when batches, clusters or allocation change, since a target that is
/// continued must be what it would have been.
const VERSION: u32 = 1;
/// The largest file that is read: the tables of the largest disk take 32 MiB, what is
/// being filled a few more.
const LARGEST: u64 = 64 << 20;

/// The number of batches of a checkpoint that says that the file is complete.
const ALL: u64 = u64::MAX;

/// Where a conversion is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Checkpoint {
    /// Batches before this one are complete.
    pub(super) number: u64,
    /// Bytes of the disk before this are complete.
    pub(super) position: u64,
    /// Bytes of the partial file that count; what lies behind them does not.
    pub(super) length: u64,
    /// What else the sink must know.
    pub(super) state: Vec<u8>,
}

/// Where the checkpoint of `target` is.
pub(super) fn path(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".checkpoint");
    PathBuf::from(name)
}

impl Checkpoint {
    /// The last one: the file of `length` bytes with this inode is the target, under
    /// whichever of its names.
    pub(super) fn finished(length: u64, inode: u64) -> Self {
        Self {
            number: ALL,
            position: u64::MAX,
            length,
            state: inode.to_le_bytes().to_vec(),
        }
    }

    /// Does what was left to be done, if it says that the file is complete: gives it its
    /// name, and removes the checkpoint. False if it is not.
    pub(super) fn finish(&self, target: &Path) -> Result<bool, DiskError> {
        let is_it = |path: &Path| {
            path.symlink_metadata().is_ok_and(|found| {
                found.is_file()
                    && found.len() == self.length
                    && self.state == found.ino().to_le_bytes()
            })
        };
        if self.number != ALL {
            return Ok(false);
        }
        if is_it(&part_path(target)) {
            // Locked, so that no other conversion is about to begin anew.
            PartFile::open(target, true)?.finish()?;
        } else if !is_it(target) {
            return Ok(false);
        }
        sync_folder(target)?;
        Self::remove(target)?;
        Ok(true)
    }

    fn encode(&self, key: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.state.len().saturating_add(key.len() + 64));
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(key.as_bytes());
        for number in [
            self.number,
            self.position,
            self.length,
            self.state.len() as u64,
        ] {
            out.extend(number.to_le_bytes());
        }
        out.extend(&self.state);
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out
    }

    fn decode(content: &[u8], key: &str) -> Option<Self> {
        let (body, sum) = content.split_at_checked(content.len().checked_sub(4)?)?;
        if bytes::le32(sum, 0)? != crc32fast::hash(body) {
            return None;
        }
        let mut reader = Reader::new(body);
        if reader.take(MAGIC.len())? != MAGIC || reader.u32()? != VERSION {
            return None;
        }
        let length = usize::try_from(reader.u32()?).ok()?;
        if reader.take(length)? != key.as_bytes() {
            return None;
        }
        let (number, position, length) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let state = usize::try_from(reader.u64()?).ok()?;
        let this = Self {
            number,
            position,
            length,
            state: reader.take(state)?.to_vec(),
        };
        reader.is_empty().then_some(this)
    }

    /// The checkpoint beside `target`, if there is one that belongs to `key`.
    pub(super) fn load(target: &Path, key: &str) -> Option<Self> {
        let file = File::open(path(target)).ok()?;
        if file.metadata().ok()?.len() > LARGEST {
            return None;
        }
        let mut content = Vec::new();
        file.take(LARGEST).read_to_end(&mut content).ok()?;
        Self::decode(&content, key)
    }

    /// Replaces the checkpoint beside `target`; returns once it is on disk.
    pub(super) fn store(&self, target: &Path, key: &str) -> Result<(), DiskError> {
        let path = path(target);
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        let fail = |error| DiskError::io(&path, None, error);
        let mut file = File::create(&fresh).map_err(fail)?;
        file.write_all(&self.encode(key)).map_err(fail)?;
        file.sync_data().map_err(fail)?;
        std::fs::rename(&fresh, &path).map_err(fail)
    }

    /// Removes the checkpoint beside `target`, durably where there was one: a partial
    /// target that is begun anew must not meet an old checkpoint again.
    pub(super) fn remove(target: &Path) -> Result<(), DiskError> {
        let path = path(target);
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let _ = std::fs::remove_file(fresh);
        match std::fs::remove_file(&path) {
            Ok(()) => sync_folder(target),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(DiskError::io(&path, None, error)),
        }
    }
}

/// Takes bytes apart from the front.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        bytes::le32(self.take(4)?, 0)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        bytes::le64(self.take(8)?, 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            number: 7,
            position: 14 << 20,
            length: 15 << 20,
            state: vec![1, 2, 3],
        }
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let whole = checkpoint().encode("key");
        assert_eq!(Checkpoint::decode(&whole, "key"), Some(checkpoint()));
        assert_eq!(Checkpoint::decode(&whole, "kez"), None);
        assert_eq!(Checkpoint::decode(&whole, "keys"), None);
        for length in 0..whole.len() {
            assert_eq!(
                Checkpoint::decode(&whole[..length], "key"),
                None,
                "{length}"
            );
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                assert_eq!(Checkpoint::decode(&damaged, "key"), None, "{at} {bit}");
            }
        }
    }

    #[test]
    fn it_is_replaced_as_a_whole_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("t");
        assert_eq!(Checkpoint::load(&target, "key"), None);
        Checkpoint::default().store(&target, "key").unwrap();
        checkpoint().store(&target, "key").unwrap();
        assert_eq!(Checkpoint::load(&target, "key"), Some(checkpoint()));
        Checkpoint::remove(&target).unwrap();
        Checkpoint::remove(&target).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
