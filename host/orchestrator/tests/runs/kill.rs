//! The host killed after each write to the journal, one after the other.
//!
//! A child process of this test binary is the host. It aborts itself in the write with which
//! the journal has as many events as it was told to live for; the parent starts the next
//! over the same folder, until the run ends. An outside ledger, one file for each
//! key that an effect was started under, says whether anything happened twice.

use crate::common::{Host, actor};
use cofferdam_orchestrator::runs::{StartRun, WorkflowSource};
use cofferdam_store::{
    ApprovalState, EventFilter, OperationState, PageRequest, RunFilter, RunState, StepState, Store,
};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const STATE: &str = "COFFERDAM_TEST_KILL_STATE";
const EVENTS: &str = "COFFERDAM_TEST_KILL_EVENTS";
const PARKS: &str = "COFFERDAM_TEST_KILL_PARKS";

const WORKFLOW: &str = "
name: ten
steps:
  - { id: s1, uses: scripted, compensate: true, with: { name: s1, out: { n: 1 } } }
  - { id: s2, uses: scripted, compensate: true, needs: [s1], with: { name: s2, operation: two } }
  - { id: s3, uses: scripted, needs: [s1], with: { name: s3, sleep-ms: 1 } }
  - { id: s4, uses: scripted, with: { name: s4, note: '${{ steps.s2.outputs.operation }}' } }
  - { id: s5, uses: scripted, needs: [s3], with: { name: s5, operation: five } }
  - { id: s6, uses: scripted, needs: [s4, s5], approval: true, with: { name: s6, operation: six } }
  - { id: s7, uses: scripted, needs: [s6], with: { name: s7 } }
  - { id: s8, uses: scripted, needs: [s6], compensate: true, with: { name: s8 } }
  - { id: s9, uses: scripted, if: 'false', needs: [s7, s8], with: { name: s9 } }
  - { id: s10, uses: scripted, needs: [s9], with: { name: s10, fail: invalid } }
";

/// A compensation is parked, with another that waits for it.
const PARKING: &str = "
name: parks
steps:
  - { id: s1, uses: scripted, compensate: true, with: { name: s1 } }
  - { id: s2, uses: scripted, compensate: true, needs: [s1], with: { name: s2, undo-operation: undo } }
  - { id: s3, uses: scripted, needs: [s2], with: { name: s3, fail: invalid } }
";

/// Not a test of its own: the host that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(state), Ok(events)) = (std::env::var(STATE), std::env::var(EVENTS)) else {
        return;
    };
    let state = Path::new(&state);
    let limit: i64 = events.parse().unwrap();
    let host = Host::over(state, Arc::default()).await;
    let store = host.orchestrator.store.clone();
    let die = {
        let store = store.clone();
        move || {
            if store.newest_event().unwrap_or(0) >= limit {
                std::process::abort();
            }
        }
    };
    store.observe_writes({
        let die = die.clone();
        move |_, _| die()
    });
    // What it went on with has written already.
    die();
    let runs = &host.orchestrator.runs;
    let listed = runs
        .list(&RunFilter::default(), &PageRequest::default())
        .unwrap();
    let run = match listed.items.first() {
        Some(run) => run.id.clone(),
        None => {
            let parks = std::env::var_os(PARKS).is_some();
            let text = if parks { PARKING } else { WORKFLOW };
            let workflow = WorkflowSource::Text(text.to_owned());
            let request = StartRun::new(workflow, Value::Null);
            runs.start(&actor(), request).await.unwrap().run.id
        }
    };
    loop {
        let view = runs.get(&run).unwrap();
        if view.run.state.is_finished() {
            break;
        }
        if let Some(approval) = view
            .approvals
            .iter()
            .find(|approval| approval.state == ApprovalState::Pending)
        {
            // Somebody else may have been quicker: an earlier process.
            let (step, digest) = (&approval.step, &approval.digest);
            runs.approve(&actor(), &run, step, digest, None).await.ok();
        }
        if view.run.state == RunState::NeedsAttention {
            runs.resume(&actor(), &run).await.ok();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    host.orchestrator.shutdown().await;
    std::process::exit(0);
}

fn live_for(state: &Path, events: i64) -> bool {
    live(state, events, false)
}

fn live(state: &Path, events: i64, parks: bool) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "kill::child", "--nocapture"])
        .env(STATE, state)
        .env(EVENTS, events.to_string());
    if parks {
        child.env(PARKS, "1");
    }
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() || output.status.code().is_none(),
        "the host ended otherwise than by its kill: {:?}\n{text}",
        output.status
    );
    output.status.success()
}

