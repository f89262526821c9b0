//! The threads of a conversion.
//!
//! Each thread takes the next batch, reads it, drops what is zero and hands the rest to
//! the sink. Reading, inflating, compressing and writing of different batches overlap;
//! only handing out batches and allocating space are serial. The first error stops all.

use super::budget::ThreadBudget;
use super::buffer::AlignedBuffer;
use super::checkpointer::Checkpointer;
use super::plan::{BATCH, Batch, CLUSTER, Planner};
use crate::{CancelFlag, DiskError, Image, Progress, bytes};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Takes the clusters of batches, from many threads at once.
pub(super) trait Sink: Sync {
    /// Stores the clusters of `batch`. A sink that needs batches in order waits.
    fn write(&self, batch: &Batch, clusters: &mut Clusters) -> Result<(), DiskError>;

    /// Another thread has failed: whoever waits for its batch must not.
    fn abort(&self) {}
}

/// The clusters of a batch that are not zero, whole and one after the other in memory.
pub(super) struct Clusters {
    buffer: AlignedBuffer,
    /// Guest offset of each cluster in the buffer, ascending.
    offsets: Vec<u64>,
}

impl Clusters {
    pub(super) fn new() -> Self {
        Self {
            buffer: AlignedBuffer::new(BATCH as usize),
            offsets: Vec::new(),
        }
    }

    /// Guest offsets of the clusters.
    pub(super) fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// All clusters one after the other.
    pub(super) fn bytes(&self) -> &[u8] {
        let length = self.offsets.len().saturating_mul(CLUSTER as usize);
        self.buffer.get().get(..length).unwrap_or_default()
    }

    /// `count` clusters from number `index` on.
    pub(super) fn clusters(&self, index: usize, count: usize) -> &[u8] {
        let at = index.saturating_mul(CLUSTER as usize);
        let length = count.saturating_mul(CLUSTER as usize);
        bytes::slice(self.bytes(), at, length).unwrap_or_default()
    }

    /// Runs of clusters that follow each other on the disk: guest offset and bytes.
    pub(super) fn runs(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = self.bytes();
        self.offsets
            .chunk_by(|one, two| one.saturating_add(CLUSTER) == *two)
            .map_while(move |run| {
                let (bytes, after) =
                    rest.split_at_checked(run.len().saturating_mul(CLUSTER as usize))?;
                rest = after;
                Some((*run.first()?, bytes))
            })
    }

    /// Reads a batch and keeps what is not zero. Returns how many bytes were read.
    fn read(&mut self, source: &dyn Image, batch: &Batch) -> Result<u64, DiskError> {
        self.offsets.clear();
        let buffer = self.buffer.get_mut();
        let mut at = 0;
        let mut read = 0u64;
        for piece in &batch.pieces {
            let length = usize::try_from(piece.length).unwrap_or(usize::MAX);
            let whole = length.next_multiple_of(CLUSTER as usize);
            let part = bytes::slice_mut(buffer, at, whole).unwrap_or_default();
            let Some((data, padding)) = part.split_at_mut_checked(length) else {
                continue;
            };
            source.read_at(piece.offset, data)?;
            padding.fill(0);
            read = read.saturating_add(piece.length);
            at = at.saturating_add(whole);
        }
        let guest = batch.pieces.iter().flat_map(|piece| {
            let end = piece.offset.saturating_add(piece.length);
            (piece.offset..end).step_by(CLUSTER as usize)
        });
        let mut to = 0;
        for (index, offset) in guest.enumerate() {
            let from = index.saturating_mul(CLUSTER as usize);
            let cluster = bytes::slice(buffer, from, CLUSTER as usize).unwrap_or_default();
            if bytes::is_zero(cluster) {
                continue;
            }
            if from != to {
                buffer.copy_within(from..from.saturating_add(CLUSTER as usize), to);
            }
            to = to.saturating_add(CLUSTER as usize);
            self.offsets.push(offset);
        }
        Ok(read)
    }
}

/// Lets threads pass in the order of their batches.
pub(super) struct Turnstile {
    state: Mutex<Turn>,
    changed: Condvar,
}

struct Turn {
    next: u64,
    aborted: bool,
}

/// The right to be next, until it is dropped.
pub(super) struct Pass<'a> {
    turnstile: &'a Turnstile,
}

