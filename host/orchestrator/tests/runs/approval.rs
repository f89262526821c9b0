//! Approval gates: what was approved is what is executed.

use crate::common::{Host, actor, step};
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{ApprovalState, RunState, StepState};
use serde_json::json;

const GATED: &str = "
name: gated
inputs: { what: { type: string, default: it } }
steps:
  - { id: before, uses: scripted, with: { name: before, out: { n: 1 } } }
  - id: gate
    uses: scripted
    with: { name: '${{ inputs.what }}', note: '${{ steps.before.outputs.n }}' }
    approval: { message: look at this }
  - { id: after, uses: scripted, needs: [gate], with: { name: after } }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_survives_restarts_and_is_asked_once() {
    let host = Host::new().await;
    let run = host.start(GATED, json!({})).await.run.id;
    let view = host.until_state(&run, RunState::WaitingApproval).await;
    let asked = view.approvals[0].clone();
    assert_eq!(asked.plan["summary"], "do it");
    assert_eq!(asked.plan["message"], "look at this");
    assert_eq!(asked.plan["changes"][0]["subject"], "it");

    let host = host.restarted(|_| {}).await;
    let view = host.orchestrator.runs.get(&run).unwrap();
    assert_eq!(view.run.state, RunState::WaitingApproval);
    assert_eq!(view.approvals[0].digest, asked.digest);
    assert_eq!(host.orchestrator.runs.active(), 0);

    let runs = &host.orchestrator.runs;
    let wrong = runs
        .approve(&actor(), &run, "gate", "0000", None)
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::Conflict);
    runs.approve(&actor(), &run, "gate", &asked.digest, Some("fine"))
        .await
        .unwrap();
    let view = host.until_state(&run, RunState::Succeeded).await;
    assert_eq!(view.approvals[0].state, ApprovalState::Approved);
    assert_eq!(view.approvals[0].actor.as_deref(), Some("tester"));
    assert_eq!(host.diary.count("plan it"), 1);
    assert_eq!(host.diary.count("execute it"), 1);
    assert_eq!(host.diary.count("execute after"), 1);
    let twice = host
        .orchestrator
        .runs
        .approve(&actor(), &run, "gate", &asked.digest, None)
        .await;
    assert!(twice.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_plan_fails_the_run() {
    let host = Host::new().await;
    let run = host.start(GATED, json!({})).await.run.id;
    let view = host.until_state(&run, RunState::WaitingApproval).await;
    let digest = &view.approvals[0].digest;
    host.orchestrator
        .runs
        .reject(&actor(), &run, "gate", digest, Some("not today"))
        .await
        .unwrap();
    let view = host.until_state(&run, RunState::Failed).await;
    let error = view.run.error.unwrap();
    assert_eq!(error.code, "denied");
    assert!(error.message.contains("not today"), "{error:?}");
    assert_eq!(host.diary.count("execute it"), 0);
}

/// What a record is after somebody wrote into the database.
async fn edited(statement: &'static str) -> (Host, String, String) {
    let host = Host::new().await;
    let run = host.start(GATED, json!({})).await.run.id;
    let view = host.until_state(&run, RunState::WaitingApproval).await;
    let digest = view.approvals[0].digest.clone();
    let host = host
        .restarted(|state| {
            let database = rusqlite::Connection::open(state.join("cofferdam.db")).unwrap();
            assert_eq!(database.execute(statement, []).unwrap(), 1);
        })
        .await;
    (host, run, digest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_what_was_approved_is_asked_again() {
    for statement in [
        "UPDATE runs SET inputs = '{\"what\": \"evil\"}'",
        "UPDATE approvals SET plan = '{\"summary\": \"nothing at all\"}'",
    ] {
        let (host, run, digest) = edited(statement).await;
        let runs = &host.orchestrator.runs;
        runs.approve(&actor(), &run, "gate", &digest, None)
            .await
            .unwrap();
        let view = host
            .until(&run, |view| {
                view.run.state == RunState::WaitingApproval
                    && view.approvals[0].state == ApprovalState::Pending
            })
            .await;
        assert_eq!(
            host.diary.starting("execute"),
            ["execute before"],
            "{statement}"
        );
        assert_eq!(step(&view, "gate").state, StepState::WaitingApproval);
        let asked = &view.approvals[0];
        runs.approve(&actor(), &run, "gate", &asked.digest, None)
            .await
            .unwrap();
        host.until_state(&run, RunState::Succeeded).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_branches_go_on_while_one_waits() {
    let host = Host::new().await;
    let workflow = "
name: branches
steps:
  - { id: gate, uses: scripted, approval: true, with: { name: gate } }
  - { id: a, uses: scripted, with: { name: a, gate: true } }
  - { id: b, uses: scripted, needs: [a], with: { name: b } }
  - { id: end, uses: scripted, needs: [b, gate], with: { name: end } }
";
    let run = host.start(workflow, json!({})).await.run.id;
    let view = host
        .until(&run, |view| {
            step(view, "gate").state == StepState::WaitingApproval
        })
        .await;
    assert_eq!(view.run.state, RunState::Running);
    let digest = &view.approvals[0].digest;
    host.orchestrator
        .runs
        .approve(&actor(), &run, "gate", digest, None)
        .await
        .unwrap();
    host.until(&run, |view| {
        step(view, "gate").state == StepState::Succeeded
    })
    .await;
    host.diary
        .gate
        .store(true, std::sync::atomic::Ordering::SeqCst);
    host.until_state(&run, RunState::Succeeded).await;
}
