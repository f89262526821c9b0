//! Workflow steps as components: what is linked, what is refused, what comes back, and how
//! one that misbehaves is stopped.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "../../runtime/tests/guest/mod.rs"]
mod guest;

use async_trait::async_trait;
use cofferdam_capabilities::{LoadedPlugins, load_plugins, load_step, runtime};
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::{
    Artifacts, Begun, Operations, Outbound, OutboundRequest, Secrets, Tools,
};
use cofferdam_contract::types::{Error, ErrorCode, ToolArgument, ToolOutcome, ToolRequest};
use cofferdam_runtime::{LoadError, Options, PluginFile, PluginFolder, embed_manifest};
use guest::{TestRun, all_but, manifest, step, wanting};
use serde_json::Value;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

const TOOL: &str = "cofferdam:tool/tool";
const SECRETS: &str = "cofferdam:runtime/secrets";

/// Returns the string of this length at 1024.
fn output(length: usize) -> String {
    format!(
        "(i32.store (i32.const 260) (i32.const 1024))
         (i32.store (i32.const 264) (i32.const {length}))
         (i32.const 256)"
    )
}

/// What a test's run offers; every request is recorded.
#[derive(Default)]
struct Offered {
    requests: Mutex<Vec<ToolRequest>>,
    /// Where there is one, programs never end.
    endless: bool,
    /// Told when a program was begun, and when nobody waits for it any more.
    begun: Arc<Notify>,
    abandoned: Arc<Notify>,
}

struct Told(Arc<Notify>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[async_trait]
impl Tools for Offered {
    async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        self.requests.lock().unwrap().push(request);
        if self.endless {
            let _told = Told(Arc::clone(&self.abandoned));
            self.begun.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(ToolOutcome {
            exit: Some(7),
            signal: None,
            matched: None,
            timed_out: false,
            tail: "{\"a\":1}".to_owned(),
            output_bytes: 7,
        })
    }
    async fn keep(&self, _: &str, name: &str) -> Result<String, Error> {
        Ok(format!("artifact:test/{name}"))
    }
}

#[async_trait]
impl Secrets for Offered {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        match name {
            "token" => Ok(b"{}".to_vec()),
            other => Err(Error::not_found(other)),
        }
    }
}

impl Outbound for Offered {
    fn request(&self, request: &OutboundRequest) -> Result<(), Error> {
        Err(Error::not_found(&request.host))
    }
    fn address(&self, host: &str, _: IpAddr) -> Result<(), Error> {
        Err(Error::not_found(host))
    }
}

#[async_trait]
impl Operations for Offered {
    async fn begin(&self, name: &str, _: Value) -> Result<Begun, Error> {
        Err(Error::not_found(name))
    }
    async fn finish(&self, name: &str, _: Value) -> Result<(), Error> {
        Err(Error::not_found(name))
    }
    async fn lost(&self, name: &str) -> Result<(), Error> {
        Err(Error::not_found(name))
    }
}

#[async_trait]
impl Artifacts for Offered {
    async fn path(&self, reference: &str) -> Result<PathBuf, Error> {
        Err(Error::not_found(reference))
    }
    async fn add(&self, _: &Path, name: &str) -> Result<String, Error> {
        Err(Error::not_found(name))
    }
}

fn services(offered: &Arc<Offered>) -> StepServices {
    StepServices {
        tools: offered.clone(),
        secrets: offered.clone(),
        http: offered.clone(),
        operations: offered.clone(),
        artifacts: offered.clone(),
    }
}

fn call() -> Call {
    Call {
        context: Arc::new(TestRun::default()),
        settings: "{}".to_owned(),
    }
}

fn granting(interfaces: &[&str]) -> Granted {
    let mut granted = Granted::nothing();
    for interface in interfaces {
        granted.grant("s", interface);
    }
    granted
}

struct Loaded {
    plugins: LoadedPlugins,
    folder: tempfile::TempDir,
}

