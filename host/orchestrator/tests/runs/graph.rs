//! What comes first, what is skipped, what is handed on.

use crate::common::{Host, states, step};
use cofferdam_store::{RunState, StepState};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_flow_and_the_order_is_kept() {
    let host = Host::new().await;
    let workflow = "
name: flow
inputs: { size: { type: integer, default: 3 } }
steps:
  - id: last
    uses: scripted
    with: { name: last, out: { sum: '${{ steps.left.outputs.n + steps.right-hand.outputs.n }}' } }
  - { id: left, uses: scripted, needs: [first], with: { name: left, sleep-ms: 20, out: { n: '${{ inputs.size }}' } } }
  - { id: right-hand, uses: scripted@0.1.0, needs: [first], with: { name: right, sleep-ms: 20, out: { n: 4 } } }
  - { id: first, uses: scripted, with: { name: first } }
outputs: { sum: '${{ steps.last.outputs.sum }}', text: 'n=${{ steps.left.outputs.n }}' }
";
    let view = host.run(workflow, json!({})).await;
    assert_eq!(view.run.state, RunState::Succeeded, "{view:#?}");
    assert_eq!(view.run.outputs, Some(json!({"sum": 7, "text": "n=3"})));
    let at = |entry: &str| host.diary.position(entry);
    assert!(at("done first") < at("execute left") && at("done first") < at("execute right"));
    // The branches go on side by side.
    assert!(at("execute left") < at("done right") && at("execute right") < at("done left"));
    assert!(at("done left").max(at("done right")) < at("execute last"));
    assert_eq!(
        step(&view, "last").input,
        Some(json!({"name": "last", "out": {"sum": 7}}))
    );
    assert!(view.steps.iter().all(|step| step.attempt == 1));
    assert_eq!(view.plugins.len(), 1);
    assert_eq!(view.plugins[0].digest, "native:0.1.0");
    let kinds = host.kinds(&view.run.id);
    assert_eq!(kinds.first().unwrap(), "run.created");
    assert_eq!(kinds[1], "run.started");
    assert_eq!(kinds.last().unwrap(), "run.succeeded");
    assert_eq!(kinds.len(), 3 + 2 * 4, "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_whose_condition_is_not_true_is_skipped() {
    let host = Host::new().await;
    let workflow = "
name: conditions
inputs: { go: { type: boolean } }
steps:
  - { id: a, uses: scripted, with: { name: a, out: { exit: 1 } } }
  - { id: b, uses: scripted, if: steps.a.outputs.exit == 0, with: { name: b, out: { x: 1 } } }
  - { id: c, uses: scripted, if: '${{ inputs.go }}', with: { name: c, out: { x: 2 } } }
  - id: d
    uses: scripted
    with: { name: d, out: { b: '${{ steps.b.outputs.x | default(0) }}', c: '${{ steps.c.outputs.x }}' } }
outputs: { d: '${{ steps.d.outputs }}' }
";
    let view = host.run(workflow, json!({"go": true})).await;
    assert_eq!(states(&view)["b"], StepState::Skipped);
    assert_eq!(view.run.outputs, Some(json!({"d": {"b": 0, "c": 2}})));
    assert_eq!(host.diary.count("execute b"), 0);

    // Without a default what is not there is an error, and the step is never begun.
    let view = host.run(workflow, json!({"go": false})).await;
    assert_eq!(view.run.state, RunState::Failed);
    let error = view.run.error.unwrap();
    assert!(
        error.message.contains("step `d` failed") && error.message.contains("no such value"),
        "{error:?}"
    );
    assert_eq!(host.diary.count("execute d"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_begins_nothing_more_and_keeps_what_ends_well() {
    let host = Host::new().await;
    let workflow = "
name: failing
steps:
  - { id: bad, uses: scripted, with: { name: bad, fail: invalid } }
  - { id: slow, uses: scripted, with: { name: slow, sleep-ms: 50, out: { n: 1 } } }
  - { id: after, uses: scripted, needs: [slow], with: { name: after } }
";
    let view = host.run(workflow, json!({})).await;
    assert_eq!(view.run.state, RunState::Failed);
    let states = states(&view);
    assert_eq!(states["bad"], StepState::Failed);
    assert_eq!(states["slow"], StepState::Succeeded);
    assert_eq!(states["after"], StepState::Skipped);
    let error = view.run.error.as_ref().unwrap();
    assert_eq!(error.code, "invalid");
    assert!(
        error.message.contains("step `bad` failed") && error.message.contains("scripted"),
        "{error:?}"
    );
    assert_eq!(host.diary.count("execute after"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_and_panics_fail_the_step_and_not_the_host() {
    let host = Host::new().await;
    let view = host
        .run(
            "name: p\nsteps: [{ id: a, uses: scripted, with: { panic: true } }]",
            json!({}),
        )
        .await;
    assert_eq!(view.run.state, RunState::Failed);
    assert!(view.run.error.unwrap().message.contains("panicked"));
    let view = host
        .run(
            "name: p\nsteps: [{ id: a, uses: scripted, with: { out: [1] } }]",
            json!({}),
        )
        .await;
    assert!(view.run.error.unwrap().message.contains("no JSON object"));
    let view = host
        .run(
            "name: p\nsteps: [{ id: a, uses: scripted, with: { name: fine } }]",
            json!({}),
        )
        .await;
    assert_eq!(view.run.state, RunState::Succeeded);
}
