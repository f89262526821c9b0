//! Giving a plugin a scenario, and what came of it.

use crate::convert;
use crate::examine::KitError;
use crate::host::context::Run;
use crate::host::device::Device;
use crate::host::guest::Shared;
use crate::host::source::{Folder, Recorded};
use crate::host::step::Offered;
use crate::host::trees::Shown;
use crate::scenario::{self, Given, Scenario};
use crate::subject::{Ready, Subject};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{
    Call, DiskSource, Filesystem, Fixer, FixerGuest, Inspector, SessionSlot, WorkflowStep,
};
use cofferdam_sdk::testing::{
    DirectoryFolder, InspectorOutcome, MemoryGuest, MemoryMachine, MemoryStep, MemoryTrees,
    Outcome, SourceOutcome, StepResult,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What a plugin did with what it was given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observation {
    /// Calls that the plugin did not answer, or that it answered with an error record.
    pub failures: Vec<CallError>,
    /// What it recorded and answered, in the form of a case's `expected.json`.
    pub outcome: Value,
    /// What it did when it was done already, a sentence each; none where it was nothing.
    pub again: Vec<String>,
}

/// How a scenario is given.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How<'a> {
    /// The run's name.
    pub(crate) run: &'static str,
    /// Settings instead of those that the scenario has.
    pub(crate) settings: Option<&'a str>,
    /// Whether the run was cancelled before it began.
    pub(crate) cancelled: bool,
}

