//! Runs that wait for a person because nobody knows what happened.

use crate::common::{Host, actor, states, step};
use cofferdam_store::{RunState, StepState};
use serde_json::json;

const LOSING: &str = "
name: losing
steps:
  - { id: a, uses: scripted, with: { name: a, operation: push, lose: true } }
  - { id: b, uses: scripted, needs: [a], with: { name: b } }
  - { id: c, uses: scripted, with: { name: c, sleep-ms: 30 } }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_operation_parks_the_run_until_it_is_resumed() {
    let host = Host::new().await;
    let run = host.start(LOSING, json!({})).await.run.id;
    let view = host.until_state(&run, RunState::NeedsAttention).await;
    assert_eq!(step(&view, "a").state, StepState::NeedsAttention);
    assert_eq!(step(&view, "c").state, StepState::Succeeded);
    let attention = view.run.attention.unwrap();
    assert!(
        attention.contains("step `a`") && attention.contains("nobody knows"),
        "{attention}"
    );

    // It stays parked.
    let host = host.restarted(|_| {}).await;
    assert_eq!(host.orchestrator.runs.active(), 0);
    assert_eq!(host.diary.count("execute a"), 1);

    host.orchestrator.runs.resume(&actor(), &run).await.unwrap();
    let view = host.until_state(&run, RunState::Succeeded).await;
    assert!(
        states(&view)
            .values()
            .all(|state| *state == StepState::Succeeded)
    );
    let lost = host.diary.starting("lost")[0].replace("lost ", "");
    let effect = host.diary.starting("effect")[0].replace("effect ", "");
    assert_ne!(lost, effect);
    assert!(host.orchestrator.runs.resume(&actor(), &run).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_run_can_be_cancelled() {
    let host = Host::new().await;
    let run = host.start(LOSING, json!({})).await.run.id;
    host.until_state(&run, RunState::NeedsAttention).await;
    host.orchestrator
        .runs
        .cancel(&actor(), &run, None)
        .await
        .unwrap();
    let view = host.until_state(&run, RunState::Cancelled).await;
    assert_eq!(states(&view)["a"], StepState::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_plugin_is_another_by_now_is_parked() {
    let host = Host::new().await;
    let workflow = "
name: pinned
steps:
  - { id: a, uses: scripted, approval: true, with: { name: a } }
";
    let run = host.start(workflow, json!({})).await.run.id;
    let view = host.until_state(&run, RunState::WaitingApproval).await;
    let digest = view.approvals[0].digest.clone();
    let host = host
        .restarted(|state| {
            // The host that comes next has another version of the step.
            let database = rusqlite::Connection::open(state.join("cofferdam.db")).unwrap();
            let changed = database.execute_batch(
                "UPDATE pinned_plugins SET digest = 'native:0.0.9', version = '0.0.9';
                 UPDATE steps SET plugin = 'native:0.0.9';",
            );
            changed.unwrap();
        })
        .await;
    let runs = &host.orchestrator.runs;
    runs.approve(&actor(), &run, "a", &digest, None)
        .await
        .unwrap();
    // The plugin's digest is part of what was approved, so that approval is asked anew;
    // for that the plugin would have to be there.
    let view = host.until_state(&run, RunState::NeedsAttention).await;
    let attention = view.run.attention.unwrap();
    assert!(
        attention.contains("began with version 0.0.9"),
        "{attention}"
    );
    assert_eq!(host.diary.count("execute a"), 0);
}
