//! What the kit found.

use crate::checks::Check;
use cofferdam_contract::kinds::Kind;
use serde::Serialize;

/// A component and its checks.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Its world.
    pub world: Kind,
    /// Sha256 of the component, lower-case hexadecimal.
    pub digest: String,
    /// Whether no check failed.
    pub passed: bool,
    /// Every check, in the order of [`CHECKS`](crate::checks::CHECKS).
    pub checks: Vec<Checked>,
}

/// One check and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// The check's name.
    pub name: &'static str,
    /// What has to hold.
    pub what: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed {
        /// What was seen, one line or several for each time.
        found: Vec<String>,
        /// What an author changes.
        mend: &'static str,
    },
    /// It cannot be made.
    NotApplicable {
        /// Why not.
        reason: String,
    },
}

impl Checked {
    /// It holds where nothing was found.
    pub fn of(check: &Check, found: Vec<String>) -> Self {
        let outcome = if found.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed {
                found,
                mend: check.mend,
            }
        };
        Self {
            name: check.name,
            what: check.what,
            outcome,
        }
    }

    /// It cannot be made.
    pub fn not_applicable(check: &Check, reason: &str) -> Self {
        Self {
            name: check.name,
            what: check.what,
            outcome: Outcome::NotApplicable {
                reason: reason.to_owned(),
            },
        }
    }

    /// Whether it failed.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }
}
