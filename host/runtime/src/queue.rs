//! How many calls of one plugin there are at once, and how many wait.
//!
//! Those beyond the first limit wait in the order they came; those beyond the second fail at
//! once, so that a plugin that cannot keep up is noticed and takes no memory. Waiting is not
//! part of a call's time.

use cofferdam_contract::limits::Limits;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The calls of one plugin.
#[derive(Debug)]
pub(crate) struct CallQueue {
    turns: Arc<Semaphore>,
    waiting: AtomicU32,
    longest: u32,
}

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// As many as may wait do already.
    Full,
    /// The runtime is gone.
    Closed,
}

/// Counts one that waits, until it does no more, for whatever reason.
struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CallQueue {
    /// Nobody is there yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(limits.concurrent_calls as usize)),
            waiting: AtomicU32::new(0),
            longest: limits.queue_length,
        }
    }

    /// Waits for a turn; says so before, where it has to. Dropping the turn gives it back.
    pub(crate) async fn enter(
        &self,
        must_wait: impl FnOnce(),
    ) -> Result<OwnedSemaphorePermit, NoTurn> {
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(turn);
        }
        must_wait();
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.longest {
            return Err(NoTurn::Full);
        }
        let turns = Arc::clone(&self.turns);
        turns.acquire_owned().await.map_err(|_| NoTurn::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn beyond_the_calls_one_waits_and_beyond_the_queue_one_fails() {
        let queue = CallQueue::new(&Limits {
            concurrent_calls: 1,
            queue_length: 1,
            ..Limits::DEFAULT
        });
        let first = queue.enter(|| panic!("it need not wait")).await.unwrap();
        let waited = std::cell::Cell::new(false);
        let second = queue.enter(|| waited.set(true));
        tokio::pin!(second);
        assert!(timeout(SOON, &mut second).await.is_err(), "it waits");
        assert_eq!(queue.enter(|| ()).await.unwrap_err(), NoTurn::Full);
        assert_eq!(queue.enter(|| ()).await.unwrap_err(), NoTurn::Full);
        drop(first);
        drop(second.await.unwrap());
        assert!(waited.get());
        assert!(queue.enter(|| ()).await.is_ok());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_the_place_to_others() {
        let queue = CallQueue::new(&Limits {
            concurrent_calls: 1,
            queue_length: 1,
            ..Limits::DEFAULT
        });
        let first = queue.enter(|| ()).await.unwrap();
        assert!(timeout(SOON, queue.enter(|| ())).await.is_err());
        let next = queue.enter(|| ());
        tokio::pin!(next);
        assert!(timeout(SOON, &mut next).await.is_err(), "it may wait");
        drop(first);
        drop(next.await.unwrap());
    }
}
