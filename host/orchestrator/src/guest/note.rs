//! Remarks for the person who approves.

use cofferdam_contract::types::{Error, ErrorCode, Severity};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

/// Most remarks of one plugin in a run: more than anybody reads.
const MOST_OF_A_PLUGIN: usize = 1_000;

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Id of the plugin that made it; `cofferdam` for the host's own.
    pub plugin: String,
    /// How much it matters.
    #[serde(with = "severity")]
    pub severity: Severity,
    /// What it says.
    pub message: String,
}

impl Note {
    /// The host's own remark.
    pub fn host(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            plugin: "cofferdam".to_owned(),
            severity,
            message: message.into(),
        }
    }

    /// Whether the plan must not be applied.
    pub fn blocks(&self) -> bool {
        self.severity == Severity::Block
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.plugin, self.message)
    }
}

/// Notes in the order they were made. One said twice is kept once.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Vec<Note>>);

impl Notes {
    /// Adds one of a plugin's.
    ///
    /// # Errors
    /// `limit` where the plugin has made too many.
    pub fn add_of_plugin(&self, note: Note) -> Result<(), Error> {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made = 0;
        for other in notes.iter().filter(|other| other.plugin == note.plugin) {
            if *other == note {
                return Ok(());
            }
            made += 1;
        }
        if made >= MOST_OF_A_PLUGIN {
            return Err(Error::new(
                ErrorCode::Limit,
                format!("a plugin makes at most {MOST_OF_A_PLUGIN} remarks in a run"),
            ));
        }
        notes.push(note);
        Ok(())
    }

    /// Adds one of the host's.
    pub fn add(&self, note: Note) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// All so far.
    pub fn all(&self) -> Vec<Note> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Severity as a lower-case word.
mod severity {
    use super::Severity;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match value {
            Severity::Info => "info",
            Severity::Warn => "warn",
            Severity::Block => "block",
        })
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Severity, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "info" => Ok(Severity::Info),
            "warn" => Ok(Severity::Warn),
            "block" => Ok(Severity::Block),
            other => Err(serde::de::Error::custom(format!(
                "unknown severity {other}; info, warn or block"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_never_stops_remarking_is_stopped_and_others_are_not() {
        let notes = Notes::default();
        let note = |plugin: &str, number: usize| Note {
            plugin: plugin.to_owned(),
            severity: Severity::Info,
            message: number.to_string(),
        };
        for number in 0..MOST_OF_A_PLUGIN {
            notes.add_of_plugin(note("a", number)).unwrap();
        }
        notes.add_of_plugin(note("a", 0)).unwrap();
        let error = notes
            .add_of_plugin(note("a", MOST_OF_A_PLUGIN))
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::Limit);
        notes.add_of_plugin(note("b", 0)).unwrap();
        notes.add(Note::host(Severity::Warn, "the host's own"));
        assert_eq!(notes.all().len(), MOST_OF_A_PLUGIN + 2);
    }
}