/// A value as JSON; what cannot be written is nothing.
fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// What was behind a lock that nobody else holds any more.
fn unlock<T: Default>(mutex: &Mutex<T>) -> T {
    std::mem::take(&mut mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Gives the plugin a scenario, in a fresh instance.
pub(crate) async fn observe(
    subject: &Subject,
    scenario: &Scenario,
    how: How<'_>,
) -> Result<Observation, KitError> {
    let cases = match &scenario.given {
        Given::Fixer(case) => (case.now, &case.settings),
        Given::Inspector(case) => (0, &case.settings),
        Given::Source(case) => (0, &case.settings),
        Given::Step(case) => (case.now, &case.settings),
        _ => (0, &Map::new()),
    };
    let settings = match how.settings {
        Some(settings) => settings.to_owned(),
        None => subject
            .manifest
            .settings(cases.1)
            .map_err(|error| KitError::Cases(format!("{}: {error}", scenario.name)))?
            .to_string(),
    };
    let call = Call {
        context: Arc::new(Run {
            id: how.run,
            now: cases.0,
            cancelled: how.cancelled,
        }),
        settings,
    };
    match &subject.plugin {
        Ready::Fixer(fixer) => fix(fixer.as_ref(), scenario, call).await,
        Ready::Inspector(inspector) => inspect(inspector.as_ref(), scenario, call).await,
        Ready::Source(source) => discover(source.as_ref(), scenario, call).await,
        Ready::Filesystem(filesystem) => look(filesystem.as_ref(), scenario, call).await,
        Ready::Step(step) => walk(step.as_ref(), scenario, call).await,
    }
}

/// The failure of a call, and what of it a double would have seen.
struct Ended {
    failures: Vec<CallError>,
}

impl Ended {
    const fn new() -> Self {
        Self {
            failures: Vec::new(),
        }
    }

    /// The result as a double has it.
    fn back<T>(&mut self, result: Result<T, CallError>) -> cofferdam_sdk::Result<T> {
        result.map_err(|failure| {
            let error = convert::error_back(failure.clone().into());
            self.failures.push(failure);
            error
        })
    }
}

fn case_error(error: cofferdam_sdk::Error) -> KitError {
    KitError::Cases(error.to_string())
}

async fn fix(fixer: &dyn Fixer, scenario: &Scenario, call: Call) -> Result<Observation, KitError> {
    let guest = match &scenario.given {
        Given::Fixer(case) => case.guest(&Map::new()).map_err(case_error)?,
        Given::Ordinary | Given::Unreadable => scenario::small_guest(),
        _ => MemoryGuest::new(),
    };
    let facts = Arc::new(convert::facts(&guest.facts));
    let shared = Arc::new(Shared {
        guest: Mutex::new(guest),
        readable: !matches!(scenario.given, Given::Unreadable),
    });
    let given = FixerGuest {
        view: Arc::clone(&shared) as _,
        facts,
        edits: Arc::clone(&shared) as _,
    };
    let mut ended = Ended::new();
    let result = ended.back(fixer.fix(call.clone(), given.clone()).await);
    let fixed = result.is_ok();
    let outcome = {
        let mut guest = shared.guest.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = Outcome::new(&guest, result);
        guest.begin_again();
        outcome
    };
    let mut again = Vec::new();
    if fixed {
        let result = fixer.fix(call, given).await;
        let guest = shared.guest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(failure) = result {
            again.push(format!("on its own result it fails: {failure}"));
        }
        again.extend(guest.edits().iter().map(|edit| {
            let edit = value(edit);
            let text = |key: &str| edit.get(key).and_then(Value::as_str).unwrap_or_default();
            format!(
                "on its own result it records again: {} {} ({})",
                text("op"),
                text("path"),
                text("reason")
            )
        }));
    }
    Ok(Observation {
        failures: ended.failures,
        outcome: value(outcome),
        again,
    })
}

async fn inspect(
    inspector: &dyn Inspector,
    scenario: &Scenario,
    call: Call,
) -> Result<Observation, KitError> {
    let trees = match &scenario.given {
        Given::Inspector(case) => case.trees(&Map::new()).map_err(case_error)?,
        Given::Ordinary | Given::Unreadable => {
            let mut trees = MemoryTrees::new();
            trees.devices = scenario::small_devices();
            trees.add_tree(1, "ext4", scenario::small_linux());
            trees
        }
        _ => MemoryTrees::new(),
    };
    let shown = Arc::new(Shown {
        trees: Mutex::new(trees),
        readable: !matches!(scenario.given, Given::Unreadable),
    });
    let mut ended = Ended::new();
    let answer = inspector.inspect(call, Arc::clone(&shown) as _, Arc::clone(&shown) as _);
    let error = ended.back(answer.await).err();
    let findings = unlock(&shown.trees).findings;
    Ok(Observation {
        failures: ended.failures,
        outcome: value(InspectorOutcome { findings, error }),
        again: Vec::new(),
    })
}

/// The file that a disk source is asked about where no case says another.
const FILE: &str = "disk.img";

async fn discover(
    source: &dyn DiskSource,
    scenario: &Scenario,
    call: Call,
) -> Result<Observation, KitError> {
    let folder = tempfile::tempdir().map_err(KitError::Scratch)?;
    let (open, laid_out) = match &scenario.given {
        Given::Source(case) => {
            let laid_out = case.lay_out(folder.path()).map_err(case_error)?;
            (case.open.as_str(), laid_out)
        }
        given => {
            if !matches!(given, Given::Nothing) {
                zeros(&folder.path().join(FILE)).map_err(KitError::Scratch)?;
            }
            (FILE, DirectoryFolder::new(folder.path()))
        }
    };
    let shown = Arc::new(Folder {
        folder: laid_out,
        readable: !matches!(scenario.given, Given::Unreadable),
    });
    let recorded = Arc::new(Recorded(Mutex::new(MemoryMachine::new())));
    let mut ended = Ended::new();
    let answer = source.discover(call, shown, Arc::clone(&recorded) as _, open);
    let result = ended.back(answer.await);
    let outcome = SourceOutcome::new(unlock(&recorded.0), result);
    Ok(Observation {
        failures: ended.failures,
        outcome: value(outcome),
        again: Vec::new(),
    })
}

fn zeros(path: &Path) -> std::io::Result<()> {
    std::fs::File::create(path)?.set_len(1 << 20)
}

async fn look(
    filesystem: &dyn Filesystem,
    scenario: &Scenario,
    call: Call,
) -> Result<Observation, KitError> {
    let device = match scenario.given {
        Given::Device(device) => device,
        _ => Device::Zeros,
    };
    let mut ended = Ended::new();
    let mut again = Vec::new();
    let opened = filesystem.open(call, Arc::new(device), SessionSlot::unlimited());
    let mut outcome = json!({});
    if let Ok(session) = ended.back(opened.await) {
        let first = ended.back(session.probe().await);
        if let Ok(first) = &first {
            match session.probe().await {
                Ok(second) if second == *first => {}
                second => again.push(format!(
                    "probed again, the same device gives {second:?} instead of {first:?}"
                )),
            }
        }
        outcome = json!({ "probe": value(first.as_ref().ok()) });
        if matches!(first, Ok(Some(_))) && ended.back(session.mount(false).await).is_ok() {
            let root = ended.back(session.list_directory("/", "", 100).await);
            outcome = json!({ "probe": outcome, "root": value(root.ok()) });
        }
    }
    Ok(Observation {
        failures: ended.failures,
        outcome,
        again,
    })
}

async fn walk(
    step: &dyn WorkflowStep,
    scenario: &Scenario,
    call: Call,
) -> Result<Observation, KitError> {
    let (host, input) = match &scenario.given {
        Given::Step(case) => (case.host(&Map::new()), case.input()),
        Given::Input(input) => (MemoryStep::new(), input.clone()),
        _ => (MemoryStep::new(), "{}".to_owned()),
    };
    let offered = Arc::new(Offered(Mutex::new(host)));
    let services = || Offered::services(&offered);
    let mut ended = Ended::new();
    let mut again = Vec::new();
    let mut result = StepResult::default();
    match ended.back(step.validate(call.clone(), services(), &input).await) {
        Err(error) => result.refused = Some(error),
        Ok(()) => {
            let plan = step.plan(call.clone(), services(), &input).await;
            let second = step.plan(call.clone(), services(), &input).await;
            if plan != second {
                again.push(format!(
                    "planned again, the same input gives {second:?} instead of {plan:?}"
                ));
            }
            result.plan = ended.back(plan).ok().map(convert::step_plan_back);
            let output = ended.back(step.execute(call.clone(), services(), &input).await);
            (result.runs, result.kept) =
                offered.with(|host| (host.runs().to_vec(), host.kept().to_vec()));
            let text = output.as_ref().ok().cloned();
            match output {
                Ok(output) => result.output = serde_json::from_str(&output).ok(),
                Err(error) => result.error = Some(error),
            }
            let undone = step.compensate(call, services(), &input, text.as_deref());
            // Whether it can be undone here is its own affair, as long as it answers.
            ended.back(undone.await).ok();
        }
    }
    Ok(Observation {
        failures: ended.failures,
        outcome: value(result),
        again,
    })
}
