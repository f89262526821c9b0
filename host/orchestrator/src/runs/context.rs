//! What a step is told and can say while it goes on.

use super::log::LogQueue;
use super::notice::{Notice, Publisher};
use crate::redact::Redactor;
use cofferdam_contract::services::Context;
use cofferdam_contract::types::{Level, Timestamp};
use cofferdam_store::{LogLevel, NewLogLine, Time};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Progress is told at most this often for each step.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Tells calls that they are to end. Clones are the same signal.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    stopped: AtomicBool,
    parent: Option<StopSignal>,
}

impl StopSignal {
    /// A signal of its own that this one stops too.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Arc::new(Flag {
            stopped: AtomicBool::new(false),
            parent: Some(self.clone()),
        }))
    }

    /// From now on calls are cancelled.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
    }

    /// Whether calls are cancelled.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
            || self.0.parent.as_ref().is_some_and(Self::is_stopped)
    }

    /// Stops when what is returned is dropped: a call that is over, for whatever reason, is
    /// cancelled for all that it left behind on other threads.
    pub fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }
}

/// See [`StopSignal::on_drop`].
#[derive(Debug)]
pub struct StopOnDrop(StopSignal);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Whose call it is.
#[derive(Debug, Clone)]
pub struct StepName {
    /// The run.
    pub run: Arc<str>,
    /// The run's project.
    pub project: Arc<str>,
    /// The step.
    pub step: Arc<str>,
}

/// The context of one call.
pub struct StepContext {
    /// Whose call it is.
    pub name: StepName,
    /// Whether it is to end.
    pub stop: StopSignal,
    /// Where lines go.
    pub logs: LogQueue,
    /// Where progress goes.
    pub publisher: Arc<Publisher>,
    /// What takes secrets out.
    pub redactor: Redactor,
    /// When progress was told last.
    pub progress: Mutex<Option<Instant>>,
}

impl StepContext {
    /// Whether this progress is told: not more often than people can read, and the end
    /// always.
    fn is_due(&self, done: u64, total: u64) -> bool {
        let mut last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let due = last.is_none_or(|last| now.duration_since(last) >= PROGRESS_EVERY)
            || (total > 0 && done >= total);
        if due {
            *last = Some(now);
        }
        due
    }
}

impl Context for StepContext {
    fn run_id(&self) -> String {
        self.name.run.to_string()
    }

    fn cancelled(&self) -> bool {
        self.stop.is_stopped()
    }

    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: since.subsec_nanos(),
        }
    }

    fn progress(&self, plugin: &str, done: u64, total: u64, unit: &str) {
        if !self.publisher.is_watched() || !self.is_due(done, total) {
            return;
        }
        self.publisher.tell(Notice::Progress {
            run: Arc::clone(&self.name.run),
            project: Arc::clone(&self.name.project),
            step: Arc::clone(&self.name.step),
            what: self.redactor.text(plugin).into(),
            done,
            total,
            unit: self.redactor.text(unit).into(),
        });
    }

    fn log(&self, plugin: &str, level: Level, message: &str, fields: &[(String, String)]) {
        let fields: Map<String, Value> = fields
            .iter()
            .map(|(name, value)| {
                (
                    self.redactor.text(name).into_owned(),
                    Value::String(self.redactor.text(value).into_owned()),
                )
            })
            .collect();
        self.logs.push(NewLogLine {
            run: self.name.run.to_string(),
            step: Some(self.name.step.to_string()),
            plugin: Some(plugin.to_owned()),
            level: match level {
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            },
            message: self.redactor.text(message).into_owned(),
            fields: Value::Object(fields),
            at: Time::now(),
        });
    }
}