fn load(component: &[u8], manifest: &Manifest, granted: &Granted) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let bytes = embed_manifest(component, manifest).unwrap();
    std::fs::write(folder.path().join("s.wasm"), bytes).unwrap();
    let scan = PluginFolder::scan(&[folder.path().to_owned()]);
    let runtime = runtime(&Options::uncached()).unwrap();
    Loaded {
        plugins: load_plugins(&runtime, scan, granted).unwrap(),
        folder,
    }
}

impl Loaded {
    #[track_caller]
    fn step(&self) -> &Arc<dyn WorkflowStep> {
        assert!(
            self.plugins.refused.is_empty() && self.plugins.ungranted.is_empty(),
            "{:?} {:?}",
            self.plugins.refused,
            self.plugins.ungranted
        );
        &self.plugins.steps["s"]
    }
}

/// A step that imports nothing.
fn plain(given: &[(&str, &str)], limits: &[(&str, u32)]) -> Loaded {
    plain_with(given, "", limits)
}

fn plain_with(given: &[(&str, &str)], data: &str, limits: &[(&str, u32)]) -> Loaded {
    let manifest = manifest("s", &all_but(limits));
    load(&step("", data, given), &manifest, &Granted::nothing())
}

async fn execute(loaded: &Loaded) -> Result<String, CallError> {
    let offered = Arc::new(Offered::default());
    let step = loaded.step();
    step.execute(call(), services(&offered), "{\"x\":1}").await
}

const RUN: &str = "(import \"cofferdam:tool/tool@0.1.0\" \"run\" (func $run
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))";

const GET: &str = "(import \"cofferdam:runtime/secrets@0.1.0\" \"get\"
    (func $get (param i32 i32 i32)))";

/// The texts `boot` at 512 and `qemu` at 516, one argument at 528 that is a text and says
/// `boot` too.
const NAMES: &str = "(data (i32.const 512) \"bootqemu\")
    (data (i32.const 532) \"\\00\\02\\00\\00\\04\\00\\00\\00\")";

/// Runs the program `qemu` as `boot` with that argument; the record at 600: the result's
/// tag, then at 8 what ended it or the error. `$timeout` milliseconds.
fn call_run(timeout: u32) -> String {
    format!(
        "(call $run (i32.const 512) (i32.const 4) (i32.const 516) (i32.const 4)
            (i32.const 528) (i32.const 1) (i32.const 0) (i32.const 0)
            (i32.const {timeout}) (i32.const 600))"
    )
}

#[tokio::test]
async fn a_step_does_what_its_functions_do() {
    let fails = "(i32.store8 (i32.const 256) (i32.const 1))
        (i32.store8 (i32.const 260) (i32.const 2))
        (i32.const 256)";
    let loaded = plain(&[("compensate", fails)], &[]);
    let (step, offered) = (loaded.step(), Arc::new(Offered::default()));
    step.validate(call(), services(&offered), "{}")
        .await
        .unwrap();
    assert_eq!(execute(&loaded).await.unwrap(), "{}");
    let undone = step
        .compensate(call(), services(&offered), "{}", Some("{}"))
        .await;
    assert_eq!(
        undone.unwrap_err().returned().unwrap().code,
        ErrorCode::Invalid
    );
    // `plan` traps, and the step goes on with its other functions.
    let trapped = step.plan(call(), services(&offered), "{}").await;
    assert!(
        matches!(trapped, Err(CallError::Trapped { .. })),
        "{trapped:?}"
    );
    assert_eq!(execute(&loaded).await.unwrap(), "{}");
}

