//! Writes a recording: blocks as they come, the rest when the call has ended.
//!
//! It is written where the call is: a line is some hundred bytes, a block at most 16 MiB, and
//! both go no further than the page cache.

use super::block::Block;
use super::{EXTENSION, FORMAT, MOST_BYTES};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::DirBuilder;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

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
        let file = tempfile::Builder::new()
            .prefix(".recording-")
            .suffix(".part")
            .tempfile_in(folder)?;
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
