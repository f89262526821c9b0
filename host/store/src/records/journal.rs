//! What is only ever added to: events, logs, and the operations with outside effects.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Time;
use crate::names::words;

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Its number: ascending over all runs, never reused.
    pub id: i64,
    /// The run; `plugin:ID` where it is about an installed plugin.
    pub run: String,
    /// The run's project; `*` where it is about the whole host.
    pub project: String,
    /// The step, if it is about one.
    pub step: Option<String>,
    /// The attempt, if it is about one.
    pub attempt: Option<u32>,
    /// When.
    pub at: Time,
    /// What happened, one of [`event_kind`](crate::event_kind).
    pub kind: String,
    /// More about it; an object.
    pub data: Value,
}

/// Which events are wanted: those that fit every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventFilter {
    /// Of this run.
    pub run: Option<String>,
    /// Of these projects; none for all.
    pub projects: Option<Vec<String>>,
    /// Of these kinds; empty for all. A kind that ends in a dot means all that begin so.
    pub kinds: Vec<String>,
}

impl EventFilter {
    /// Whether `event` fits.
    pub fn fits(&self, event: &Event) -> bool {
        self.run.as_ref().is_none_or(|run| *run == event.run)
            && self
                .projects
                .as_ref()
                .is_none_or(|projects| projects.contains(&event.project))
            && (self.kinds.is_empty()
                || self.kinds.iter().any(|kind| {
                    *kind == event.kind || (kind.ends_with('.') && event.kind.starts_with(kind))
                }))
    }
}

words! {
    /// How much a log line matters.
    LogLevel: "log level" {
        /// Every detail.
        Trace = "trace",
        /// For whoever looks for a fault.
        Debug = "debug",
        /// What happens.
        Info = "info",
        /// Worth a look.
        Warn = "warn",
        /// A failure.
        Error = "error",
    }
}

/// A line of a run's log, to be added.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLogLine {
    /// The run.
    pub run: String,
    /// The step.
    pub step: Option<String>,
    /// The id of the plugin that said it.
    pub plugin: Option<String>,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
    /// Its structured fields; an object.
    pub fields: Value,
    /// When it was said.
    pub at: Time,
}

/// A line of a run's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// Its number: ascending over all runs.
    pub id: i64,
    /// The run.
    pub run: String,
    /// The step.
    pub step: Option<String>,
    /// The id of the plugin that said it.
    pub plugin: Option<String>,
    /// How much it matters.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
    /// Its structured fields; an object.
    pub fields: Value,
    /// When it was said.
    pub at: Time,
}

/// Which lines are wanted: those that fit every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogFilter {
    /// Of this step.
    pub step: Option<String>,
    /// Of this plugin.
    pub plugin: Option<String>,
    /// At least this important.
    pub level: Option<LogLevel>,
    /// Whose message contains this, letter for letter.
    pub contains: Option<String>,
}

impl LogFilter {
    /// Whether `line` fits.
    pub fn fits(&self, line: &LogLine) -> bool {
        (self.step.is_none() || self.step == line.step)
            && (self.plugin.is_none() || self.plugin == line.plugin)
            && self.level.is_none_or(|level| line.level >= level)
            && self
                .contains
                .as_ref()
                .is_none_or(|text| line.message.contains(text))
    }
}

words! {
    /// Where a host operation is.
    OperationState: "operation state" {
        /// Begun; its effect may or may not exist.
        Started = "started",
        /// Ended, and its result is recorded.
        Finished = "finished",
        /// Begun, and nothing is known about its end.
        Lost = "lost",
        /// Given up by someone who resumed or retried the run: the next begin of the
        /// name makes a new operation with another key.
        Abandoned = "abandoned",
    }
}

/// A host operation: something with an effect outside, done once per key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Operation {
    /// What goes onto its effect, so that it can be found again; see
    /// [`operation_key`](crate::operation_key).
    pub key: String,
    /// The run.
    pub run: String,
    /// The step.
    pub step: String,
    /// Its name, unique in the step.
    pub name: String,
    /// What was asked.
    pub request: Value,
    /// Where it is.
    pub state: OperationState,
    /// What came of it, once finished.
    pub result: Option<Value>,
    /// When it began.
    pub started: Time,
    /// When it ended or was given up.
    pub finished: Option<Time>,
}

/// What was there when an operation was begun.
#[derive(Clone, Debug, PartialEq)]
pub enum OperationBegun {
    /// Nothing: it is recorded now, and the caller has to start it.
    New {
        /// Its key.
        key: String,
    },
    /// It was begun before: attach to it, or look for its effect by the key.
    Started {
        /// Its key.
        key: String,
    },
    /// It has ended before.
    Finished {
        /// Its key.
        key: String,
        /// Its recorded result.
        result: Value,
    },
    /// It was declared lost before, and nobody has resumed or retried the run since.
    Lost {
        /// Its key.
        key: String,
    },
}
