//! The built-in workflow on the real engine, with native plugins.

use crate::common::{Bench, JsonTrees, State, boot, guest, once};
use async_trait::async_trait;
use cofferdam_contract::kinds::PluginSet;
use cofferdam_contract::types::Error;
use cofferdam_orchestrator::catalogue::NativeSteps;
use cofferdam_orchestrator::identity::TokenRequest;
use cofferdam_orchestrator::migration::request::GivenSettings;
use cofferdam_orchestrator::migration::steps::pins::Pin;
use cofferdam_orchestrator::migration::steps::{
    MigrationPlugins, Migrations, RunReach, WORKFLOW, WORKFLOW_WITH_BOOT,
};
use cofferdam_orchestrator::runs::{RunView, StartRun, WorkflowSource};
use cofferdam_orchestrator::{Actor, Options, Orchestrator, StatePaths};
use cofferdam_store::{ApprovalState, Role, RunState};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The plugins of a bench, whatever is pinned.
struct Doubles(PluginSet);

#[async_trait]
impl MigrationPlugins for Doubles {
    fn current(&self) -> Result<Vec<(Pin, PathBuf)>, Error> {
        Ok(Vec::new())
    }

    fn settings(&self) -> Result<GivenSettings, Error> {
        Ok(GivenSettings::new())
    }

    async fn load(&self, _: &[(Pin, PathBuf)]) -> Result<PluginSet, Error> {
        Ok(self.0.clone())
    }
}

fn me() -> Actor {
    Actor::local("me")
}

async fn host(bench: &Bench) -> Arc<Orchestrator> {
    let state = bench.folder.path().join("state");
    let reach = Arc::new(RunReach::default());
    let mut steps = NativeSteps::new();
    Migrations::register(
        Arc::new(Doubles(bench.request.plugins.clone())),
        StatePaths::new(&state),
        Arc::clone(&reach) as _,
        &mut steps,
    );
    let mut options = Options::new(&state);
    options.built_in = vec![WORKFLOW, WORKFLOW_WITH_BOOT];
    let host = Orchestrator::open(options, Arc::new(steps)).unwrap();
    reach.look_in(host.store.clone());
    host.start_engine().await.unwrap();
    host
}

fn inputs(bench: &Bench) -> Value {
    json!({
        "disks": bench.request.sources,
        "out": bench.out(),
        "to": "raw",
        "plan_time": "2026-01-31T12:00:00Z",
        "scratch": bench.request.scratch,
    })
}

async fn start(host: &Orchestrator, inputs: Value) -> String {
    let named = WorkflowSource::Named(WORKFLOW.name.to_owned());
    let started = host.runs.start(&me(), StartRun::new(named, inputs)).await;
    started.unwrap().run.id
}

