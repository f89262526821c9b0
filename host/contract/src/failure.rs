//! How a call to a plugin can end badly.
//!
//! Every variant names the plugin and the call, because the person who reads it has to
//! know whom to ask. An error that the plugin itself returned is kept apart from what
//! the host had to do to it.

use crate::limits::{HostLimits, LimitValue, Limits};
use crate::types::{Error, ErrorCode};
use serde::{Serialize, Serializer};
use thiserror::Error as ThisError;

/// Which plugin, and which of its functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callee {
    /// The plugin's id.
    pub plugin: String,
    /// The function that was called (`fix`, `read-at`); `load` and `start` for what comes
    /// before the first call.
    pub call: String,
}

impl std::fmt::Display for Callee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "plugin {}, call {}", self.plugin, self.call)
    }
}

/// A limit that the host enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Linear memory of the instance.
    Memory,
    /// Elements of the instance's tables.
    TableElements,
    /// Core instances that a component is made of.
    Instances,
    /// Thread time over all polls of the call, suspension excluded.
    Cpu,
    /// Time from the call's start to its end.
    WallClock,
    /// Stack of the guest.
    Stack,
    /// Calls of a plugin at once; whoever comes later waits.
    ConcurrentCalls,
    /// Calls that wait for their turn.
    QueueLength,
    /// Bytes that the guest hands over in one call to the host.
    HostCallBytes,
    /// Bytes that a call logs; lines beyond are dropped.
    LogBytes,
    /// Lines that a plugin logs in a second; lines beyond are dropped.
    LogRate,
    /// Host resources that the instance holds.
    OpenHandles,
    /// Bytes that a call sends through the network.
    Egress,
    /// Sessions of file systems at once, of all plugins.
    Sessions,
    /// Size of a component.
    ComponentSize,
    /// Thread time of the compiler.
    CompileCpu,
    /// Time from the compiler's start to its end.
    CompileTime,
    /// Address space of the compiler.
    CompileMemory,
}

impl Limit {
    /// Every limit.
    pub const ALL: [Self; 18] = [
        Self::Memory,
        Self::TableElements,
        Self::Instances,
        Self::Cpu,
        Self::WallClock,
        Self::Stack,
        Self::ConcurrentCalls,
        Self::QueueLength,
        Self::HostCallBytes,
        Self::LogBytes,
        Self::LogRate,
        Self::OpenHandles,
        Self::Egress,
        Self::Sessions,
        Self::ComponentSize,
        Self::CompileCpu,
        Self::CompileTime,
        Self::CompileMemory,
    ];

    /// The name in errors and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::TableElements => "table-elements",
            Self::Instances => "instances",
            Self::Cpu => "cpu",
            Self::WallClock => "wall-clock",
            Self::Stack => "stack",
            Self::ConcurrentCalls => "concurrent-calls",
            Self::QueueLength => "queue-length",
            Self::HostCallBytes => "host-call-bytes",
            Self::LogBytes => "log-bytes",
            Self::LogRate => "log-rate",
            Self::OpenHandles => "open-handles",
            Self::Egress => "egress",
            Self::Sessions => "sessions",
            Self::ComponentSize => "component-size",
            Self::CompileCpu => "compile-cpu",
            Self::CompileTime => "compile-time",
            Self::CompileMemory => "compile-memory",
        }
    }

    /// What to do when `plugin` reached it, half a sentence.
    pub fn remedy(self, plugin: &str) -> String {
        let raise = |row: LimitValue, table: &str| {
            format!(
                "raise `{}` in {table} of cofferdam.toml (at most {}) if the plugin is to be trusted with more",
                row.key, row.most
            )
        };
        if let Some(row) = Limits::DEFAULT.row(self) {
            return raise(row, &format!("[plugins.{plugin}.limits]"));
        }
        if let Some(row) = HostLimits::DEFAULT.row(self) {
            let table = format!("[plugins.{plugin}.limits] or, for all plugins, [limits]");
            return raise(row, &table);
        }
        match self {
            Self::Sessions => "it is the same for all guests; this one has too many file systems",
            _ => "it is the same for all plugins; this one has to need less",
        }
        .to_owned()
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A call that did not give its result.
#[derive(Debug, Clone, ThisError, PartialEq, Eq)]
pub enum CallError {
    /// The plugin returned its error record.
    #[error("{callee}: {}{}", error.message, hint_suffix(error))]
    Returned {
        /// Who returned it.
        callee: Callee,
        /// What it returned.
        error: Error,
    },
    /// The host stopped the call at a limit. The instance is gone.
    #[error(
        "{callee}: stopped at its {limit} limit of {allowed}; {}",
        limit.remedy(&callee.plugin)
    )]
    Limit {
        /// Who was stopped.
        callee: Callee,
        /// Which limit.
        limit: Limit,
        /// How much it allows, for people (`100 ms`, `64 MiB`).
        allowed: String,
    },
    /// The plugin's code trapped. The instance is gone.
    #[error("{callee}: the plugin crashed: {reason}")]
    Trapped {
        /// Who crashed.
        callee: Callee,
        /// The trap, in one line.
        reason: String,
    },
    /// The plugin returned something that the contract does not allow.
    #[error("{callee}: the plugin returned something the contract does not allow: {reason}")]
    Nonsense {
        /// Who returned it.
        callee: Callee,
        /// What is wrong with it.
        reason: String,
    },
    /// The run was cancelled while the call was going on.
    #[error("{callee}: cancelled")]
    Cancelled {
        /// What was going on.
        callee: Callee,
    },
    /// The host itself failed.
    #[error("{callee}: the host failed: {reason}")]
    Host {
        /// What was going on.
        callee: Callee,
        /// What failed.
        reason: String,
    },
}

fn hint_suffix(error: &Error) -> String {
    error
        .hint
        .as_ref()
        .map_or_else(String::new, |hint| format!(" ({hint})"))
}

impl CallError {
    /// Who was called.
    pub fn callee(&self) -> &Callee {
        match self {
            Self::Returned { callee, .. }
            | Self::Limit { callee, .. }
            | Self::Trapped { callee, .. }
            | Self::Nonsense { callee, .. }
            | Self::Cancelled { callee }
            | Self::Host { callee, .. } => callee,
        }
    }

    /// The contract's code for this failure, as another plugin or a program is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Returned { error, .. } => error.code,
            Self::Limit {
                limit: Limit::WallClock,
                ..
            } => ErrorCode::Timeout,
            Self::Limit { .. } => ErrorCode::Limit,
            Self::Cancelled { .. } => ErrorCode::Cancelled,
            Self::Trapped { .. } | Self::Nonsense { .. } | Self::Host { .. } => ErrorCode::Other,
        }
    }

    /// The plugin's own error record, where it returned one.
    pub fn returned(&self) -> Option<&Error> {
        match self {
            Self::Returned { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// What a plugin is told when another plugin that its call went through failed.
impl From<CallError> for Error {
    fn from(failure: CallError) -> Self {
        match failure {
            CallError::Returned { error, .. } => error,
            other => Self::new(other.code(), other.to_string()),
        }
    }
}
