//! What several of the store's tests need.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use cofferdam_store::{
    Attempt, AttemptOutcome, Change, Durability, NewArtifact, NewAudit, NewPin, NewRun, NewStep,
    RunState, Store, new_run_id,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A store in a folder of its own, which lives as long.
pub struct Place {
    pub store: Store,
    pub folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(folder.path().join("cofferdam.db")).unwrap(),
            folder,
        }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("cofferdam.db")
    }
}

/// The audit record of `action`.
pub fn audit(action: &str) -> NewAudit {
    NewAudit {
        actor: "ada".to_owned(),
        via: "local".to_owned(),
        address: None,
        action: action.to_owned(),
        target: "target".to_owned(),
        project: Some("default".to_owned()),
        detail: json!({}),
    }
}

/// A run of `steps`, to be created.
pub fn new_run(steps: &[&str]) -> NewRun {
    NewRun {
        id: new_run_id(),
        project: "default".to_owned(),
        workflow: "nightly".to_owned(),
        workflow_digest: "d1".to_owned(),
        source: "name: nightly\n".to_owned(),
        inputs: json!({ "size": 3 }),
        actor: "ada".to_owned(),
        parent: None,
        labels: BTreeMap::from([("team".to_owned(), "red".to_owned())]),
        steps: steps
            .iter()
            .map(|step| NewStep {
                step: (*step).to_owned(),
                plugin: Some("sha".to_owned()),
            })
            .collect(),
        plugins: vec![NewPin {
            id: "command".to_owned(),
            version: "0.1.0".to_owned(),
            digest: "sha".to_owned(),
            path: "components/sha.wasm".to_owned(),
        }],
        artifacts: vec![NewArtifact {
            name: "inputs/disk".to_owned(),
            path: "/disks/a.qcow2".to_owned(),
            size: 1 << 40,
            sha256: None,
        }],
        idempotency: None,
    }
}

/// Writes down a run of `steps` and starts it; says its id.
pub fn running(store: &Store, steps: &[&str]) -> String {
    let run = new_run(steps);
    store.create_run(&run, &audit("run.start")).unwrap();
    store.set_run_state(&run.id, RunState::Running).unwrap();
    run.id
}

/// An attempt of a step without an approval.
pub fn attempt(step: &str) -> Attempt {
    Attempt {
        step: step.to_owned(),
        input: json!({ "program": "true" }),
        digest: None,
        interrupted: false,
    }
}

/// The success of an attempt.
pub fn success(output: Value) -> AttemptOutcome {
    AttemptOutcome::Succeeded { output }
}

/// Executes a step to its success.
pub fn succeed(store: &Store, run: &str, step: &str) {
    let begun = store.begin_attempt(run, attempt(step)).unwrap();
    let number = begun[0].attempt.unwrap();
    let change = Change::End {
        step: step.to_owned(),
        attempt: number,
        outcome: success(json!({ "exit": 0 })),
    };
    store.advance(run, Durability::Process, &[change]).unwrap();
}
