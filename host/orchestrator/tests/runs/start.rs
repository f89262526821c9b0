//! What is found before anything is started.

use crate::common::{Host, actor};
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::catalogue::BuiltInWorkflow;
use cofferdam_orchestrator::identity::Actor;
use cofferdam_orchestrator::runs::{RunError, StartRun, WorkflowSource};
use cofferdam_orchestrator::{OpenError, Options, Orchestrator};
use cofferdam_store::{PageRequest, RunFilter, RunState};
use serde_json::{Value, json};
use std::sync::Arc;

async fn refused(host: &Host, actor: &Actor, workflow: &str, inputs: Value) -> RunError {
    let request = StartRun::new(WorkflowSource::Text(workflow.to_owned()), inputs);
    host.orchestrator
        .runs
        .start(actor, request)
        .await
        .unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_starts_nothing() {
    let host = Host::new().await;
    let cases = [
        (
            "name: x\nstep: []\n",
            json!({}),
            "workflow:2",
            ErrorCode::Invalid,
        ),
        (
            "name: x\nsteps: [{ id: a, uses: other }]\n",
            json!({}),
            "`other`",
            ErrorCode::Invalid,
        ),
        (
            "name: x\nsteps: [{ id: a, uses: scripted@9.9.9 }]\n",
            json!({}),
            "has scripted@0.1.0",
            ErrorCode::Invalid,
        ),
        (
            "name: x\nsteps: [{ id: a, uses: scripted, with: { invalid: true } }]\n",
            json!({}),
            "does not accept",
            ErrorCode::Invalid,
        ),
        (
            "name: x\nsteps: [{ id: a, uses: scripted, with: { nmae: x } }]\n",
            json!({}),
            "unknown field `nmae`",
            ErrorCode::Invalid,
        ),
        (
            "name: x\ninputs: { n: { type: integer, required: true } }\nsteps: [{ id: a, uses: scripted }]\n",
            json!({}),
            "`n` is required",
            ErrorCode::Invalid,
        ),
        (
            "name: x\nsteps: [{ id: a, uses: scripted }]\n",
            json!({"n": 1}),
            "no input `n`",
            ErrorCode::Invalid,
        ),
        (
            "name: x\ninputs: { f: { type: file } }\nsteps: [{ id: a, uses: scripted }]\n",
            json!({"f": "/nowhere/x"}),
            "/nowhere/x",
            ErrorCode::NotFound,
        ),
    ];
    for (workflow, inputs, part, code) in cases {
        let error = refused(&host, &actor(), workflow, inputs).await;
        assert!(error.to_string().contains(part), "{workflow}: {error}");
        assert_eq!(error.code(), code, "{workflow}: {error}");
    }
    // A token that nobody has gets nowhere.
    let stranger = Actor::with_token("eve", "tok-none", None);
    let workflow = "name: x\nsteps: [{ id: a, uses: scripted }]\n";
    let error = refused(&host, &stranger, workflow, json!({})).await;
    assert_eq!(error.code(), ErrorCode::Denied);
    let page = PageRequest::default();
    let listed = host
        .orchestrator
        .runs
        .list(&RunFilter::default(), &page)
        .unwrap();
    assert!(listed.items.is_empty());
    assert!(host.diary.all().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_artifacts_and_not_paths() {
    let host = Host::new().await;
    let file = host.state.join("disk.img");
    std::fs::write(&file, b"12345").unwrap();
    let workflow = "
name: files
inputs: { disk: { type: file, required: true } }
steps: [{ id: a, uses: scripted, with: { file: '${{ inputs.disk }}', out: { disk: '${{ inputs.disk }}' } } }]
outputs: { disk: '${{ steps.a.outputs.disk }}' }
";
    let view = host.run(workflow, json!({"disk": file})).await;
    assert_eq!(
        view.run.outputs,
        Some(json!({"disk": "artifact:inputs/disk"}))
    );
    assert_eq!(view.artifacts[0].name, "inputs/disk");
    assert_eq!(view.artifacts[0].size, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflows_have_names() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::with(folder.path(), Arc::default(), |options| {
        options.built_in = vec![BuiltInWorkflow {
            name: "ours",
            source: "name: ours\nsteps: [{ id: a, uses: scripted }]\n",
        }];
    })
    .await;
    let runs = &host.orchestrator.runs;
    let saved = "name: theirs\nsteps: [{ id: b, uses: scripted }]\n";
    runs.save_workflow(&actor(), "default", saved)
        .await
        .unwrap();
    let names: Vec<String> = runs
        .workflows("default")
        .unwrap()
        .into_iter()
        .map(|workflow| workflow.name)
        .collect();
    assert_eq!(names, ["ours", "theirs"]);
    for name in names {
        let request = StartRun::new(WorkflowSource::Named(name.clone()), Value::Null);
        let view = runs.start(&actor(), request).await.unwrap();
        assert_eq!(view.run.workflow, name);
        host.until_state(&view.run.id, RunState::Succeeded).await;
    }
    let request = StartRun::new(WorkflowSource::Named("their".to_owned()), Value::Null);
    let error = runs.start(&actor(), request).await.unwrap_err();
    assert!(
        error.to_string().contains("did you mean `theirs`"),
        "{error}"
    );
    let taken = "name: ours\nsteps: [{ id: b, uses: scripted }]\n";
    let error = runs
        .save_workflow(&actor(), "default", taken)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    runs.remove_workflow(&actor(), "default", "theirs")
        .await
        .unwrap();
    assert_eq!(runs.workflows("default").unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_starts_nothing() {
    let host = Host::new().await;
    let workflow = "
name: planned
inputs: { n: { type: integer, default: 2 } }
steps:
  - { id: a, uses: scripted, with: { note: '${{ inputs.n }}' } }
  - { id: b, uses: scripted, approval: true, with: { note: '${{ steps.a.outputs.n }}' } }
outputs: { n: 1 }
";
    let source = WorkflowSource::Text(workflow.to_owned());
    let plan = host
        .orchestrator
        .runs
        .plan(&actor(), "default", &source, &json!({"n": "7"}))
        .await
        .unwrap();
    assert_eq!(plan.workflow, "planned");
    assert_eq!(plan.steps[0].input, Some(json!({"note": 7})));
    assert_eq!(
        (&plan.steps[1].input, plan.steps[1].approval),
        (&None, true)
    );
    assert_eq!(plan.steps[1].needs, ["a"]);
    assert_eq!(plan.outputs, ["n"]);
    assert!(host.diary.all().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_uses_a_state_folder() {
    let host = Host::new().await;
    let catalogue = Arc::clone(&host.orchestrator.catalogue);
    let second = Orchestrator::open(Options::new(&host.state), catalogue);
    assert!(matches!(second, Err(OpenError::InUse(_))));
}
