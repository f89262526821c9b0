//! How a long operation reports and how it is stopped.

use crate::DiskError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Receives the progress of a conversion or a comparison.
///
/// Called from worker threads, one call at a time, a few hundred times a second at most;
/// it must return quickly.
pub trait Progress: Sync {
    /// `done` of `total` bytes of the virtual disk are dealt with, zeros included.
    /// `done` never goes down and ends at `total` on success.
    fn update(&self, done: u64, total: u64);
}

/// Any function of `(done, total)` is a [`Progress`].
impl<F: Fn(u64, u64) + Sync> Progress for F {
    fn update(&self, done: u64, total: u64) {
        self(done, total);
    }
}

/// A [`Progress`] that tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn update(&self, _done: u64, _total: u64) {}
}

/// Stops an operation from another thread or a signal handler. Clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// A flag that is not set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the operation to stop; it does so within one batch of work.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`CancelFlag::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`DiskError::Cancelled`] if the flag is set.
    pub fn check(&self) -> Result<(), DiskError> {
        if self.is_cancelled() {
            return Err(DiskError::Cancelled);
        }
        Ok(())
    }
}
