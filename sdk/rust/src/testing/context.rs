//! The call that is going on, in memory.

use std::sync::Mutex;

use serde_json::Value;

use crate::{
    context::{Context, Level},
    types::Timestamp,
};

/// A context that a test sets up and looks into afterwards.
#[derive(Debug, Default)]
pub struct MemoryContext {
    /// What [`Context::settings_json`] says; `null` counts as no settings.
    pub settings: Value,
    /// The time.
    pub now: Timestamp,
    /// Whether the run was cancelled.
    pub cancelled: bool,
    log: Mutex<Vec<String>>,
}

impl MemoryContext {
    /// The log lines so far, `level message name=value …`.
    pub fn log_lines(&self) -> Vec<String> {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }
}

impl Context for MemoryContext {
    fn run_id(&self) -> String {
        "test".into()
    }
    fn deadline(&self) -> Option<u32> {
        None
    }
    fn cancelled(&self) -> bool {
        self.cancelled
    }
    fn now(&self) -> Timestamp {
        self.now
    }
    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let mut line = format!("{level:?} {message}").to_lowercase();
        for (name, value) in fields {
            line.push_str(&format!(" {name}={value}"));
        }
        if let Ok(mut log) = self.log.lock() {
            log.push(line);
        }
    }
    fn settings_json(&self) -> String {
        match &self.settings {
            Value::Null => "{}".into(),
            settings => settings.to_string(),
        }
    }
}

/// Implements [`Context`] by a field named `context`.
macro_rules! delegate_context {
    ($type:ty) => {
        impl $crate::context::Context for $type {
            fn run_id(&self) -> String {
                self.context.run_id()
            }
            fn deadline(&self) -> Option<u32> {
                self.context.deadline()
            }
            fn cancelled(&self) -> bool {
                self.context.cancelled()
            }
            fn now(&self) -> $crate::types::Timestamp {
                self.context.now()
            }
            fn progress(&self, done: u64, total: u64, unit: &str) {
                self.context.progress(done, total, unit);
            }
            fn log(&self, level: $crate::context::Level, message: &str, fields: &[(&str, &str)]) {
                self.context.log(level, message, fields);
            }
            fn settings_json(&self) -> String {
                self.context.settings_json()
            }
        }
    };
}
pub(super) use delegate_context;
