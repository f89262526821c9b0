//! Keeps the write-ahead log short without making writes wait.
//!
//! SQLite would move the log into the file within some unlucky commit. Here a thread
//! does it, beside the writes. A log is begun anew only where a write finds it moved as a
//! whole, which never happens while writes follow each other without a pause; so once it
//! has grown long, the thread holds the writes for the short rest. Where the disk is so slow
//! that the thread falls far behind, whoever writes waits for it: the log's length is bounded
//! by how far that is, not by luck.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::StoreError;
use crate::connection::{self, Purpose, StoreOptions};
use crate::store::{Writer, lock};

/// After how many transactions the thread looks.
const TRANSACTIONS: u32 = 512;

/// How many transactions after its last look the writes wait for the next.
const FAR: u32 = 4 * TRANSACTIONS;

/// From which length of the log, in pages, writes are held for the rest of it.
const LONG: i64 = 4000;

/// The thread, ended with the store.
pub(crate) struct Checkpointer {
    counts: Arc<Counts>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Transactions, all and those that were there when the last finished look began.
#[derive(Default)]
struct Counts {
    committed: AtomicU32,
    looked: AtomicU32,
}

impl Checkpointer {
    /// Starts the thread for the database at `path`.
    pub(crate) fn start(
        path: &Path,
        options: &StoreOptions,
        writer: Arc<Mutex<Writer>>,
    ) -> Result<Self, StoreError> {
        let connection = connection::open(path, options, Purpose::Checkpoint)?;
        let (wake, woken) = sync_channel(1);
        let own_path = path.to_owned();
        let counts = Arc::<Counts>::default();
        let seen = Arc::clone(&counts);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || serve(&connection, &own_path, &writer, &woken, &seen))
            .map_err(|error| StoreError::Io {
                path: path.to_owned(),
                why: format!("no thread can be started: {error}"),
            })?;
        Ok(Self {
            counts,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// To be called after every transaction that changes, without the writer.
    pub(crate) fn committed(&self) {
        let Some(wake) = &self.wake else {
            return;
        };
        let before = self.counts.committed.fetch_add(1, Ordering::Relaxed);
        let looked = self.counts.looked.load(Ordering::Acquire);
        // An error of sending: the thread has gone, and the log grows. A full channel means
        // that the thread is about to look anyway, which only who is far ahead waits for.
        if before.wrapping_sub(looked) > FAR {
            let _ = wake.send(());
        } else if before % TRANSACTIONS == TRANSACTIONS - 1 {
            let _ = wake.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that shortens the write-ahead log has panicked");
        }
    }
}

fn serve(
    connection: &Connection,
    path: &Path,
    writer: &Mutex<Writer>,
    woken: &Receiver<()>,
    counts: &Counts,
) {
    while woken.recv().is_ok() {
        let committed = counts.committed.load(Ordering::Relaxed);
        let done = checkpoint(connection).and_then(|length| {
            if length < LONG {
                return Ok(());
            }
            let _held = lock(writer);
            checkpoint(connection).map(drop)
        });
        // Nothing is lost: the log only stays longer, and the next look may do better.
        if let Err(error) = done {
            tracing::warn!(%error, path = %path.display(), "the write-ahead log could not be moved into the database");
        }
        counts.looked.store(committed, Ordering::Release);
    }
}

/// Moves what it can without waiting; says the log's length in pages.
fn checkpoint(connection: &Connection) -> rusqlite::Result<i64> {
    let length = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?;
    Ok(length)
}