/// Waits until the run looks so.
async fn wait(host: &Orchestrator, run: &str, until: impl Fn(&RunView) -> bool) -> RunView {
    let begun = Instant::now();
    loop {
        let view = host.runs.get(run).unwrap();
        if until(&view) {
            return view;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{view:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn end(host: &Orchestrator, run: &str) -> RunView {
    wait(host, run, |view| view.run.state.is_finished()).await
}

async fn approval(host: &Orchestrator, run: &str) -> cofferdam_store::Approval {
    let asks = |view: &RunView| view.run.state == RunState::WaitingApproval;
    let view = wait(host, run, asks).await;
    let mut pending = view.approvals.into_iter();
    pending
        .find(|approval| approval.state == ApprovalState::Pending)
        .unwrap()
}

async fn approve(host: &Orchestrator, run: &str) {
    let asked = approval(host, run).await;
    host.runs
        .approve(&me(), run, &asked.step, &asked.digest, None)
        .await
        .unwrap();
}

fn names(bench: &Bench) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(bench.out())
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const ALL: [&str; 4] = ["report.json", "report.md", "vm0-sda.raw", "vm0-sdb.raw"];

fn two_disks() -> Bench {
    let both = once("both", |guest| async move {
        guest
            .edits
            .append("/boot/kernel", b"!".to_vec(), "because")
            .await?;
        guest.edits.append("/os", b"!".to_vec(), "because").await
    });
    Bench::new(&[guest(), boot()], JsonTrees::honest(), vec![both])
}

fn is_migrated(bench: &Bench) {
    assert_eq!(names(bench), ALL);
    let first = State::of_disk(&bench.out().join(ALL[2]));
    assert_eq!(first.at("/os").unwrap().content, b"test!");
    let second = State::of_disk(&bench.out().join(ALL[3]));
    assert_eq!(second.at("/kernel").unwrap().content, b"vmlinuz!");
}

#[tokio::test]
async fn a_run_waits_for_approval_and_makes_the_disks() {
    let bench = two_disks();
    let host = host(&bench).await;
    let run = start(&host, inputs(&bench)).await;
    let asked = approval(&host, &run).await;
    assert_eq!(names(&bench), [""; 0], "nothing is made before");
    let shown = asked.plan.to_string();
    for words in ["because", "vm0-sdb.raw", "/boot/kernel", "digest of edits"] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    approve(&host, &run).await;
    let view = end(&host, &run).await;
    assert_eq!(view.run.state, RunState::Succeeded, "{:?}", view.run.error);
    is_migrated(&bench);
    let artifacts: Vec<&str> = view.artifacts.iter().map(|a| a.name.as_str()).collect();
    for name in [
        "plan/plan.json",
        "publish/vm0-sda.raw",
        "publish/report.json",
    ] {
        assert!(artifacts.contains(&name), "{artifacts:?}");
    }
    host.shutdown().await;
}

#[tokio::test]
async fn what_is_not_approved_leaves_nothing() {
    let bench = two_disks();
    let host = host(&bench).await;
    let run = start(&host, inputs(&bench)).await;
    let asked = approval(&host, &run).await;
    host.runs
        .reject(&me(), &run, &asked.step, &asked.digest, None)
        .await
        .unwrap();
    let view = end(&host, &run).await;
    assert_ne!(view.run.state, RunState::Succeeded);
    assert!(!bench.out().exists());
    host.shutdown().await;
}

#[tokio::test]
async fn an_approval_outlives_the_host_and_the_plan_is_made_again() {
    let bench = two_disks();
    let first = host(&bench).await;
    let run = start(&first, inputs(&bench)).await;
    let digest = approval(&first, &run).await.digest;
    first.shutdown().await;
    drop(first);
    let second = host(&bench).await;
    assert_eq!(approval(&second, &run).await.digest, digest);
    approve(&second, &run).await;
    let view = end(&second, &run).await;
    assert_eq!(view.run.state, RunState::Succeeded, "{:?}", view.run.error);
    is_migrated(&bench);
    second.shutdown().await;
}

#[tokio::test]
async fn a_source_that_changed_after_approval_is_not_migrated() {
    let bench = two_disks();
    let first = host(&bench).await;
    let run = start(&first, inputs(&bench)).await;
    approval(&first, &run).await;
    first.shutdown().await;
    drop(first);
    boot()
        .file("/more", "")
        .disk(&bench.folder.path().join("vm1.img"));
    let second = host(&bench).await;
    approve(&second, &run).await;
    let view = end(&second, &run).await;
    assert_eq!(view.run.state, RunState::Failed);
    let error = view.run.error.unwrap();
    assert!(
        error.message.contains("the plan no longer fits") && error.message.contains("vm1.img"),
        "{error:?}"
    );
    assert!(!bench.out().exists());
    second.shutdown().await;
}

#[tokio::test]
async fn a_saved_plan_is_applied_or_refused() {
    let bench = two_disks();
    let host = host(&bench).await;
    let run = start(&host, inputs(&bench)).await;
    let asked = approval(&host, &run).await;
    let plan = bench
        .folder
        .path()
        .join("state/runs")
        .join(&run)
        .join("migrate/plan.json");
    let saved = bench.folder.path().join("saved.json");
    std::fs::copy(plan, &saved).unwrap();
    host.runs
        .reject(&me(), &run, &asked.step, &asked.digest, None)
        .await
        .unwrap();
    end(&host, &run).await;

    let apply = |to: Value| json!({ "apply": saved, "out": bench.out(), "disks": bench.request.sources, "to": to });
    let run = start(&host, apply(json!("qcow2"))).await;
    let view = end(&host, &run).await;
    let error = view.run.error.unwrap();
    assert!(error.message.contains("the target changed"), "{error:?}");
    assert!(!bench.out().exists());

    let run = start(&host, apply(Value::Null)).await;
    approve(&host, &run).await;
    let view = end(&host, &run).await;
    assert_eq!(view.run.state, RunState::Succeeded, "{:?}", view.run.error);
    is_migrated(&bench);
    host.shutdown().await;
}

#[tokio::test]
async fn inputs_that_cannot_be_are_refused_before_anything_is_started() {
    let bench = two_disks();
    let host = host(&bench).await;
    for (key, value, words) in [
        ("to", json!("vmdk"), "qcow2, raw"),
        ("compress", json!(13), "1 to 12"),
        ("compress", json!(3), "only for qcow2"),
        ("disk_bus", json!("ide"), "virtio-blk"),
        ("plan_time", json!("yesterday"), "2026-01-31T12:00:00Z"),
        ("disks", json!([]), "names no disk"),
        ("disks", json!("/disk"), "not as it should be"),
    ] {
        let mut inputs = inputs(&bench);
        inputs[key] = value;
        let named = WorkflowSource::Named(WORKFLOW.name.to_owned());
        let refused = host.runs.start(&me(), StartRun::new(named, inputs)).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(words), "{key}: {error}");
    }
    host.shutdown().await;
}

#[tokio::test]
async fn whoever_comes_over_the_network_names_only_what_is_open() {
    let bench = two_disks();
    let host = host(&bench).await;
    host.identity.create_user(&me(), "ann").await.unwrap();
    host.identity
        .set_role(&me(), "ann", "default", Some(Role::Deploy))
        .await
        .unwrap();
    let request = TokenRequest {
        user: Some("ann".to_owned()),
        label: "test".to_owned(),
        expires: None,
    };
    let token = host.identity.create_token(&me(), request).await.unwrap();
    let ann = Actor::with_token("ann", token.token.id, None);
    let mut relative = inputs(&bench);
    relative["disks"] = json!(["vm0.img"]);
    for (actor, inputs, words) in [
        (&ann, inputs(&bench), "not below a folder that is open"),
        (&me(), relative, "not absolute"),
    ] {
        let named = WorkflowSource::Named(WORKFLOW.name.to_owned());
        let started = host.runs.start(actor, StartRun::new(named, inputs)).await;
        let view = end(&host, &started.unwrap().run.id).await;
        let error = view.run.error.unwrap();
        assert!(error.message.contains(words), "{error:?}");
        assert!(!bench.out().exists());
    }
    host.shutdown().await;
}

#[tokio::test]
async fn cancelled_in_any_step_it_clears_what_it_made() {
    for after in [
        Duration::ZERO,
        Duration::from_millis(3),
        Duration::from_millis(10),
    ] {
        let bench = two_disks();
        let host = host(&bench).await;
        let run = start(&host, inputs(&bench)).await;
        approve(&host, &run).await;
        tokio::time::sleep(after).await;
        let cancelled = host.runs.cancel(&me(), &run, None).await;
        let view = end(&host, &run).await;
        if view.run.state == RunState::Succeeded {
            is_migrated(&bench);
        } else {
            assert!(cancelled.is_ok());
            assert_eq!(view.run.state, RunState::Cancelled);
            // What was in its place already is the operator's.
            let left = names(&bench);
            assert!(left.is_empty() || left == ALL, "{left:?}");
        }
        host.shutdown().await;
    }
}
