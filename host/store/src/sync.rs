//! Makes commits survive the loss of power, many with one sync of the disk.
//!
//! SQLite can sync its log within a commit (`synchronous = FULL`), but then every other
//! write waits for the disk as well. Here a commit is written like one that survives a
//! kill, and the log is synced after it, while other writes go on; whoever commits during
//! a sync shares the next one. That is what SQLite's own sync would have done: in WAL mode
//! a commit is durable once its frames in the log are, and a checkpoint syncs the log
//! before it moves frames into the database, and the database before the log begins anew
//! (<https://www.sqlite.org/wal.html>).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::StoreError;
use crate::files::beside;
use crate::store::lock;

/// The syncs of one database's log.
pub(crate) struct LogSync {
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many syncs have begun.
    begun: u64,
    /// How many of them have ended.
    ended: u64,
    /// Why one failed. From then on none counts: the kernel may have dropped what it could
    /// not write, and the next sync would not tell.
    failed: Option<String>,
}

impl LogSync {
    /// For the database at `path`.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: beside(path, "-wal"),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Returns once all that was committed before the call survives the loss of power.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let mut state = lock(&self.state);
        // One that is going on may have begun before the commit.
        let mine = state.begun.saturating_add(1);
        loop {
            if let Some(why) = &state.failed {
                return Err(StoreError::Io {
                    path: self.path.clone(),
                    why: format!(
                        "it could not be synced ({why}), so that what was written last may not \
                         survive the loss of power; check the disk, then start the host again"
                    ),
                });
            }
            if state.ended >= mine {
                return Ok(());
            }
            if state.begun > state.ended {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.begun = mine;
            drop(state);
            let synced = File::open(&self.path).and_then(|file| file.sync_data());
            state = lock(&self.state);
            state.ended = mine;
            state.failed = synced.err().map(|error| error.to_string());
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn everyone_returns_after_a_sync_that_began_after_their_call() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        std::fs::write(beside(&path, "-wal"), b"frames").unwrap();
        let log = LogSync::new(&path);
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let ended = lock(&log.state).ended;
                        log.sync().unwrap();
                        assert!(lock(&log.state).ended > ended);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let state = lock(&log.state);
        assert_eq!(state.begun, state.ended);
        assert_eq!(done.load(Ordering::Relaxed), 400);
        assert!(state.begun <= 400);
    }

    #[test]
    fn a_failed_sync_is_never_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let log = LogSync::new(&path);
        assert!(matches!(log.sync(), Err(StoreError::Io { .. })));
        std::fs::write(beside(&path, "-wal"), b"frames").unwrap();
        let error = log.sync().unwrap_err();
        assert!(
            error.to_string().contains("start the host again"),
            "{error}"
        );
    }
}