/// What is true of the run however often and whenever its hosts were killed.
fn check(state: &Path, kills: u32, what: &str) {
    let store = Store::open(state.join("cofferdam.db")).unwrap();
    let runs = store
        .runs(&RunFilter::default(), &PageRequest::default())
        .unwrap();
    assert_eq!(runs.items.len(), 1, "{what}");
    let view = store.run_detail(&runs.items[0].id).unwrap();
    assert_eq!(view.run.state, RunState::Failed, "{what}");
    let error = view.run.error.as_ref().unwrap();
    assert!(
        error.message.contains("step `s10` failed"),
        "{what}: {error:?}"
    );
    let state = |id: &str| {
        view.steps
            .iter()
            .find(|step| step.step == id)
            .unwrap()
            .state
    };
    for id in ["s1", "s2", "s8"] {
        assert_eq!(state(id), StepState::Compensated, "{what}: {id}");
    }
    for id in ["s3", "s4", "s5", "s6", "s7"] {
        assert_eq!(state(id), StepState::Succeeded, "{what}: {id}");
    }
    assert_eq!(
        (state("s9"), state("s10")),
        (StepState::Skipped, StepState::Failed)
    );
    for step in &view.steps {
        assert_eq!(
            step.failures,
            u32::from(step.step == "s10"),
            "{what}: {}",
            step.step
        );
        let most = 1 + kills;
        assert!(step.attempt <= most, "{what}: {step:?}");
        assert!(step.compensation_attempt <= most, "{what}: {step:?}");
    }
    let operations = store.operations(&view.run.id).unwrap();
    assert_eq!(operations.len(), 3, "{what}: {operations:?}");
    for operation in &operations {
        assert_eq!(
            operation.result,
            Some(json!({"key": operation.key})),
            "{what}"
        );
    }
}

fn newest(state: &Path) -> i64 {
    let store = Store::open(state.join("cofferdam.db")).unwrap();
    store.newest_event().unwrap()
}

#[test]
fn killed_at_each_event_the_run_ends_the_same() {
    let mut at = 1;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let killed = !live_for(folder.path(), at);
        if !killed {
            break;
        }
        assert!(live_for(folder.path(), i64::MAX), "killed at {at}");
        check(folder.path(), 1, &format!("killed at {at}"));
        at += 1;
    }
    assert!(at > 30, "only {at} kills hit");
}

#[test]
fn killed_again_and_again_the_run_ends_the_same() {
    // At least what a life needs to get further than the one before.
    const LIFE: i64 = 7;
    let folder = tempfile::tempdir().unwrap();
    let mut kills = 0;
    while !live_for(folder.path(), newest(folder.path()) + LIFE) {
        kills += 1;
        assert!(kills < 200, "the run does not end");
    }
    assert!(kills >= 4, "only {kills} kills hit");
    check(folder.path(), kills, "killed again and again");
}

/// That nothing was undone before somebody resumed the run, and everything afterwards.
fn check_parked(state: &Path, what: &str) {
    let store = Store::open(state.join("cofferdam.db")).unwrap();
    let runs = store
        .runs(&RunFilter::default(), &PageRequest::default())
        .unwrap();
    let view = store.run_detail(&runs.items[0].id).unwrap();
    assert_eq!(view.run.state, RunState::Failed, "{what}");
    let states: Vec<_> = view.steps.iter().map(|step| step.state).collect();
    let undone = StepState::Compensated;
    assert_eq!(states, [undone, undone, StepState::Failed], "{what}");
    let filter = EventFilter {
        run: Some(view.run.id.clone()),
        ..EventFilter::default()
    };
    let events = store.events(0, &filter, 1000).unwrap();
    let first = |kind: &str, step: Option<&str>| {
        let found = events
            .iter()
            .find(|event| event.kind == kind && event.step.as_deref() == step);
        found
            .unwrap_or_else(|| panic!("{what}: no {kind} of {step:?}: {events:#?}"))
            .id
    };
    let resumed = first("run.resumed", None);
    assert!(
        first("step.needs-attention", Some("s2")) < resumed,
        "{what}"
    );
    assert!(resumed < first("step.compensated", Some("s2")), "{what}");
    assert!(resumed < first("step.compensating", Some("s1")), "{what}");
    let operations = store.operations(&view.run.id).unwrap();
    let states: Vec<_> = operations.iter().map(|operation| operation.state).collect();
    let expected = [OperationState::Abandoned, OperationState::Finished];
    assert_eq!(states, expected, "{what}");
}

#[test]
fn killed_at_each_event_a_compensation_stays_parked_until_it_is_resumed() {
    let mut at = 1;
    loop {
        let folder = tempfile::tempdir().unwrap();
        if live(folder.path(), at, true) {
            break;
        }
        assert!(live(folder.path(), i64::MAX, true), "killed at {at}");
        check_parked(folder.path(), &format!("killed at {at}"));
        at += 1;
    }
    assert!(at > 15, "only {at} kills hit");
}
