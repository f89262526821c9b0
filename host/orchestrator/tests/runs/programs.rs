//! Programs that steps start, when the step's time is over, the run is cancelled, or the
//! host goes.

use crate::common::{Diary, Host, actor, step};
use cofferdam_orchestrator::tool::{Grants, PluginGrants};
use cofferdam_store::{OperationState, RunState, StepState};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

async fn host(state: &Path, diary: Arc<Diary>) -> Host {
    let shell = "[tool.sh]\nprogram = 'sh'\narguments = ['(?s).*']\n";
    let shell: PluginGrants = toml::from_str(shell).unwrap();
    let grants = Grants::check([("scripted", &shell)], OsStr::new("/usr/bin:/bin")).unwrap();
    Host::with(state, diary, |options| {
        options.grants = grants;
        options.supervisor = PathBuf::from(env!("CARGO_BIN_EXE_cofferdam-supervise"));
    })
    .await
}

/// What the step's program wrote into `file`, once it has.
async fn written(host: &Host, run: &str, file: &str) -> String {
    let path = host.state.join("runs").join(run).join("a").join(file);
    let began = Instant::now();
    loop {
        match std::fs::read_to_string(&path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(
                began.elapsed() < Duration::from_secs(60),
                "{}",
                path.display()
            ),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An argument of `sleep` that no other test's program has: programs do not know their
/// number outside of their namespace.
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("600.{}0{next}", std::process::id())
}

fn is_alive(mark: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line == format!("sleep\0{mark}\0").as_bytes()
    })
}

/// Waits until the program sleeps.
async fn until_alive(mark: &str) {
    let began = Instant::now();
    while !is_alive(mark) {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn workflow(script: &str, more: &str) -> String {
    let script = Value::String(script.to_owned());
    format!(
        "name: programs\nsteps: [{{ id: a, uses: scripted, with: {{ name: a, sh: {script} }}{more} }}]\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_whose_time_is_over_is_stopped_and_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path(), Arc::default()).await;
    let mark = mark();
    let script = format!("if [ -e was ]; then echo second; else touch was; sleep {mark}; fi");
    let more = ", timeout: 3s, retry: { attempts: 3, delay: 1ms }";
    let view = host.run(&workflow(&script, more), json!({})).await;
    assert_eq!(view.run.state, RunState::Succeeded, "{view:#?}");
    assert_eq!(
        step(&view, "a").output.as_ref().unwrap()["tail"],
        "second\n"
    );
    assert!(!is_alive(&mark));
    let operations = host.orchestrator.store.operations(&view.run.id).unwrap();
    let states: Vec<OperationState> = operations.iter().map(|each| each.state).collect();
    assert_eq!(
        states
            .iter()
            .filter(|state| **state == OperationState::Finished)
            .count(),
        1
    );
    assert!(states.contains(&OperationState::Abandoned), "{states:?}");
}

/// Whoever lets it go on, after a quarantine for one, gets a program of its own and not the
/// end of the one that was stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_of_a_plugin_that_reached_a_limit_is_stopped_and_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path(), Arc::default()).await;
    let mark = mark();
    let script =
        workflow(&format!("sleep {mark}"), "").replace("name: a,", "name: a, wall-ms: 2000,");
    let view = host.run(&script, json!({})).await;
    assert_eq!(view.run.state, RunState::Failed, "{view:#?}");
    assert!(!is_alive(&mark));
    let operations = host.orchestrator.store.operations(&view.run.id).unwrap();
    let states: Vec<OperationState> = operations.iter().map(|each| each.state).collect();
    assert_eq!(states, [OperationState::Abandoned]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_run_has_no_program_left() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path(), Arc::default()).await;
    let mark = mark();
    let script = workflow(&format!("sleep {mark}"), "");
    let run = host.start(&script, json!({})).await.run.id;
    until_alive(&mark).await;
    host.orchestrator
        .runs
        .cancel(&actor(), &run, None)
        .await
        .unwrap();
    host.until_state(&run, RunState::Cancelled).await;
    assert!(!is_alive(&mark));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_outlives_the_host_and_is_attached_to() {
    let folder = tempfile::tempdir().unwrap();
    let first = host(folder.path(), Arc::default()).await;
    let script = "echo begun >> log; while [ ! -e go ]; do sleep 0.05; done; echo end";
    let run = first.start(&workflow(script, ""), json!({})).await.run.id;
    written(&first, &run, "log").await;
    let (_, state, diary) = first.left().await;
    let second = host(&state, diary).await;
    second
        .until(&run, |view| step(view, "a").attempt == 2)
        .await;
    std::fs::write(state.join("runs").join(&run).join("a/go"), "").unwrap();
    let view = second.until_state(&run, RunState::Succeeded).await;
    assert_eq!(step(&view, "a").output.as_ref().unwrap()["tail"], "end\n");
    assert_eq!(written(&second, &run, "log").await, "begun\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_cancelled_while_no_host_was_there_has_no_program_left() {
    let folder = tempfile::tempdir().unwrap();
    let first = host(folder.path(), Arc::default()).await;
    let mark = mark();
    let script = workflow(&format!("sleep {mark}"), "");
    let run = first.start(&script, json!({})).await.run.id;
    until_alive(&mark).await;
    let (_, state, diary) = first.left().await;
    {
        let store = cofferdam_store::Store::open(state.join("cofferdam.db")).unwrap();
        let audit = actor().audit("run.cancel", &run, Some("default"), json!({}));
        store.request_cancel(&run, None, &audit).unwrap();
    }
    assert!(is_alive(&mark));
    let second = host(&state, diary).await;
    let view = second.until_state(&run, RunState::Cancelled).await;
    assert_eq!(step(&view, "a").state, StepState::Cancelled);
    assert_eq!(step(&view, "a").attempt, 1);
    assert!(!is_alive(&mark));
}
