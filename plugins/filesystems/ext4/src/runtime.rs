//! Time and inode generations for the ext4 crate.
//!
//! The crate's own provider asks for the process id, which traps on WebAssembly. The clock
//! is WASI's, which the host makes stand still at the plan's time; generations come from
//! the file system's UUID and the time, so that the same edits give the same bytes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The provider of one mount.
pub struct Clock {
    next: AtomicU32,
}

impl Clock {
    /// Generations seeded by the file system's UUID and by the number of free inodes, so
    /// that two mounts of the same file system do not repeat them.
    pub fn new(uuid: &[u8; 16], salt: u32) -> Self {
        let seed = fs_ext4::checksum::linux_crc32c(!0, uuid);
        let seed = fs_ext4::checksum::linux_crc32c(seed, &salt.to_le_bytes());
        let seed = fs_ext4::checksum::linux_crc32c(seed, &seconds().to_le_bytes());
        Self {
            next: AtomicU32::new(seed),
        }
    }
}

/// Seconds since 1970 by the clock of this run.
pub fn seconds() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s),
    }
}

impl fs_ext4::runtime::Runtime for Clock {
    fn now_unix_seconds(&self) -> i64 {
        seconds()
    }

    fn next_inode_generation(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}
