//! Every workflow step's cases, run against the compiled component: what a step plans and
//! does in the sandbox is what it does natively, and what its author wrote down.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "cases/convert.rs"]
#[allow(dead_code, reason = "the fixers' cases use the rest of it")]
mod convert;

use async_trait::async_trait;
use cofferdam_capabilities::{load_plugins, runtime};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, Kind, StepServices, WorkflowStep};
use cofferdam_contract::services::{Context, Secrets, Tools};
use cofferdam_contract::types::{
    Error, Level, StepPlan, Timestamp, ToolArgument, ToolOutcome, ToolRequest,
};
use cofferdam_runtime::{Options, PluginFolder};
use cofferdam_sdk::StepHost as _;
use cofferdam_sdk::step;
use cofferdam_sdk::testing::{MemoryStep, StepCase, StepResult, case_folders, plugin_defaults};
use cofferdam_tests::native_only::NativeOnly;
use cofferdam_tests::{plugin_sources, plugins};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A case's run: its time, in seconds since 1970.
struct CaseRun(i64);

impl Context for CaseRun {
    fn run_id(&self) -> String {
        "case".to_owned()
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn now(&self) -> Timestamp {
        Timestamp {
            seconds: self.0,
            nanoseconds: 0,
        }
    }
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, _: &str, _: Level, _: &str, _: &[(String, String)]) {}
}

/// The SDK's host in memory behind the services that a component imports.
struct Shared(Mutex<MemoryStep>);

fn argument(argument: ToolArgument) -> step::Argument {
    match argument {
        ToolArgument::Text(text) => step::Argument::Text(text),
        ToolArgument::Artifact(artifact) => step::Argument::Artifact {
            reference: artifact.reference,
            template: artifact.template,
            writable: artifact.writable,
        },
    }
}

#[async_trait]
impl Tools for Shared {
    async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        let request = step::ToolRequest {
            operation: request.operation,
            program: request.program,
            arguments: request.arguments.into_iter().map(argument).collect(),
            stop_when: request.stop_when,
            timeout_ms: request.timeout_ms,
        };
        let outcome = self.0.lock().unwrap().run(&request);
        let outcome = outcome.map_err(convert::error)?;
        Ok(ToolOutcome {
            exit: outcome.exit,
            signal: outcome.signal,
            matched: outcome.matched,
            timed_out: outcome.timed_out,
            tail: outcome.tail,
            output_bytes: outcome.output_bytes,
        })
    }
    async fn keep(&self, file: &str, name: &str) -> Result<String, Error> {
        let mut host = self.0.lock().unwrap();
        host.keep(file, name).map_err(convert::error)
    }
}

#[async_trait]
impl Secrets for Shared {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.0.lock().unwrap().secret(name).map_err(convert::error)
    }
}

/// The error record that a step returned.
fn returned<T>(result: Result<T, CallError>) -> Result<T, cofferdam_sdk::Error> {
    result.map_err(|failure| match failure {
        CallError::Returned { error, .. } => convert::error_back(error),
        other => panic!("{other}"),
    })
}

fn plan_of(plan: StepPlan) -> step::StepPlan {
    let planned = step::StepPlan::new(plan.summary);
    plan.changes.into_iter().fold(planned, |planned, change| {
        planned.change(change.action, change.subject, change.detail)
    })
}

/// Runs the component over a case.
async fn run(
    step: &dyn WorkflowStep,
    case: &StepCase,
    defaults: &Map<String, Value>,
) -> StepResult {
    let shared = Arc::new(Shared(Mutex::new(case.host(defaults))));
    let services = StepServices {
        tools: shared.clone(),
        secrets: shared.clone(),
        http: Arc::new(cofferdam_orchestrator::grants::Granted::nothing("case")),
        operations: Arc::new(NativeOnly),
        artifacts: Arc::new(NativeOnly),
    };
    let settings = step.manifest().settings(&case.settings).unwrap();
    let call = Call {
        context: Arc::new(CaseRun(case.now)),
        settings: settings.to_string(),
    };
    let input = case.input();
    let valid = step.validate(call.clone(), services.clone(), &input).await;
    if let Err(refused) = returned(valid) {
        return StepResult {
            refused: Some(refused),
            ..StepResult::default()
        };
    }
    let plan = step.plan(call.clone(), services.clone(), &input).await;
    let plan = plan_of(returned(plan).unwrap());
    let ended = returned(step.execute(call, services, &input).await);
    let host = shared.0.lock().unwrap();
    let output = ended.as_ref().ok();
    StepResult {
        refused: None,
        plan: Some(plan),
        runs: host.runs().to_vec(),
        kept: host.kept().to_vec(),
        output: output.map(|output| serde_json::from_str(output).unwrap()),
        error: ended.err(),
    }
}

#[tokio::test]
async fn every_case_holds_for_the_component() {
    let mut granted = Granted::nothing();
    let folders: Vec<PathBuf> = plugin_sources()
        .into_iter()
        .filter(|folder| folder.parent().unwrap().ends_with("steps"))
        .collect();
    let id = |folder: &Path| folder.file_name().unwrap().to_str().unwrap().to_owned();
    for folder in &folders {
        for interface in Kind::WorkflowStep.grantable_imports() {
            granted.grant(&id(folder), interface);
        }
    }
    let runtime = runtime(&Options::with_default_cache()).unwrap();
    let loaded = load_plugins(&runtime, PluginFolder::scan(&[plugins()]), &granted).unwrap();
    let mut failures = Vec::new();
    for folder in &folders {
        let id = id(folder);
        let step = loaded.steps.get(&id);
        let step = step.unwrap_or_else(|| panic!("{id} is not loaded; run `cargo xtask test`"));
        let defaults = plugin_defaults(folder).unwrap();
        for directory in case_folders(folder).unwrap() {
            let case = StepCase::load(&directory).unwrap();
            let expected = case.expected().unwrap();
            let result = run(step.as_ref(), &case, &defaults).await;
            if result != expected {
                failures.push(format!(
                    "{id}, {}: {result:#?} instead of {expected:#?}",
                    directory.display()
                ));
            }
        }
    }
    assert!(folders.len() >= 2, "{} steps", folders.len());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn each_step_imports_only_what_its_manifest_asks_for() {
    let granted = Granted::nothing();
    let runtime = runtime(&Options::uncached()).unwrap();
    let loaded = load_plugins(&runtime, PluginFolder::scan(&[plugins()]), &granted).unwrap();
    assert!(loaded.steps.is_empty(), "both need a grant");
    for id in ["boot-test", "command"] {
        let refused = loaded
            .ungranted
            .iter()
            .find(|refused| refused.path.ends_with(format!("{id}.wasm")));
        let reason = refused.unwrap().reason.to_string();
        let expected = format!("[plugins.{id}.grants.tool.");
        assert!(reason.contains(&expected), "{reason}");
        assert!(!reason.contains("secrets"), "{reason}");
    }
}
