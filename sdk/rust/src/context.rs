//! What every plugin has, whatever its kind: the call that is going on, and its settings.

use serde::de::DeserializeOwned;

use crate::{
    error::{Error, Result},
    types::Timestamp,
};

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// Normal.
    Info,
    /// Unusual, and handled.
    Warn,
    /// Something failed.
    Error,
}

/// The call that is going on (`cofferdam:runtime/context` and `config`).
pub trait Context {
    /// The run this call belongs to: an opaque text, the same for every call of the run.
    fn run_id(&self) -> String;
    /// Milliseconds until the host stops this call; none when it is not limited.
    fn deadline(&self) -> Option<u32>;
    /// Whether the run was cancelled. A long loop asks now and then and ends with
    /// [`Error::cancelled`].
    fn cancelled(&self) -> bool;
    /// The time; for the pure kinds the plan's, which stands still.
    fn now(&self) -> Timestamp;
    /// How far the call is: `done` of `total` (0 when unknown) in `unit`s ("bytes").
    fn progress(&self, done: u64, total: u64, unit: &str);
    /// One log line with fields.
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]);
    /// The settings as JSON text, defaults filled in; [`settings`] reads it.
    fn settings_json(&self) -> String;
}

/// The plugin's settings as its own type. Also a method of `dyn Guest` and `dyn Trees`.
///
/// Fails with `invalid` where the type does not fit the manifest's schema, which is the
/// author's mistake: the host has checked the settings already.
pub fn settings<T: DeserializeOwned>(context: &(impl Context + ?Sized)) -> Result<T> {
    serde_json::from_str(&context.settings_json()).map_err(|error| {
        Error::invalid(format!(
            "the settings do not fit the plugin's type: {error}"
        ))
        .with_hint("plugin.toml and the plugin's code disagree; tell its author")
    })
}

/// Implements [`Context`] over one world's bindings.
#[allow(unused_macros, reason = "unused when no world's feature is chosen")]
macro_rules! host_context {
    ($type:ty, $bindings:path) => {
        impl $crate::context::Context for $type {
            fn run_id(&self) -> String {
                use $bindings as bindings;
                bindings::cofferdam::runtime::context::run_id()
            }
            fn deadline(&self) -> Option<u32> {
                use $bindings as bindings;
                bindings::cofferdam::runtime::context::deadline()
            }
            fn cancelled(&self) -> bool {
                use $bindings as bindings;
                bindings::cofferdam::runtime::context::cancelled()
            }
            fn now(&self) -> $crate::types::Timestamp {
                use $bindings as bindings;
                bindings::cofferdam::runtime::context::now()
            }
            fn progress(&self, done: u64, total: u64, unit: &str) {
                use $bindings as bindings;
                bindings::cofferdam::runtime::context::progress(done, total, unit);
            }
            fn log(&self, level: $crate::context::Level, message: &str, fields: &[(&str, &str)]) {
                use bindings::cofferdam::runtime::context::Level as Contract;
                use $bindings as bindings;
                use $crate::context::Level;
                let level = match level {
                    Level::Debug => Contract::Debug,
                    Level::Info => Contract::Info,
                    Level::Warn => Contract::Warn,
                    Level::Error => Contract::Error,
                };
                let fields: Vec<(String, String)> = fields
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_string()))
                    .collect();
                bindings::cofferdam::runtime::context::log(level, message, &fields);
            }
            fn settings_json(&self) -> String {
                use $bindings as bindings;
                bindings::cofferdam::runtime::config::settings()
            }
        }
    };
}
#[allow(unused_imports, reason = "unused when no world's feature is chosen")]
pub(crate) use host_context;