#[tokio::test]
async fn what_is_imported_without_a_grant_is_refused_with_the_lines_to_add() {
    let component = step(RUN, NAMES, &[]);
    let wants = wanting("s", &[TOOL]);
    for granted in [Granted::nothing(), granting(&[SECRETS])] {
        let loaded = load(&component, &wants, &granted);
        assert!(loaded.plugins.steps.is_empty());
        assert!(loaded.plugins.code.is_empty());
        assert!(
            loaded.plugins.refused.is_empty(),
            "nothing is wrong with it"
        );
        let reason = loaded.plugins.ungranted[0].reason.to_string();
        assert!(
            reason.contains("[plugins.s.grants.tool.echo]\nprogram = \"echo\"\n"),
            "{reason}"
        );
        assert!(reason.contains("to test it"), "{reason}");
    }
    let mut other = Granted::nothing();
    other.grant("t", TOOL);
    assert_eq!(load(&component, &wants, &other).plugins.ungranted.len(), 1);
    let loaded = load(&component, &wants, &granting(&[TOOL]));
    assert_eq!(execute(&loaded).await.unwrap(), "{}");
}

#[test]
fn what_is_imported_has_to_be_asked_for() {
    let undeclared = embed_manifest(&step(RUN, NAMES, &[]), &manifest("s", "")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.wasm");
    std::fs::write(&path, undeclared).unwrap();
    let refused = PluginFile::read(&path).unwrap_err();
    assert!(matches!(refused, LoadError::Undeclared(_)), "{refused}");
    let wants = wanting("s", &["cofferdam:disk/devices"]);
    let bytes = embed_manifest(&step("", "", &[]), &wants).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let refused = PluginFile::read(&path).unwrap_err();
    assert!(
        matches!(refused, LoadError::ForbiddenCapability { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_granted_program_is_run_and_its_outcome_comes_back() {
    // outcome at 608: exit (option at 0), signal (8), matched (16), timed-out (24),
    // tail (28), output-bytes (40).
    let body = format!(
        "{} (if (i32.load8_u (i32.const 600)) (then (unreachable)))
        (if (i32.ne (i32.load (i32.const 612)) (i32.const 7)) (then (unreachable)))
        (i32.store (i32.const 260) (i32.load (i32.const 636)))
        (i32.store (i32.const 264) (i32.load (i32.const 640)))
        (i32.const 256)",
        call_run(5_000)
    );
    let component = step(RUN, NAMES, &[("execute", &body)]);
    let loaded = load(&component, &wanting("s", &[TOOL]), &granting(&[TOOL]));
    let offered = Arc::new(Offered::default());
    let step = loaded.step();
    let output = step.execute(call(), services(&offered), "{}").await;
    assert_eq!(output.unwrap(), "{\"a\":1}");
    let requests = offered.requests.lock().unwrap();
    assert_eq!(requests[0].operation, "boot");
    assert_eq!(requests[0].program, "qemu");
    assert_eq!(
        requests[0].arguments,
        [ToolArgument::Text("boot".to_owned())]
    );
    assert_eq!(requests[0].timeout_ms, 5_000);
}

/// A function that is an error with the code that running a program ended in.
fn code_of_run(timeout: u32) -> String {
    format!(
        "{} (i32.store8 (i32.const 256) (i32.load8_u (i32.const 600)))
        (i32.store8 (i32.const 260) (i32.load8_u (i32.const 608)))
        (i32.const 256)",
        call_run(timeout)
    )
}

#[tokio::test]
async fn looking_has_no_effects_and_malformed_requests_go_nowhere() {
    let body = code_of_run(5_000);
    let malformed = code_of_run(0);
    let component = step(RUN, NAMES, &[("validate", &body), ("execute", &malformed)]);
    let loaded = load(&component, &wanting("s", &[TOOL]), &granting(&[TOOL]));
    let (step, offered) = (loaded.step(), Arc::new(Offered::default()));
    let looked = step.validate(call(), services(&offered), "{}").await;
    assert_eq!(
        looked.unwrap_err().returned().unwrap().code,
        ErrorCode::Denied
    );
    let acted = step.execute(call(), services(&offered), "{}").await;
    assert_eq!(
        acted.unwrap_err().returned().unwrap().code,
        ErrorCode::Invalid
    );
    assert!(offered.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn secrets_are_told_while_acting_only() {
    // result<list<u8>, error> at 600: tag, then pointer and length, or the error's code.
    let body = "(call $get (i32.const 512) (i32.const 5) (i32.const 600))
        (i32.store8 (i32.const 256) (i32.load8_u (i32.const 600)))
        (i32.store (i32.const 260) (i32.load (i32.const 604)))
        (i32.store (i32.const 264) (i32.load (i32.const 608)))
        (i32.const 256)";
    let given = [("execute", body), ("validate", body)];
    let component = step(GET, "(data (i32.const 512) \"token\")", &given);
    let loaded = load(&component, &wanting("s", &[SECRETS]), &granting(&[SECRETS]));
    assert_eq!(execute(&loaded).await.unwrap(), "{}");
    let offered = Arc::new(Offered::default());
    let looked = loaded
        .step()
        .validate(call(), services(&offered), "{}")
        .await;
    assert_eq!(
        looked.unwrap_err().returned().unwrap().code,
        ErrorCode::Denied
    );
}

#[track_caller]
fn assert_nonsense<T: std::fmt::Debug>(result: Result<T, CallError>, expected: &str) {
    match result {
        Err(CallError::Nonsense { reason, .. }) => assert!(reason.contains(expected), "{reason}"),
        other => panic!("expected nonsense about {expected}, got {other:?}"),
    }
}

#[tokio::test]
async fn an_output_is_a_json_object_of_bounded_size() {
    let text = |text: &str| {
        let body = output(text.len());
        let data = format!("(data (i32.const 1024) {text:?})");
        plain_with(&[("execute", &body)], &data, &[])
    };
    assert_nonsense(execute(&text("[1]")).await, "no JSON object");
    assert_nonsense(execute(&text("{")).await, "no JSON object");
    assert_nonsense(execute(&text("")).await, "no JSON object");
    assert_eq!(execute(&text("{ }")).await.unwrap(), "{ }");
    let grow = |bytes: usize| {
        let body = format!(
            "(drop (memory.grow (i32.const {}))) {}",
            bytes.div_ceil(65_536) + 1,
            output(bytes)
        );
        plain(&[("execute", &body)], &[])
    };
    assert_nonsense(execute(&grow((1 << 20) + 1)).await, "more than 1048576");
    let huge = execute(&grow(32 << 20)).await;
    assert!(
        matches!(
            huge,
            Err(CallError::Limit {
                limit: Limit::HostCallBytes,
                ..
            })
        ),
        "{huge:?}"
    );
}

#[tokio::test]
async fn a_plan_says_something() {
    // result<step-plan, error>: summary pointer and length at 4 and 8, changes at 12 and 16.
    let empty = "(i32.const 256)";
    let loaded = plain(&[("plan", empty)], &[]);
    let offered = Arc::new(Offered::default());
    let planned = loaded.step().plan(call(), services(&offered), "{}").await;
    assert_nonsense(planned, "a summary of 0 bytes");
    let good = "(i32.store (i32.const 260) (i32.const 1024))
        (i32.store (i32.const 264) (i32.const 4))
        (i32.const 256)";
    let loaded = plain_with(&[("plan", good)], "(data (i32.const 1024) \"Acts\")", &[]);
    let planned = loaded.step().plan(call(), services(&offered), "{}").await;
    let plan = planned.unwrap();
    assert_eq!((plan.summary.as_str(), plan.changes.len()), ("Acts", 0));
}

#[tokio::test]
async fn a_trap_and_a_loop_end_their_call_and_name_it() {
    let loaded = plain(
        &[
            ("validate", "(loop $again (br $again)) (unreachable)"),
            ("execute", "(unreachable)"),
        ],
        &[("cpu-ms", 100)],
    );
    let trapped = execute(&loaded).await.unwrap_err();
    assert_eq!(trapped.callee().call, "execute");
    assert!(matches!(trapped, CallError::Trapped { .. }), "{trapped}");
    let offered = Arc::new(Offered::default());
    let looped = loaded
        .step()
        .validate(call(), services(&offered), "{}")
        .await
        .unwrap_err();
    assert_eq!(looped.callee().call, "validate");
    assert!(
        matches!(
            looped,
            CallError::Limit {
                limit: Limit::Cpu,
                ..
            }
        ),
        "{looped}"
    );
}

fn endless() -> (Loaded, Arc<Offered>) {
    let body = code_of_run(3_600_000);
    let component = step(RUN, NAMES, &[("execute", &body)]);
    let loaded = load(&component, &wanting("s", &[TOOL]), &granting(&[TOOL]));
    let offered = Arc::new(Offered {
        endless: true,
        ..Offered::default()
    });
    (loaded, offered)
}

#[tokio::test]
async fn a_call_that_is_dropped_while_a_program_runs_stops_waiting() {
    let (loaded, offered) = endless();
    let step = Arc::clone(loaded.step());
    let given = services(&offered);
    let waiting = tokio::spawn(async move { step.execute(call(), given, "{}").await });
    offered.begun.notified().await;
    waiting.abort();
    // Comes only when the program's future was dropped on the guest threads.
    offered.abandoned.notified().await;
    assert!(waiting.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn waiting_for_a_program_takes_no_cpu_time_but_ends_with_the_wall_clock() {
    let body = code_of_run(3_600_000);
    let component = step(RUN, NAMES, &[("execute", &body)]);
    let mut wants = wanting("s", &[TOOL]);
    wants.limits.wall_ms = 300;
    wants.limits.cpu_ms = 100;
    let loaded = load(&component, &wants, &granting(&[TOOL]));
    let offered = Arc::new(Offered {
        endless: true,
        ..Offered::default()
    });
    let ended = loaded
        .step()
        .execute(call(), services(&offered), "{}")
        .await
        .unwrap_err();
    assert_eq!(ended.code(), ErrorCode::Timeout, "{ended}");
    offered.abandoned.notified().await;
}

#[tokio::test]
async fn a_pinned_step_is_loaded_by_its_digest_and_nothing_else() {
    let component = step(RUN, NAMES, &[]);
    let loaded = load(&component, &wanting("s", &[TOOL]), &granting(&[TOOL]));
    let digest = loaded.step().digest().to_owned();
    let path = loaded.folder.path().join("s.wasm");
    let runtime = runtime(&Options::uncached()).unwrap();
    let granted = granting(&[TOOL]);
    let pinned = load_step(&runtime, &path, &digest, &granted).unwrap();
    let offered = Arc::new(Offered::default());
    let output = pinned.execute(call(), services(&offered), "{}").await;
    assert_eq!(output.unwrap(), "{}");

    let refused = load_step(&runtime, &path, &"0".repeat(64), &granted)
        .err()
        .unwrap();
    assert!(matches!(refused, LoadError::Changed { .. }), "{refused}");
    let refused = load_step(&runtime, &path, &digest, &Granted::nothing());
    let refused = refused.err().unwrap();
    assert!(matches!(refused, LoadError::NotGranted { .. }), "{refused}");

    // Changed between looking and loading.
    let late = load_step(&runtime, &path, &digest, &granted).unwrap();
    let other = embed_manifest(&step("", "", &[]), &manifest("s", "")).unwrap();
    std::fs::write(&path, other).unwrap();
    let changed = late.execute(call(), services(&offered), "{}").await;
    assert!(
        matches!(changed, Err(CallError::Host { .. })),
        "{changed:?}"
    );

    let fixer = embed_manifest(&guest::fixer("", ""), &manifest("f", "")).unwrap();
    std::fs::write(&path, &fixer).unwrap();
    let digest = PluginFile::read(&path).unwrap().inspection.digest;
    let refused = load_step(&runtime, &path, &digest, &granted).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "is a fixer where a workflow-step is wanted"
    );
}
