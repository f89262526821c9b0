//! Decompressing clusters on many threads.
//!
//! A decompressor and its input buffer are worth keeping, but images are read through
//! `&self` by any thread: each call borrows a workspace from a pool and puts it back.

use libdeflater::Decompressor;
use std::sync::{Mutex, PoisonError};

/// What one call needs besides its output.
pub(crate) struct Workspace {
    pub(crate) decompressor: Decompressor,
    /// Compressed input, of any length.
    pub(crate) input: Vec<u8>,
}

/// Workspaces that are not in use; as many as there were calls at once.
#[derive(Default)]
pub(crate) struct Workspaces(Mutex<Vec<Workspace>>);

impl Workspaces {
    /// Runs `work` with a workspace.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Workspace) -> R) -> R {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut workspace = kept.unwrap_or_else(|| Workspace {
            decompressor: Decompressor::new(),
            input: Vec::new(),
        });
        let result = work(&mut workspace);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(workspace);
        result
    }
}

/// Bytes of input that are fetched at once at most, besides the last cluster's.
pub(crate) const MAX_RUN: u64 = 4 << 20;

/// The first `length` bytes of `buffer`, which grows if needed and never shrinks.
pub(crate) fn at_least(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    buffer.get_mut(..length).unwrap_or_default()
}
