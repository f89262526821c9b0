//! What happens, told to whoever watches while it happens.
//!
//! **Design.** Watchers get events in the order of their ids, although many runs write at
//! once: one task reads the journal behind the newest event that was told, whenever a run
//! says that it wrote something, and only while somebody watches. So telling costs a run
//! nothing but a wake-up, and a watcher that has seen event 12 has seen event 11.
//!
//! **Limits.** A watcher that falls behind by more than [`BACKLOG`] notices is told so
//! (`Lagged`) and reads what it missed from the store by id. Progress is not kept.

use cofferdam_store::{Event, EventFilter, LogLine, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::{Notify, broadcast};

/// How many notices a watcher may be behind.
pub const BACKLOG: usize = 4096;
/// How many events are read at once.
const BATCH: u32 = 512;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Notice {
    /// The journal has a new event.
    Event(Arc<Event>),
    /// A step said something.
    Log(Arc<LogLine>),
    /// How far a step is; not kept.
    Progress {
        /// The run.
        run: Arc<str>,
        /// The run's project.
        project: Arc<str>,
        /// The step.
        step: Arc<str>,
        /// What goes on (a plugin's id, a disk's name).
        what: Arc<str>,
        /// How much is done.
        done: u64,
        /// Of how much; 0 when that is not known.
        total: u64,
        /// Of what (`bytes`).
        unit: Arc<str>,
    },
}

/// Tells watchers.
#[derive(Debug)]
pub struct Publisher {
    sender: broadcast::Sender<Notice>,
    written: Notify,
    told: AtomicI64,
}

impl Publisher {
    /// A publisher that nobody watches yet.
    pub fn new() -> Self {
        Self {
            sender: broadcast::Sender::new(BACKLOG),
            written: Notify::new(),
            told: AtomicI64::new(0),
        }
    }

    /// Watches from now on.
    pub fn subscribe(&self, store: &Store) -> broadcast::Receiver<Notice> {
        let receiver = self.sender.subscribe();
        // The first watcher is told what is written from now on, not what was written
        // while nobody watched. A journal that cannot be read is told from where it was.
        if self.sender.receiver_count() == 1
            && let Ok(newest) = store.newest_event()
        {
            self.told.store(newest, Ordering::SeqCst);
        }
        receiver
    }

    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Says that the journal has new events.
    pub fn events_written(&self) {
        if self.is_watched() {
            self.written.notify_one();
        }
    }

    /// Tells something that is not an event.
    pub fn tell(&self, notice: Notice) {
        // An error means that nobody watches.
        self.sender.send(notice).ok();
    }

    /// Reads and tells events for ever.
    pub async fn tell_events(&self, store: &Store) {
        loop {
            self.written.notified().await;
            while self.is_watched() {
                let after = self.told.load(Ordering::SeqCst);
                let events = match store.events(after, &EventFilter::default(), BATCH) {
                    Ok(events) => events,
                    Err(error) => {
                        tracing::error!(%error, "the journal cannot be read for its watchers");
                        break;
                    }
                };
                let more = events.len() >= BATCH as usize;
                for event in events {
                    // A watcher that came meanwhile may have moved the mark ahead.
                    self.told.fetch_max(event.id, Ordering::SeqCst);
                    self.tell(Notice::Event(Arc::new(event)));
                }
                if !more {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}
