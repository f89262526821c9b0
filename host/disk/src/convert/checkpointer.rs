//! When checkpoints are taken, and the thread that writes them.
//!
//! A sink offers the state of its tables right after it has allocated for a batch; by then
//! later batches may be written already and earlier ones not yet. So the offer waits until
//! every batch up to it is written, then a thread of its own syncs the target and replaces
//! the checkpoint, while the workers go on.

use super::checkpoint::Checkpoint;
use super::plan::Batch;
use super::target::PartFile;
use crate::DiskError;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How an interrupted conversion is taken up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// What the source's content is, in any words of the caller's: a conversion is only
    /// taken up by one whose identity, size, format and compression are the same.
    pub identity: String,
    /// A checkpoint is made after this time, at the end of the batch then worked on.
    pub every: Duration,
    /// A checkpoint is made after this many bytes of the disk at the latest.
    pub every_bytes: u64,
}

impl Resume {
    /// Checkpoints every three seconds or 4 GiB, which costs nothing that can be measured.
    #[must_use]
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            every: Duration::from_secs(3),
            every_bytes: 4 << 30,
        }
    }
}

/// Collects what is needed for checkpoints of one conversion.
pub(super) struct Checkpointer<'a> {
    part: &'a PartFile,
    target: &'a Path,
    key: &'a str,
    resume: &'a Resume,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    last: Instant,
    last_position: u64,
    /// Every batch before this one is written.
    complete: u64,
    /// Later ones that are written.
    beyond: BTreeSet<u64>,
    offer: Option<Checkpoint>,
    ended: bool,
}

impl<'a> Checkpointer<'a> {
    /// Begins after `from`.
    pub(super) fn new(
        part: &'a PartFile,
        target: &'a Path,
        (key, resume): (&'a str, &'a Resume),
        from: &Checkpoint,
    ) -> Self {
        Self {
            part,
            target,
            key,
            resume,
            state: Mutex::new(State {
                last: Instant::now(),
                last_position: from.position,
                complete: from.number,
                beyond: BTreeSet::new(),
                offer: None,
                ended: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the state behind `batch`, if it is time for it. `make` gives the length of the
    /// target that counts, and the sink's own state.
    pub(super) fn offer(&self, batch: &Batch, make: impl FnOnce() -> (u64, Vec<u8>)) {
        let mut state = self.lock();
        let passed = batch.end().saturating_sub(state.last_position);
        let due = passed >= self.resume.every_bytes || state.last.elapsed() >= self.resume.every;
        if !due || state.offer.is_some() || state.ended {
            return;
        }
        let (length, own) = make();
        state.offer = Some(Checkpoint {
            number: batch.number.saturating_add(1),
            position: batch.end(),
            length,
            state: own,
        });
    }

    /// The batch `number` is written.
    pub(super) fn written(&self, number: u64) {
        let mut state = self.lock();
        state.beyond.insert(number);
        loop {
            let complete = state.complete;
            if !state.beyond.remove(&complete) {
                break;
            }
            state.complete = complete.saturating_add(1);
        }
        if state.ready() {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Writes checkpoints until [`Checkpointer::end`].
    ///
    /// # Errors
    /// The target cannot be synced, which must not be forgotten, since the system tells it
    /// once; or the checkpoint cannot be written.
    pub(super) fn run(&self) -> Result<(), DiskError> {
        loop {
            let mut state = self.lock();
            while !state.ready() && !state.ended {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.ended {
                return Ok(());
            }
            let Some(checkpoint) = state.offer.clone() else {
                continue;
            };
            drop(state);
            self.part.sync_data()?;
            checkpoint.store(self.target, self.key)?;
            let mut state = self.lock();
            state.offer = None;
            state.last = Instant::now();
            state.last_position = checkpoint.position;
        }
    }

    /// No more checkpoints.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }
}

impl State {
    fn ready(&self) -> bool {
        self.offer
            .as_ref()
            .is_some_and(|offer| offer.number <= self.complete)
    }
}
