//! What people see of installed plugins.

use super::CrashPolicy;
use cofferdam_contract::grants::{Difference, Want};
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::manifest::Manifest;
use cofferdam_store::{Crash, PluginVersion, Quarantine};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A plugin that has installed versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Installed {
    /// Its id.
    pub id: String,
    /// Its kind, that of the active version, or else of the one installed last.
    pub kind: Kind,
    /// The number of the active version; none where none is: then a file of the plugin
    /// folders serves, if there is one.
    pub active: Option<String>,
    /// Why the active version cannot be used, where it cannot.
    pub problem: Option<String>,
    /// What is done when it crashes.
    pub policy: CrashPolicy,
    /// Its versions, the one installed last first.
    pub versions: Vec<Version>,
}

/// One installed version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// What was installed, by whom and when, with which grants, and since when it is active.
    #[serde(flatten)]
    pub record: PluginVersion,
    /// How it does.
    pub crash: CrashState,
    /// The runs that began with it and have not ended, the oldest first, at most 100: while
    /// there are any, it cannot be removed.
    pub pinned_by: Vec<String>,
}

/// How a version does, installed or of a plugin folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashState {
    /// How often it crashed within the time that its policy counts.
    pub crashes: u32,
    /// The last of these crashes.
    pub last: Option<Crash>,
    /// Since when and why it is not called any more, where that is so.
    pub quarantine: Option<Quarantine>,
    /// The runs that are parked until it is back, the oldest first.
    pub waiting: Vec<String>,
    /// How many calls of it are going on.
    pub calls: u64,
}

/// What installing a file would mean. Nothing was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The plugin's manifest.
    pub manifest: Manifest,
    /// Its kind.
    pub kind: Kind,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// The interfaces it imports, WASI apart.
    pub imports: Vec<String>,
    /// What it wants beyond what its kind always has, and why.
    pub wants: Vec<Want>,
    /// The active version's number, if there is one.
    pub active: Option<String>,
    /// How what it wants differs from what the active version wants; without an active
    /// version everything is added.
    pub difference: Difference,
    /// What somebody has to grant so that it can be installed: the part of what it wants
    /// that neither the configuration nor the active version's grants cover.
    pub missing: Difference,
    /// What a table of the configuration leaves out of what it wants: programs that it does
    /// not name, secrets and hosts that none of its patterns match. The configuration decides:
    /// the plugin is installed without.
    pub left_out: Vec<Want>,
    /// The lines of `cofferdam.toml` that would grant what is missing as the plugin
    /// proposes; empty where nothing is.
    pub lines: String,
    /// Whether exactly this file is installed already.
    pub installed: bool,
}

/// What is granted together with an installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Approval {
    /// Nothing beyond the configuration and what the active version has, as far as it is
    /// still wanted.
    #[default]
    Nothing,
    /// What the plugin's manifest proposes, no more and no less, beside the configuration.
    Proposed,
    /// These scopes, by the keys of `[plugins.ID.grants]` (`tool`, `secrets`, `http`).
    Given(Map<String, Value>),
}
