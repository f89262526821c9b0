//! Components that are swapped while runs of them go on, on a whole host.

use super::{Live, Snapshot};
use crate::cli::Global;
use crate::client::session::Engine;
use crate::config::Config;
use crate::host;
use crate::host::embedded::{Embedded, Opening};
use crate::host::migrations::ServingPlugins;
use cofferdam_contract::manifest::Manifest;
use cofferdam_orchestrator::migration::steps::MigrationPlugins;
use cofferdam_orchestrator::plugins::{
    ActivationOutcome, Active, Approval, CallWatch, Candidate, CrashAction, Stage,
};
use cofferdam_orchestrator::runs::{RunView, StartRun, WorkflowSource};
use cofferdam_orchestrator::{Actor, Orchestrator};
use cofferdam_runtime::{embed_manifest, inspect};
use cofferdam_store::{EventFilter, RunState, journal_of};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use wit_parser::Resolve;

const STEP: &str = "cofferdam:plugin/step@0.1.0";
const FIXING: &str = "cofferdam:plugin/fixing@0.1.0";
const DISCOVERY: &str = "cofferdam:plugin/discovery@0.1.0";

/// A component of a world of the contract: these fields in a core module.
fn component(world: &str, fields: &str, id: &str, version: &str) -> Vec<u8> {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut resolve = Resolve::default();
    for package in [
        "types", "runtime", "reply", "disk", "guest", "tool", "plugin",
    ] {
        resolve.push_path(wit.join(package)).unwrap();
    }
    let (world, _) = resolve
        .worlds
        .iter()
        .find(|(_, found)| found.name == world)
        .unwrap();
    let text = format!(
        "(module (memory (export \"memory\") 2) (global $next (mut i32) (i32.const 65536))
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
                (global.get $next)
                (global.set $next (i32.add (global.get $next)
                    (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8)))))
            {fields})"
    );
    let mut module = wat::parse_str(&text).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    let component = wit_component::ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap();
    let manifest = format!(
        "id = \"{id}\"\nversion = \"{version}\"\nsummary = \"says its version\"\n[limits]\ncpu-ms = 60000\n"
    );
    embed_manifest(&component, &Manifest::parse(&manifest).unwrap()).unwrap()
}

