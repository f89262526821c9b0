//! Filters as data: `[[plugins.ID.filters]]`.

use crate::code::Code;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// A filter around the calls of a plugin. The first of the list is nearest to the plugin,
/// the last is what the host calls.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(
    tag = "filter",
    deny_unknown_fields,
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum FilterConfig {
    /// Calls begin later.
    Delay {
        /// The functions it is for, such as `fix` or `read-at`; all where none is named.
        #[serde(default)]
        functions: Vec<String>,
        /// How much later, milliseconds.
        #[serde(default)]
        fixed_ms: u32,
        /// The most that is added to that, milliseconds; how much, the seed decides.
        #[serde(default)]
        jitter_ms: u32,
        /// Decides the jitter of each call.
        #[serde(default)]
        seed: u64,
    },
    /// Calls end with an error record, and the plugin is not called.
    Error {
        /// The functions it is for; all where none is named.
        #[serde(default)]
        functions: Vec<String>,
        /// The record's code.
        #[serde(default)]
        code: Code,
        /// The record's message.
        #[serde(default)]
        message: Option<String>,
        /// When trying again makes sense, milliseconds.
        #[serde(default)]
        retry_after_ms: Option<u32>,
        /// Every so many calls one fails. Either this or `probability`.
        #[serde(default)]
        every: Option<u64>,
        /// How many of all calls fail, above 0 and at most 1. Either this or `every`.
        #[serde(default)]
        probability: Option<f64>,
        /// Decides which calls fail by `probability`. Where there is none one is chosen; it is
        /// in the host's log and in each error's message.
        #[serde(default)]
        seed: Option<u64>,
    },
    /// No more calls than so many a second, over all runs.
    Rate {
        /// The functions it is for, counted together; all where none is named.
        #[serde(default)]
        functions: Vec<String>,
        /// Calls a second, above 0.
        per_second: f64,
        /// How many may come at once, at least 1.
        #[serde(default = "one")]
        burst: u32,
        /// What becomes of the others.
        #[serde(default)]
        excess: Excess,
    },
    /// Each call is a line of the run's log: function, time, outcome and sizes, no contents.
    Log {
        /// The functions it is for; all where none is named.
        #[serde(default)]
        functions: Vec<String>,
        /// How loud the lines are.
        #[serde(default)]
        level: LogLevel,
    },
    /// Everything that crosses the boundary in a call is written to a file. For fixers,
    /// inspectors and workflow steps.
    Record {
        /// The functions it is for; all where none is named.
        #[serde(default)]
        functions: Vec<String>,
        /// Where the files are put, one a call.
        folder: PathBuf,
        /// Which calls are kept.
        #[serde(default)]
        keep: Keep,
        /// How many recordings the folder may hold; then no more are made.
        #[serde(default = "most_recordings")]
        at_most: u32,
    },
    /// The plugin is not called: recordings of it answer. For fixers, inspectors and workflow
    /// steps.
    Replay {
        /// A recording, or a folder of them.
        from: PathBuf,
    },
}

fn one() -> u32 {
    1
}

fn most_recordings() -> u32 {
    1_000
}

/// What becomes of calls above the rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Excess {
    /// They wait for their turn.
    #[default]
    Wait,
    /// They end with the code `limit`, which says when to try again.
    Refuse,
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// For authors.
    Debug,
    /// Normal.
    #[default]
    Info,
    /// Unusual.
    Warn,
}

/// Which recordings are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Those of every call.
    #[default]
    All,
    /// Those of calls that did not end well.
    Failed,
}

impl FilterConfig {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Error { .. } => "error",
            Self::Rate { .. } => "rate",
            Self::Log { .. } => "log",
            Self::Record { .. } => "record",
            Self::Replay { .. } => "replay",
        }
    }

    /// The path in it, which is relative to the configuration.
    pub fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Record { folder, .. } => Some(folder),
            Self::Replay { from } => Some(from),
            Self::Delay { .. } | Self::Error { .. } | Self::Rate { .. } | Self::Log { .. } => None,
        }
    }

    pub(crate) fn functions(&self) -> &[String] {
        match self {
            Self::Delay { functions, .. }
            | Self::Error { functions, .. }
            | Self::Rate { functions, .. }
            | Self::Log { functions, .. }
            | Self::Record { functions, .. } => functions,
            Self::Replay { .. } => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FilterConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn each_filter_is_read_with_its_defaults() {
        assert_eq!(
            read("filter = \"rate\"\nper-second = 2").unwrap(),
            FilterConfig::Rate {
                functions: Vec::new(),
                per_second: 2.0,
                burst: 1,
                excess: Excess::Wait,
            }
        );
        for (text, name) in [
            ("filter = \"delay\"\nfixed-ms = 5\nseed = 1", "delay"),
            (
                "filter = \"error\"\nevery = 3\ncode = \"no-space\"",
                "error",
            ),
            ("filter = \"log\"\nfunctions = [\"fix\"]", "log"),
            (
                "filter = \"record\"\nfolder = \"r\"\nkeep = \"failed\"",
                "record",
            ),
            ("filter = \"replay\"\nfrom = \"r\"", "replay"),
        ] {
            assert_eq!(read(text).unwrap().name(), name);
        }
    }

    #[test]
    fn what_is_misspelt_is_refused() {
        for (text, expected) in [
            ("filter = \"dely\"", "unknown variant `dely`"),
            ("filter = \"log\"\nfolder = \"r\"", "unknown field `folder`"),
            ("filter = \"rate\"", "missing field `per-second`"),
            ("filter = \"error\"\ncode = \"NotFound\"", "unknown variant"),
            ("filter = \"delay\"\nfixed-ms = -1", "invalid value"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
