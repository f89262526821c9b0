//! Many runs at once, and the host going while they go on.

use crate::common::Host;
use cofferdam_orchestrator::Notice;
use cofferdam_store::{PageRequest, RunFilter, RunState};
use serde_json::json;

const SHORT: &str = "
name: short
inputs: { n: { type: integer } }
steps:
  - { id: a, uses: scripted, with: { name: a, gate: true, out: { n: '${{ inputs.n }}' } } }
  - { id: b, uses: scripted, with: { name: b, note: '${{ steps.a.outputs.n }}', out: { n: '${{ steps.a.outputs.n + 1 }}' } } }
outputs: { n: '${{ steps.b.outputs.n }}' }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_runs_go_on_at_once_and_after_a_restart() {
    const RUNS: i64 = 1000;
    let host = Host::new().await;
    let mut ids = Vec::new();
    for n in 0..RUNS {
        ids.push(host.start(SHORT, json!({ "n": n })).await.run.id);
    }
    assert_eq!(host.orchestrator.runs.active(), 1000);
    let host = host.restarted(|_| {}).await;
    assert_eq!(host.orchestrator.runs.active(), 1000);
    host.diary
        .gate
        .store(true, std::sync::atomic::Ordering::SeqCst);
    for (n, id) in (0..RUNS).zip(&ids) {
        let view = host.until_state(id, RunState::Succeeded).await;
        assert_eq!(view.run.outputs, Some(json!({ "n": n + 1 })));
        assert!(view.steps.iter().all(|step| step.attempt <= 2));
    }
    let filter = RunFilter {
        states: vec![RunState::Succeeded],
        ..RunFilter::default()
    };
    let page = PageRequest {
        limit: 1000,
        cursor: None,
    };
    let listed = host.orchestrator.runs.list(&filter, &page).unwrap();
    assert_eq!(listed.items.len(), 1000);
    assert_eq!(host.orchestrator.runs.active(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_on_steps_at_once_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::with(folder.path(), std::sync::Arc::default(), |options| {
        options.engine.steps_at_once = 2;
    })
    .await;
    let mut workflow = String::from("name: wide\nsteps:\n");
    for n in 0..8 {
        workflow.push_str(&format!(
            "  - {{ id: s{n}, uses: scripted, with: {{ name: s, sleep-ms: 5 }} }}\n"
        ));
    }
    let ids = [
        host.start(&workflow, json!({})).await.run.id,
        host.start(&workflow, json!({})).await.run.id,
    ];
    for id in &ids {
        host.until_state(id, RunState::Succeeded).await;
    }
    let (mut going_on, mut most) = (0_i32, 0);
    for entry in host.diary.all() {
        going_on += if entry == "execute s" { 1 } else { -1 };
        most = most.max(going_on);
    }
    assert_eq!(most, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_are_told_everything_in_order() {
    let host = Host::new().await;
    host.diary
        .gate
        .store(true, std::sync::atomic::Ordering::SeqCst);
    host.start(SHORT, json!({"n": 0})).await;
    let mut watcher = host.orchestrator.runs.subscribe();
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(host.start(SHORT, json!({ "n": n })).await.run.id);
    }
    let mut told = Vec::new();
    let mut ended = 0;
    while ended < ids.len() {
        if let Notice::Event(event) = watcher.recv().await.unwrap()
            && ids.contains(&event.run)
        {
            ended += usize::from(event.kind == "run.succeeded");
            told.push(event);
        }
    }
    assert!(told.windows(2).all(|pair| pair[0].id < pair[1].id));
    for id in &ids {
        let kinds: Vec<String> = told
            .iter()
            .filter(|event| event.run == *id)
            .map(|event| event.kind.clone())
            .collect();
        assert_eq!(kinds, host.kinds(id));
    }
}
