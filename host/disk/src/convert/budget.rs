//! How many batches are worked on at once, over all conversions that share a budget.
//!
//! A thread takes a permit before it takes a batch and gives it back when the batch is
//! written; with it comes the memory of a batch. So the disks of a machine, converted side
//! by side, use the processors and the memory of one, and when one disk is done its share
//! goes to the others. Since whoever holds a batch holds a permit, waiting for an earlier
//! batch always waits for a thread that works.

use super::worker::Clusters;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The most threads that a conversion uses; each holds a few megabytes.
const MAX_THREADS: usize = 16;

/// Threads that several conversions share. Clones are the same budget.
#[derive(Clone)]
pub struct ThreadBudget(Arc<Shared>);

struct Shared {
    threads: usize,
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    free: usize,
    /// Memory that was used before.
    kept: Vec<Clusters>,
}

impl ThreadBudget {
    /// This many threads, at most 16; 0 takes four for each processor, so that some compute
    /// while others wait for the disk.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(4, |n| n.get().saturating_mul(4)),
            threads => threads,
        }
        .min(MAX_THREADS);
        Self(Arc::new(Shared {
            threads,
            state: Mutex::new(State {
                free: threads,
                kept: Vec::new(),
            }),
            freed: Condvar::new(),
        }))
    }

    /// How many batches are worked on at once.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.threads
    }

    /// Waits for a permit.
    pub(super) fn take(&self) -> Permit<'_> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.free == 0 {
            state = self
                .0
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.free = state.free.saturating_sub(1);
        let clusters = state.kept.pop();
        drop(state);
        Permit {
            budget: self,
            clusters: Some(clusters.unwrap_or_else(Clusters::new)),
        }
    }
}

impl std::fmt::Debug for ThreadBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ThreadBudget({})", self.0.threads)
    }
}

/// The right to work on one batch, and the memory for it.
pub(super) struct Permit<'a> {
    budget: &'a ThreadBudget,
    clusters: Option<Clusters>,
}

impl Permit<'_> {
    /// Memory for a batch.
    pub(super) fn clusters(&mut self) -> &mut Clusters {
        self.clusters.get_or_insert_with(Clusters::new)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let shared = &self.budget.0;
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.free = state.free.saturating_add(1);
        state.kept.extend(self.clusters.take());
        drop(state);
        shared.freed.notify_one();
    }
}
