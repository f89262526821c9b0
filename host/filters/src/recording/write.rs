//! Writes a recording: blocks as they come, the rest when the call has ended.
//!
//! It is written where the call is: a line is some hundred bytes, a block at most 16 MiB, and
//! both go no further than the page cache.
//!
//! Until then its name is hidden and ends with `.part`, and the file is locked. A host that is
//! killed leaves it so, without the lock: whoever records into the folder next removes what is
//! there of that name and nobody has locked ([`sweep`]). That needs no clock and holds for hosts
//! that share a folder; where the file system cannot lock, nothing is removed.

use super::block::Block;
use super::{EXTENSION, FORMAT, MOST_BYTES};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The names of recordings that are being written.
const PREFIX: &str = ".recording-";
const SUFFIX: &str = ".part";

/// How often another name is tried, where somebody takes the file for a leftover just as it is
/// made.
const MOST_TRIES: usize = 8;

/// A recording that is being written.
pub(crate) struct Sink {
    file: BufWriter<NamedTempFile>,
    folder: PathBuf,
    hash: Sha256,
    bytes: u64,
    blocks: HashSet<String>,
}

impl Sink {
    /// Begins one in a folder, which is made where there is none: a recording holds what the
    /// plugin read, which may be a guest's password file.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let file = part(folder)?;
        let mut sink = Self {
            file: BufWriter::new(file),
            folder: folder.to_owned(),
            hash: Sha256::new(),
            bytes: 0,
            blocks: HashSet::new(),
        };
        sink.line(&json!({
            "cofferdam-recording": FORMAT,
            "made-by": env!("CARGO_PKG_VERSION"),
        }))?;
        Ok(sink)
    }

    /// The next line.
    pub(crate) fn line(&mut self, value: &Value) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.bytes = self.bytes.saturating_add(line.len() as u64);
        if self.bytes > MOST_BYTES {
            return Err(io::Error::other(format!(
                "it would be larger than {MOST_BYTES} bytes"
            )));
        }
        self.hash.update(&line);
        self.file.write_all(&line)
    }

    /// A content, if it is not there yet.
    pub(crate) fn block(&mut self, block: &Block) -> io::Result<()> {
        if !self.blocks.insert(block.sha256.clone()) {
            return Ok(());
        }
        let stored = serde_json::to_value(block.stored())?;
        self.line(&stored)
    }

    /// Ends it and gives it its name.
    pub(crate) fn finish(mut self, name: &str) -> io::Result<PathBuf> {
        let digest = hex::encode(self.hash.clone().finalize());
        self.line(&json!({ "sha256": digest }))?;
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let path = self.folder.join(format!("{name}.{EXTENSION}"));
        file.persist_noclobber(&path).map_err(|error| error.error)?;
        Ok(path)
    }
}

/// A new file that is nobody's leftover.
fn part(folder: &Path) -> io::Result<NamedTempFile> {
    for _ in 0..MOST_TRIES {
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // Locked by who sweeps, or removed by it before the lock was had.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if file.as_file().metadata()?.nlink() == 0 => {}
            // Where there are no locks, nobody sweeps.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
    Err(io::Error::other(format!(
        "{} is being cleaned again and again; does another program remove files there?",
        folder.display()
    )))
}

/// Removes what hosts that were killed left of recordings; says how many files.
pub(crate) fn sweep(folder: &Path) -> io::Result<usize> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0_usize;
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let is_part = name
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        // Opening what is no file could wait, or lead elsewhere.
        if !is_part || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let Ok(file) = File::open(entry.path()) else {
            continue;
        };
        if file.try_lock().is_ok() && std::fs::remove_file(entry.path()).is_ok() {
            removed = removed.saturating_add(1);
        }
        // Another process that is just being started has a copy of the file.
        file.unlock().ok();
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_writes_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let going_on = Sink::new(path).unwrap();
        let alive = going_on.file.get_ref().path().to_owned();
        for name in [".recording-abc.part", ".recording-.part"] {
            std::fs::write(path.join(name), "{\"cofferdam-recording\":1}\n").unwrap();
        }
        let kept = ["a.recording", ".recording-x", "x.part", ".other-x.part"];
        for name in kept {
            std::fs::write(path.join(name), "").unwrap();
        }
        std::fs::create_dir(path.join(".recording-folder.part")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path.join(".recording-link.part")).unwrap();
        assert_eq!(sweep(path).unwrap(), 2);
        assert_eq!(sweep(path).unwrap(), 0);
        assert!(alive.exists());
        assert_eq!(std::fs::read_dir(path).unwrap().count(), kept.len() + 3);
        let whole = going_on.finish("b").unwrap();
        assert!(whole.exists() && !alive.exists());
        assert_eq!(sweep(&path.join("nowhere")).unwrap(), 0);
    }
}
