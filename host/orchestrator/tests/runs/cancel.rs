//! Cancelling, and undoing what succeeded.

use crate::common::{Host, actor, states, step};
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{RunState, StepState};
use serde_json::json;

const UNDOABLE: &str = "
name: undoable
inputs: { fail: { type: boolean, default: false }, broken: { type: boolean, default: false } }
steps:
  - { id: a, uses: scripted, compensate: true, with: { name: a } }
  - { id: b, uses: scripted, compensate: true, needs: [a], with: { name: b, compensation-fails: '${{ inputs.broken }}' } }
  - { id: c, uses: scripted, needs: [b], with: { name: c } }
  - { id: d, uses: scripted, compensate: true, needs: [c], with: { name: d } }
  - { id: slow, uses: scripted, if: not inputs.fail, compensate: true, needs: [d], with: { name: slow, sleep-ms: 60000 } }
  - { id: bad, uses: scripted, if: inputs.fail, compensate: true, needs: [d], with: { name: bad, fail: invalid } }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_run_stops_and_is_undone_in_reverse() {
    let host = Host::new().await;
    let run = host.start(UNDOABLE, json!({})).await.run.id;
    host.until(&run, |view| step(view, "slow").state == StepState::Running)
        .await;
    let runs = &host.orchestrator.runs;
    let view = runs.cancel(&actor(), &run, Some("enough")).await.unwrap();
    assert_eq!(view.run.state, RunState::Cancelling);
    let view = host.until_state(&run, RunState::Cancelled).await;
    let states = states(&view);
    assert_eq!(states["slow"], StepState::Cancelled);
    for id in ["a", "b", "d"] {
        assert_eq!(states[id], StepState::Compensated, "{id}");
    }
    assert_eq!(states["c"], StepState::Succeeded);
    assert_eq!(host.diary.count("done slow"), 0);
    let undoing: Vec<String> = host
        .diary
        .all()
        .into_iter()
        .filter(|entry| entry.starts_with("compensate") || entry.starts_with("undone"))
        .collect();
    assert_eq!(
        undoing,
        [
            "compensate d",
            "undone d",
            "compensate b",
            "undone b",
            "compensate a",
            "undone a"
        ]
    );
    let again = runs.cancel(&actor(), &run, None).await.unwrap_err();
    assert_eq!(again.code(), ErrorCode::Conflict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_run_is_undone_and_says_why_it_failed() {
    let host = Host::new().await;
    let view = host.run(UNDOABLE, json!({"fail": true})).await;
    assert_eq!(view.run.state, RunState::Failed);
    assert!(
        view.run
            .error
            .as_ref()
            .unwrap()
            .message
            .contains("step `bad` failed")
    );
    assert_eq!(
        host.diary.starting("undone"),
        ["undone d", "undone b", "undone a"]
    );
    assert_eq!(states(&view)["slow"], StepState::Skipped);

    // Retried, all that was undone is done again.
    let id = view.run.id;
    host.orchestrator.runs.retry(&actor(), &id).await.unwrap();
    host.until(&id, |view| view.run.state == RunState::Failed)
        .await;
    assert_eq!(host.diary.count("done a"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_undone_is_said_and_the_rest_is_undone() {
    let host = Host::new().await;
    let view = host
        .run(UNDOABLE, json!({"fail": true, "broken": true}))
        .await;
    assert_eq!(view.run.state, RunState::Failed);
    let message = view.run.error.as_ref().unwrap().message.clone();
    assert!(
        message.contains("step `bad` failed") && message.contains("`b` could not be compensated"),
        "{message}"
    );
    let states = states(&view);
    assert_eq!(states["b"], StepState::CompensationFailed);
    assert_eq!(
        (states["a"], states["d"]),
        (StepState::Compensated, StepState::Compensated)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_and_a_compensation_survive_restarts() {
    let host = Host::new().await;
    let run = host.start(UNDOABLE, json!({})).await.run.id;
    host.until(&run, |view| step(view, "slow").state == StepState::Running)
        .await;
    // Interrupted while it was going on: the next host knows that it was.
    let host = host.restarted(|_| {}).await;
    let view = host
        .until(&run, |view| step(view, "slow").attempt == 2)
        .await;
    assert_eq!(step(&view, "slow").failures, 0);
    let runs = &host.orchestrator.runs;
    runs.cancel(&actor(), &run, None).await.unwrap();
    // The host goes right away, wherever the cancellation is by then.
    let host = host.restarted(|_| {}).await;
    host.until_state(&run, RunState::Cancelled).await;
    for id in ["a", "b", "d"] {
        assert!(host.diary.count(&format!("undone {id}")) >= 1, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_waits_for_approval_can_be_cancelled() {
    let host = Host::new().await;
    let workflow = "
name: waits
steps:
  - { id: a, uses: scripted, compensate: true, with: { name: a } }
  - { id: b, uses: scripted, approval: true, needs: [a], with: { name: b } }
";
    let run = host.start(workflow, json!({})).await.run.id;
    host.until_state(&run, RunState::WaitingApproval).await;
    host.orchestrator
        .runs
        .cancel(&actor(), &run, None)
        .await
        .unwrap();
    let view = host.until_state(&run, RunState::Cancelled).await;
    assert_eq!(states(&view)["b"], StepState::Cancelled);
    assert_eq!(host.diary.count("undone a"), 1);
}