/// A step whose output is its version; `validate` and the beginning of `execute` as given.
fn step(version: &str, validate: &str, execute: &str) -> Vec<u8> {
    let output = format!("{{\"version\":\"{version}\"}}");
    let length = output.len();
    let data = output.replace('"', "\\\"");
    let fields = format!(
        "(data (i32.const 1024) \"{data}\")
         (func (export \"{STEP}#validate\") (param i32 i32) (result i32) {validate} (i32.const 0))
         (func (export \"{STEP}#plan\") (param i32 i32) (result i32) (unreachable))
         (func (export \"{STEP}#execute\") (param i32 i32) (result i32) (local $n i64)
            {execute}
            (i32.store (i32.const 260) (i32.const 1024))
            (i32.store (i32.const 264) (i32.const {length}))
            (i32.const 256))
         (func (export \"{STEP}#compensate\") (param i32 i32 i32 i32 i32) (result i32)
            (i32.const 0))"
    );
    component("workflow-step", &fields, "speaker", version)
}

/// Counts for a while.
const LONG: &str = "(local.set $n (i64.const 300000000))
    (loop $on (br_if $on (i64.ne (i64.const 0)
        (local.tee $n (i64.sub (local.get $n) (i64.const 1))))))";

fn actor() -> Actor {
    Actor::local("tester")
}

/// A host over an empty state folder and an empty plugin folder.
async fn host_in(folder: &Path, config: &Config) -> Embedded {
    let plugins = folder.join("plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    let global = Global {
        plugin_folders: vec![plugins],
        state: Some(folder.join("state")),
        ..Global::default()
    };
    match Embedded::open(&global, config, Engine::Working)
        .await
        .unwrap()
    {
        Opening::Host(host) => *host,
        Opening::Held { .. } => panic!("another host is there"),
    }
}

async fn install(host: &Orchestrator, component: Vec<u8>) {
    let installed = host
        .plugins
        .install(&actor(), component, Approval::Nothing)
        .await;
    installed.unwrap_or_else(|error| panic!("{error}"));
}

const WORKFLOW: &str = "name: w\nsteps:\n  - { id: s, uses: speaker }\noutputs: { version: '${{ steps.s.outputs.version }}' }\n";

async fn start(host: &Orchestrator) -> String {
    let request = StartRun::new(WorkflowSource::Text(WORKFLOW.to_owned()), json!({}));
    let started = host.runs.start(&actor(), request).await;
    started.unwrap_or_else(|error| panic!("{error}")).run.id
}

async fn ended(host: &Orchestrator, run: &str) -> RunView {
    loop {
        let view = host.runs.get(run).unwrap();
        if view.run.state.is_finished() || view.run.state == RunState::NeedsAttention {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn version(view: &RunView) -> String {
    assert_eq!(view.run.state, RunState::Succeeded, "{view:#?}");
    let outputs = view.run.outputs.as_ref().unwrap();
    outputs["version"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components_are_swapped_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = host_in(folder.path(), &Config::default()).await;
    let host = Arc::clone(embedded.orchestrator());
    install(&host, step("1.0.0", "", LONG)).await;
    install(&host, step("2.0.0", "", "")).await;
    install(&host, step("3.0.0", "", "")).await;
    host.plugins
        .activate(&actor(), "speaker", "1.0.0")
        .await
        .unwrap();

    // A call of the old version is going on while it is replaced.
    let digest = host
        .plugins
        .version("speaker", "1.0.0")
        .unwrap()
        .record
        .digest;
    let slow = start(&host).await;
    let state = || host.plugins.crash_state("speaker", &digest).unwrap();
    while state().calls == 0 {
        tokio::task::yield_now().await;
    }
    let swapped = host.plugins.activate(&actor(), "speaker", "2.0.0").await;
    let swapped = swapped.unwrap();
    assert_eq!(swapped.outcome, ActivationOutcome::Active, "{swapped:?}");

    // Runs begin without a break while versions are swapped.
    let (stop, count) = (AtomicBool::new(false), AtomicU32::new(0));
    let load = async || {
        let mut seen = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let run = start(&host).await;
            let view = ended(&host, &run).await;
            assert_eq!(version(&view), view.plugins[0].version);
            seen.push(version(&view));
            count.fetch_add(1, Ordering::SeqCst);
        }
        seen
    };
    let swaps = async {
        for number in ["3.0.0", "2.0.0", "3.0.0", "2.0.0", "3.0.0"] {
            // Each version answers some runs.
            let enough = count.load(Ordering::SeqCst) + 5;
            while count.load(Ordering::SeqCst) < enough {
                tokio::task::yield_now().await;
            }
            let activation = host.plugins.activate(&actor(), "speaker", number).await;
            let activation = activation.unwrap();
            assert_eq!(
                activation.outcome,
                ActivationOutcome::Active,
                "{activation:?}"
            );
            host.plugins.finished(&activation.id).await.unwrap();
        }
        stop.store(true, Ordering::SeqCst);
    };
    let (left, right, ()) = tokio::join!(load(), load(), swaps);
    for number in ["2.0.0", "3.0.0"] {
        assert!(
            left.iter().chain(&right).any(|seen| seen == number),
            "{number}"
        );
    }
    assert_eq!(version(&ended(&host, &slow).await), "1.0.0");
    let over = host.plugins.finished(&swapped.id).await.unwrap();
    assert_eq!(over.stage, Stage::Retire);
    embedded.close().await;
}

#[tokio::test]
async fn a_component_that_crashes_in_its_self_test_never_serves() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config
        .plugins
        .entry("speaker".to_owned())
        .or_default()
        .crash
        .policy = CrashAction::Quarantine;
    let crash = &mut config.plugins.get_mut("speaker").unwrap().crash;
    crash.crashes = 1;
    let embedded = host_in(folder.path(), &config).await;
    let host = Arc::clone(embedded.orchestrator());
    install(
        &host,
        step("1.0.0", "", "(if (i32.const 1) (then (unreachable)))"),
    )
    .await;
    install(
        &host,
        step("2.0.0", "(if (i32.const 1) (then (unreachable)))", ""),
    )
    .await;
    let first = host.plugins.activate(&actor(), "speaker", "1.0.0").await;
    assert_eq!(first.unwrap().outcome, ActivationOutcome::Active);
    let second = host.plugins.activate(&actor(), "speaker", "2.0.0").await;
    let second = second.unwrap();
    assert_eq!(second.stage, Stage::SelfTest);
    assert_eq!(second.outcome, ActivationOutcome::Failed);
    assert!(second.reason.unwrap().contains("unreachable"));

    // What serves traps in earnest: its run is parked.
    let run = start(&host).await;
    let view = ended(&host, &run).await;
    assert_eq!(view.run.state, RunState::NeedsAttention);
    let state = host.plugins.get("speaker").unwrap();
    assert_eq!(state.active.as_deref(), Some("1.0.0"));
    let serving = state.versions.iter().find(|v| v.record.version == "1.0.0");
    assert_eq!(serving.unwrap().crash.waiting, [run]);
    embedded.close().await;
}

fn fixer(version: &str) -> Vec<u8> {
    let fields = format!("(func (export \"{FIXING}#fix\") (result i32) (i32.const 0))");
    component("fixer", &fields, "mender", version)
}

/// Writes a fixer as the component store has it.
fn candidate(folder: &Path, version: &str) -> Candidate {
    let bytes = fixer(version);
    let digest = inspect(&bytes).unwrap().digest;
    let file = folder.join(format!("{digest}.wasm"));
    std::fs::write(&file, bytes).unwrap();
    Candidate {
        id: "mender".to_owned(),
        version: version.to_owned(),
        kind: "fixer".to_owned(),
        digest,
        file,
        grants: Default::default(),
    }
}

fn active(candidates: &[&Candidate]) -> Active {
    Active {
        candidates: candidates.iter().map(|found| (*found).clone()).collect(),
        unusable: Vec::new(),
    }
}

#[tokio::test]
async fn a_migration_keeps_what_it_pinned() {
    let folder = tempfile::tempdir().unwrap();
    // A file of the same id in a plugin folder.
    std::fs::write(folder.path().join("mender.wasm"), fixer("0.1.0")).unwrap();
    let global = Global {
        plugin_folders: vec![folder.path().to_owned()],
        ..Global::default()
    };
    let config = Config::default();
    let watch = CallWatch::new(config.crash_policies());
    let live = Arc::new(host::load(&global, &config, watch, Arc::new(())).unwrap());
    let plugins = ServingPlugins::new(Arc::clone(&live), &config).unwrap();
    let serving = |live: &Live| {
        let snapshot: Arc<Snapshot> = live.now();
        snapshot.set.fixers[0].manifest().version.clone()
    };
    assert_eq!(serving(&live), "0.1.0");
    let store = tempfile::tempdir().unwrap();
    let one = candidate(store.path(), "1.0.0");
    let two = candidate(store.path(), "2.0.0");
    live.publish(&active(&[&one])).unwrap();
    assert_eq!(serving(&live), "1.0.0");
    let pins = plugins.current().unwrap();
    let before = live.now();
    live.publish(&active(&[&two])).unwrap();
    live.retire(&one.digest);
    assert_eq!(before.set.fixers[0].digest(), one.digest);
    assert_eq!(plugins.current().unwrap()[0].0.digest, two.digest);
    let pinned = plugins.load(&pins).await.unwrap();
    assert_eq!(pinned.fixers[0].digest(), one.digest);
    // Nothing installed: the folder's file serves again.
    live.publish(&active(&[])).unwrap();
    assert_eq!(serving(&live), "0.1.0");
    // A file that is another by now is refused, and what serves goes on.
    std::fs::write(&one.file, fixer("9.9.9")).unwrap();
    let refused = live.publish(&active(&[&one])).unwrap_err();
    assert!(refused.reason.contains("is not the file"), "{refused}");
    assert_eq!(serving(&live), "0.1.0");
}

/// Starts a migration of a file; the run has to come to a stop.
async fn migrated(host: &Orchestrator, folder: &Path) -> RunView {
    let disk = folder.join("disk.img");
    std::fs::write(&disk, [0; 4096]).unwrap();
    let request = StartRun::new(
        WorkflowSource::Named("migrate".to_owned()),
        json!({ "disks": [disk], "out": folder.join("out"), "scratch": folder }),
    );
    let started = host.runs.start(&actor(), request).await;
    let run = started.unwrap_or_else(|error| panic!("{error}")).run.id;
    ended(host, &run).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_serves_in_the_place_of_an_active_version_that_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::default();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    std::fs::write(plugins.join("mender.wasm"), fixer("0.1.0")).unwrap();
    std::fs::write(plugins.join("speaker.wasm"), step("0.1.0", "", "")).unwrap();
    let embedded = host_in(folder.path(), &config).await;
    let newer = [
        ("mender", fixer("1.0.0")),
        ("speaker", step("1.0.0", "", "")),
    ];
    for (id, component) in &newer {
        let host = embedded.orchestrator();
        install(host, component.clone()).await;
        host.plugins.activate(&actor(), id, "1.0.0").await.unwrap();
    }
    embedded.close().await;
    for (_, component) in &newer {
        let digest = inspect(component).unwrap().digest;
        let file = folder
            .path()
            .join(format!("state/components/{digest}.wasm"));
        let mut bytes = component.clone();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(file, bytes).unwrap();
    }

    let global = Global {
        plugin_folders: vec![plugins],
        state: Some(folder.path().join("state")),
        ..Global::default()
    };
    let serving = host::serving(&global, &config).unwrap();
    let refused = serving.current().unwrap_err().message;
    assert!(refused.contains("version 1.0.0 of mender"), "{refused}");
    // Steps take no part in a migration.
    assert!(!refused.contains("speaker"), "{refused}");

    let embedded = host_in(folder.path(), &config).await;
    let host = Arc::clone(embedded.orchestrator());
    for (id, _) in &newer {
        let problem = host.plugins.get(id).unwrap().problem.unwrap();
        for word in [
            "1.0.0",
            "was changed",
            "install it again",
            "roll back",
            "remove it",
        ] {
            assert!(problem.contains(word), "{word}: {problem}");
        }
        assert!(!problem.contains("cancel the run"), "{problem}");
    }
    let request = StartRun::new(WorkflowSource::Text(WORKFLOW.to_owned()), json!({}));
    let error = host.runs.start(&actor(), request).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("version 1.0.0 of speaker"), "{error}");
    let view = migrated(&host, folder.path()).await;
    assert_eq!(view.run.state, RunState::Failed);
    let error = view.steps[0].error.clone().unwrap().message;
    assert!(error.contains("version 1.0.0 of mender"), "{error}");

    // Installed again, they are whole and serve.
    for (id, component) in newer {
        install(&host, component).await;
        assert_eq!(host.plugins.get(id).unwrap().problem, None);
    }
    let run = start(&host).await;
    assert_eq!(version(&ended(&host, &run).await), "1.0.0");
    let view = migrated(&host, folder.path()).await;
    let error = view.steps[0].error.clone().unwrap().message;
    assert!(!error.contains("mender"), "{error}");
    embedded.close().await;
}

/// A disk source that knows no file, and crashes at `disk.img`.
fn source(version: &str, crashes: bool) -> Vec<u8> {
    let crash = if crashes {
        "(if (i32.eq (local.get 1) (i32.const 8)) (then (unreachable)))"
    } else {
        ""
    };
    let fields = format!(
        "(func (export \"{DISCOVERY}#discover\") (param i32 i32) (result i32) {crash} (i32.const 0))"
    );
    component("disk-source", &fields, "finder", version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_from_a_crash_in_a_migration_outlives_its_runtime() {
    for policy in [CrashAction::Quarantine, CrashAction::RollBack] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        let plugin = config.plugins.entry("finder".to_owned()).or_default();
        plugin.crash.policy = policy;
        plugin.crash.crashes = 1;
        let embedded = host_in(folder.path(), &config).await;
        let host = Arc::clone(embedded.orchestrator());
        for (version, crashes) in [("1.0.0", false), ("2.0.0", true)] {
            install(&host, source(version, crashes)).await;
            let activation = host.plugins.activate(&actor(), "finder", version).await;
            let activation = activation.unwrap();
            assert_eq!(activation.outcome, ActivationOutcome::Active);
            host.plugins.finished(&activation.id).await.unwrap();
        }
        let view = migrated(&host, folder.path()).await;
        assert_eq!(view.run.state, RunState::NeedsAttention, "{view:#?}");
        let confined = host.store.quarantines().unwrap();
        assert_eq!(confined.len(), 1, "{policy:?}");
        assert_eq!(confined[0].version, "2.0.0");
        let filter = EventFilter {
            run: Some(journal_of("finder")),
            ..EventFilter::default()
        };
        let told = host.store.events(0, &filter, 1000).unwrap();
        assert!(told.iter().any(|event| event.kind == "plugin.quarantined"));
        let serves = || host.plugins.get("finder").unwrap().active.unwrap();
        if policy == CrashAction::RollBack {
            while serves() != "1.0.0" {
                tokio::task::yield_now().await;
            }
        } else {
            assert_eq!(serves(), "2.0.0");
        }
        let released = host.plugins.release(&actor(), "finder", None).await;
        assert_eq!(released.unwrap()[0].version, "2.0.0");
        embedded.close().await;
    }
}
