//! Filters that cannot be made.

use crate::recording::RecordingError;
use cofferdam_contract::kinds::Kind;
use std::path::PathBuf;

/// Why a filter cannot be put around a plugin.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A value is out of its range.
    #[error("[[plugins.{plugin}.filters]] {filter}: `{key}` {reason}")]
    Value {
        /// The plugin's id.
        plugin: String,
        /// Which filter.
        filter: &'static str,
        /// Which key.
        key: &'static str,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The plugin has no such function.
    #[error(
        "[[plugins.{plugin}.filters]] {filter}: a {kind} has no function `{function}`; it has {known}"
    )]
    Function {
        /// The plugin's id.
        plugin: String,
        /// Which filter.
        filter: &'static str,
        /// What was named.
        function: String,
        /// The plugin's kind.
        kind: Kind,
        /// What there is.
        known: String,
    },
    /// Not every filter is for every kind.
    #[error(
        "[[plugins.{plugin}.filters]] {filter}: {plugin} is a {kind}, and recordings are of fixers, inspectors and workflow steps; take the filter out, or use `log`"
    )]
    NotForKind {
        /// The plugin's id.
        plugin: String,
        /// Which filter.
        filter: &'static str,
        /// The plugin's kind.
        kind: Kind,
    },
    /// A recording cannot be used.
    #[error("[[plugins.{plugin}.filters]] replay: {error}")]
    Recording {
        /// The plugin's id.
        plugin: String,
        /// What is wrong with it.
        #[source]
        error: RecordingError,
    },
    /// There is nothing to answer with.
    #[error(
        "[[plugins.{plugin}.filters]] replay: {} holds no recording of {plugin}; name the file or folder that its `record` filter wrote",
        from.display()
    )]
    NothingRecorded {
        /// The plugin's id.
        plugin: String,
        /// Where was looked.
        from: PathBuf,
    },
}