impl Turnstile {
    /// The first to pass is the batch `number`.
    pub(super) fn starting_at(number: u64) -> Self {
        Self {
            state: Mutex::new(Turn {
                next: number,
                aborted: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all batches before `number` have passed.
    ///
    /// # Errors
    /// [`DiskError::Cancelled`] if one of them never will.
    pub(super) fn wait(&self, number: u64) -> Result<Pass<'_>, DiskError> {
        let mut turn = self.lock();
        while turn.next != number && !turn.aborted {
            turn = self
                .changed
                .wait(turn)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if turn.aborted {
            return Err(DiskError::Cancelled);
        }
        Ok(Pass { turnstile: self })
    }

    pub(super) fn abort(&self) {
        self.lock().aborted = true;
        self.changed.notify_all();
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut turn = self.turnstile.lock();
        turn.next = turn.next.saturating_add(1);
        drop(turn);
        self.turnstile.changed.notify_all();
    }
}

/// Releases the threads that wait for one that panics, in a source or a progress
/// callback; the panic itself goes on to the caller.
struct AbortOnPanic<'a>(&'a dyn Sink);

impl Drop for AbortOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abort();
        }
    }
}

/// What all threads of a conversion share.
struct Shared<'a> {
    planner: Mutex<Planner<'a>>,
    failure: Mutex<Option<DiskError>>,
    /// Bytes of the disk behind the last finished batch, and bytes read.
    done: Mutex<(u64, u64)>,
}

/// What [`run`] copies, and from where on.
pub(super) struct Job<'a> {
    pub(super) source: &'a dyn Image,
    /// Bytes of the disk that are copied already, and the batches that were.
    pub(super) from: (u64, u64),
    pub(super) budget: &'a ThreadBudget,
    pub(super) checkpoints: Option<&'a Checkpointer<'a>>,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a CancelFlag,
}

/// Copies the rest of the source into `sink`. Returns how many bytes were read.
pub(super) fn run(job: &Job<'_>, sink: &dyn Sink) -> Result<u64, DiskError> {
    let (position, number) = job.from;
    let shared = Shared {
        planner: Mutex::new(Planner::new(job.source, position, number)),
        failure: Mutex::new(None),
        done: Mutex::new((position, 0)),
    };
    job.progress.update(position, job.source.size());
    let fail = |error: DiskError| {
        let mut failure = shared
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Later ones are most often threads that were told to stop.
        failure.get_or_insert(error);
        drop(failure);
        sink.abort();
    };
    let guarded = || {
        let _guard = AbortOnPanic(sink);
        if let Err(error) = work(job, sink, &shared) {
            fail(error);
        }
    };
    std::thread::scope(|scope| {
        if let Some(checkpoints) = job.checkpoints {
            scope.spawn(|| checkpoints.run().unwrap_or_else(&fail));
        }
        // Also when a worker panics: the scope waits for the thread that writes checkpoints.
        let _end = job.checkpoints.map(EndCheckpoints);
        let workers: Vec<_> = (1..job.budget.threads())
            .map(|_| scope.spawn(guarded))
            .collect();
        guarded();
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    if let Some(error) = shared
        .failure
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
    {
        return Err(error);
    }
    let (_, read) = shared
        .done
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let total = job.source.size();
    job.progress.update(total, total);
    Ok(read)
}

/// Tells the thread that writes checkpoints to end.
struct EndCheckpoints<'a>(&'a Checkpointer<'a>);

impl Drop for EndCheckpoints<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Takes batches until there are no more.
fn work(job: &Job<'_>, sink: &dyn Sink, shared: &Shared<'_>) -> Result<(), DiskError> {
    let total = job.source.size();
    loop {
        job.cancel.check()?;
        let mut permit = job.budget.take();
        let batch = {
            // Under the planner's lock, so that no batch is handed out after a failure.
            let mut planner = shared
                .planner
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if shared
                .failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_some()
            {
                return Ok(());
            }
            match planner.next()? {
                Some(batch) => batch,
                None => return Ok(()),
            }
        };
        let clusters = permit.clusters();
        let read = clusters.read(job.source, &batch)?;
        sink.write(&batch, clusters)?;
        if let Some(checkpoints) = job.checkpoints {
            checkpoints.written(batch.number);
        }
        let mut done = shared.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.0 = batch.end().max(done.0);
        done.1 = done.1.saturating_add(read);
        job.progress.update(done.0, total);
    }
}
