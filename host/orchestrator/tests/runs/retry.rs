//! Trying again: by itself, and by request.

use crate::common::{Host, actor, states, step};
use cofferdam_store::{RunState, StepState};
use serde_json::json;

fn flaky(code: &str, times: u32, more: &str) -> String {
    format!(
        "
name: flaky
steps:
  - id: a
    uses: scripted
    with: {{ name: a, fail: {code}, fail-times: {times}, out: {{ n: 1 }}{more} }}
    retry: {{ attempts: 3, delay: 10ms, factor: 1, jitter: 0 }}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_errors_that_may_pass_are_tried_again() {
    let cases = [
        ("unavailable", 2, "", RunState::Succeeded, 3),
        ("timeout", 1, "", RunState::Succeeded, 2),
        ("locked", 9, "", RunState::Failed, 3),
        ("invalid", 1, "", RunState::Failed, 1),
        ("limit", 1, ", retry-after: 5", RunState::Succeeded, 2),
    ];
    for (code, times, more, state, attempts) in cases {
        let host = Host::new().await;
        let view = host.run(&flaky(code, times, more), json!({})).await;
        assert_eq!(view.run.state, state, "{code}");
        assert_eq!(step(&view, "a").attempt, attempts, "{code}");
        let retries = host
            .kinds(&view.run.id)
            .iter()
            .filter(|kind| *kind == "step.retrying")
            .count();
        let expected = usize::try_from(attempts).unwrap() - 1;
        assert_eq!(retries, expected, "{code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_is_stopped_when_its_time_is_over() {
    let host = Host::new().await;
    let workflow = "
name: slow
steps:
  - id: a
    uses: scripted
    with: { name: a, sleep-ms: 60000, thread: true }
    timeout: 30ms
    retry: { attempts: 2, delay: 1ms }
";
    let view = host.run(workflow, json!({})).await;
    assert_eq!(view.run.state, RunState::Failed);
    let error = view.run.error.as_ref().unwrap();
    assert_eq!(error.code, "timeout");
    assert!(error.message.contains("after 30ms"), "{error:?}");
    assert_eq!(step(&view, "a").attempt, 2);
    assert_eq!(host.diary.count("execute a"), 2);
    assert_eq!(host.diary.count("done a"), 0);
    // What an attempt left on other threads is told too.
    host.until(&view.run.id, |_| host.diary.count("told a") == 2)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_waits_for_its_time_survives_a_restart() {
    let host = Host::new().await;
    let workflow = "
name: later
steps:
  - id: a
    uses: scripted
    with: { name: a, fail: unavailable, fail-times: 1 }
    retry: { attempts: 2, delay: 300ms, jitter: 0 }
";
    let run = host.start(workflow, json!({})).await.run.id;
    host.until(&run, |view| step(view, "a").state == StepState::Retrying)
        .await;
    let host = host.restarted(|_| {}).await;
    let view = host.until_state(&run, RunState::Succeeded).await;
    assert_eq!(
        (step(&view, "a").attempt, step(&view, "a").failures),
        (2, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_run_is_retried_and_keeps_what_succeeded() {
    let host = Host::new().await;
    let workflow = "
name: again
steps:
  - { id: a, uses: scripted, with: { name: a, out: { n: 5 } } }
  - { id: b, uses: scripted, needs: [a], with: { name: b, fail: invalid, fail-times: 1, operation: push, out: { n: '${{ steps.a.outputs.n }}' } } }
  - { id: c, uses: scripted, needs: [b], with: { name: c } }
outputs: { b: '${{ steps.b.outputs.n }}' }
";
    let view = host.run(workflow, json!({})).await;
    assert_eq!(view.run.state, RunState::Failed);
    let id = view.run.id;
    host.orchestrator.runs.retry(&actor(), &id).await.unwrap();
    let view = host.until_state(&id, RunState::Succeeded).await;
    assert_eq!(view.run.outputs, Some(json!({"b": 5})));
    assert_eq!(host.diary.count("execute a"), 1);
    assert_eq!(host.diary.count("execute b"), 2);
    assert!(
        states(&view)
            .values()
            .all(|state| *state == StepState::Succeeded)
    );
    assert!(view.run.error.is_none());
    // What failed is done anew, under another key.
    let effects = host.diary.starting("effect");
    assert_eq!(effects.len(), 2);
    assert_ne!(effects[0], effects[1]);
    let refused = host
        .orchestrator
        .runs
        .retry(&actor(), &id)
        .await
        .unwrap_err();
    assert_eq!(
        refused.code(),
        cofferdam_contract::types::ErrorCode::Conflict
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_ended_is_not_done_again_by_the_next_attempt() {
    let host = Host::new().await;
    let view = host
        .run(&flaky("unavailable", 2, ", operation: push"), json!({}))
        .await;
    assert_eq!(view.run.state, RunState::Succeeded);
    assert_eq!(step(&view, "a").attempt, 3);
    assert_eq!(host.diary.starting("effect").len(), 1);
    let key = host.diary.starting("effect")[0].replace("effect ", "");
    assert_eq!(
        step(&view, "a").output.as_ref().unwrap()["operation"],
        json!({"key": key})
    );
}
