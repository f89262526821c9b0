//! The log lines of steps, written to the store in batches.
//!
//! A plugin's log call must not wait for the database, so lines go into a bounded queue
//! that one task empties. A full queue drops lines and says how many.

use super::notice::{Notice, Publisher};
use cofferdam_store::{LogLevel, NewLogLine, Store, Time};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How many lines may wait.
const QUEUE: usize = 8192;
/// How many lines are written in one transaction.
const BATCH: usize = 512;
/// How long a line waits for others to be written with it.
const LINGER: Duration = Duration::from_millis(20);

enum Item {
    Line(Box<NewLogLine>),
    Flush(oneshot::Sender<()>),
}

/// Where lines go in. Clones share the queue.
#[derive(Debug, Clone)]
pub struct LogQueue {
    sender: mpsc::Sender<Item>,
    dropped: Arc<AtomicU64>,
}

/// Where lines come out.
pub struct LogWriter {
    receiver: mpsc::Receiver<Item>,
    dropped: Arc<AtomicU64>,
}

/// A queue.
pub fn queue() -> (LogQueue, LogWriter) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    (
        LogQueue {
            sender,
            dropped: Arc::clone(&dropped),
        },
        LogWriter { receiver, dropped },
    )
}

impl LogQueue {
    /// Adds a line, or counts it as dropped where too many wait.
    pub fn push(&self, line: NewLogLine) {
        if self.sender.try_send(Item::Line(Box::new(line))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns when every line that was added before is written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.sender.send(Item::Flush(done)).await.is_ok() {
            written.await.ok();
        }
    }
}

impl LogWriter {
    /// Writes lines until the queue is gone.
    pub async fn run(mut self, store: Store, publisher: Arc<Publisher>) {
        let mut items = Vec::new();
        while self.receiver.recv_many(&mut items, BATCH).await > 0 {
            let flushed = items.iter().any(|item| matches!(item, Item::Flush(_)));
            if items.len() < BATCH && !flushed {
                tokio::time::sleep(LINGER).await;
                while items.len() < BATCH
                    && let Ok(item) = self.receiver.try_recv()
                {
                    items.push(item);
                }
            }
            self.write(&store, &publisher, std::mem::take(&mut items))
                .await;
        }
    }

    async fn write(&self, store: &Store, publisher: &Publisher, items: Vec<Item>) {
        let mut lines = Vec::with_capacity(items.len());
        let mut flushed = Vec::new();
        for item in items {
            match item {
                Item::Line(line) => lines.push(*line),
                Item::Flush(done) => flushed.push(done),
            }
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0
            && let Some(last) = lines.last()
        {
            lines.push(NewLogLine {
                run: last.run.clone(),
                step: None,
                plugin: None,
                level: LogLevel::Warn,
                message: format!(
                    "{dropped} log lines of this and other runs were dropped, because more came than could be written"
                ),
                fields: json!({}),
                at: Time::now(),
            });
        }
        if !lines.is_empty() {
            match store.append_log(lines) {
                Ok(lines) if publisher.is_watched() => {
                    for line in lines {
                        publisher.tell(Notice::Log(Arc::new(line)));
                    }
                }
                Ok(_) => {}
                // Logs are for people; a run does not fail because they cannot be kept.
                Err(error) => tracing::error!(%error, "log lines of runs are lost"),
            }
        }
        for done in flushed {
            done.send(()).ok();
        }
    }
}
