//! What is asked of runs, and what is said of them.

use super::workflow::InputDefinition;
use cofferdam_store::{IdempotencyKey, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The project of whoever names none.
pub const DEFAULT_PROJECT: &str = "default";

/// Which workflow is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkflowSource {
    /// One saved in the project or part of the program, by name.
    Named(String),
    /// This YAML text.
    Text(String),
}

/// A run to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRun {
    /// The project it belongs to.
    pub project: String,
    /// What is run.
    pub workflow: WorkflowSource,
    /// The inputs by name; null for none. Files are paths on the host.
    pub inputs: Value,
    /// What whoever starts it says about it.
    pub labels: BTreeMap<String, String>,
    /// The run that this one belongs to.
    pub parent: Option<String>,
    /// The claimed idempotency key of the request.
    pub idempotency: Option<IdempotencyKey>,
}

impl StartRun {
    /// A run of `workflow` with `inputs` in the default project.
    pub fn new(workflow: WorkflowSource, inputs: Value) -> Self {
        Self {
            project: DEFAULT_PROJECT.to_owned(),
            workflow,
            inputs,
            labels: BTreeMap::new(),
            parent: None,
            idempotency: None,
        }
    }
}

/// A run with its steps, approvals, artifacts and pinned plugins.
pub type RunView = cofferdam_store::RunDetail;

/// What a workflow would do, without doing it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowPlan {
    /// Its name.
    pub workflow: String,
    /// SHA-256 of its text, hexadecimal.
    pub digest: String,
    /// What it does.
    pub description: Option<String>,
    /// What it is given.
    pub inputs: BTreeMap<String, InputDefinition>,
    /// Its steps, in the order of the file.
    pub steps: Vec<PlannedStep>,
    /// The names of what it gives back.
    pub outputs: Vec<String>,
}

/// One step of a [`WorkflowPlan`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its id.
    pub step: String,
    /// The plugin's id.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The plugin's digest.
    pub digest: String,
    /// The steps that come first, implied ones included.
    pub needs: Vec<String>,
    /// Whether it may be skipped.
    pub conditional: bool,
    /// Whether someone has to approve it.
    pub approval: bool,
    /// Whether it is compensated.
    pub compensate: bool,
    /// Its input, where that follows from the run's inputs alone; then the plugin has
    /// accepted it.
    pub input: Option<Value>,
}

/// A workflow that can be started by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowInfo {
    /// Its name.
    pub name: String,
    /// Its text.
    pub source: String,
    /// SHA-256 of its text, hexadecimal.
    pub digest: String,
    /// When it was saved; none for one that is part of the program.
    pub created: Option<Time>,
    /// Who saved it; none for one that is part of the program.
    pub actor: Option<String>,
}
