//! A lean host in a process of its own, which can be killed at any write to its journal.
//!
//! The process is this test program again. It writes to the journal on two threads only:
//! its own, and one for what has to survive the loss of power. `strace` counts the system
//! calls of each thread by itself, so the parent has it watch one of them and kill the
//! process as that thread is about to make its N-th write to the log file of the database.
//! The host itself has nothing in it that serves the test.

use crate::ledger::Ledger;
use crate::steps::{Effect, WORKFLOW};
use cofferdam_orchestrator::catalogue::NativeSteps;
use cofferdam_orchestrator::runs::{StartRun, WorkflowSource};
use cofferdam_orchestrator::{Actor, Options, Orchestrator};
use cofferdam_store::{ApprovalState, PageRequest, RunFilter};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const STATE: &str = "COFFERDAM_TEST_SOAK_STATE";
const FAIL: &str = "COFFERDAM_TEST_SOAK_FAIL";
const READY: &str = "threads:";

/// How long something that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which of the host's threads is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thread {
    /// The one that runs everything.
    Main,
    /// The one that waits for the disk.
    Blocking,
}

/// Not a test of its own: the host that is killed.
#[test]
fn host() {
    let Ok(state) = std::env::var(STATE) else {
        return;
    };
    let fail = std::env::var(FAIL).is_ok();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        // The thread that is watched has to be the same one to the end.
        .thread_keep_alive(PATIENCE)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let blocking = tokio::task::spawn_blocking(rustix::thread::gettid).await;
        let (main, blocking) = (rustix::thread::gettid(), blocking.unwrap());
        println!(
            "\n{READY} {} {}",
            main.as_raw_nonzero(),
            blocking.as_raw_nonzero()
        );
        std::io::stdin().read_line(&mut String::new()).unwrap();
        to_the_end(Path::new(&state), fail).await;
    });
    std::process::exit(0);
}

/// Begins the run or goes on with it, and approves what waits.
async fn to_the_end(state: &Path, fail: bool) {
    let ledger = Ledger::at(&state.with_extension("ledger"));
    let mut steps = NativeSteps::new();
    steps.register("effect", Arc::new(Effect::new(ledger)));
    let host = Orchestrator::open(Options::new(state), Arc::new(steps)).unwrap();
    host.start_engine().await.unwrap();
    let runs = &host.runs;
    let actor = Actor::local("soak");
    let known = runs
        .list(&RunFilter::default(), &PageRequest::default())
        .unwrap();
    let run = match known.items.first() {
        Some(run) => run.id.clone(),
        None => {
            let text = WorkflowSource::Text(WORKFLOW.to_owned());
            let request = StartRun::new(text, json!({ "fail": fail }));
            runs.start(&actor, request).await.unwrap().run.id
        }
    };
    let began = Instant::now();
    loop {
        let view = runs.get(&run).unwrap();
        if view.run.state.is_finished() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "it does not end: {view:#?}");
        let waiting = view
            .approvals
            .iter()
            .find(|approval| approval.state == ApprovalState::Pending);
        if let Some(approval) = waiting {
            runs.approve(&actor, &run, &approval.step, &approval.digest, None)
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    host.shutdown().await;
}

/// A host over `state` that waits for a line.
fn spawn(state: &Path, fail: bool) -> (Child, [u32; 2]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "host::host", "--nocapture", "--test-threads=1"])
        .env(STATE, state)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    if fail {
        command.env(FAIL, "1");
    }
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let threads = lines.find_map(|line| {
        let line = line.unwrap();
        let mut threads = line.strip_prefix(READY)?.split_whitespace();
        let mut next = || threads.next().unwrap().parse().unwrap();
        Some([next(), next()])
    });
    let Some(threads) = threads else {
        panic!("the host did not start: {}", child.wait().unwrap());
    };
    (child, threads)
}

fn go(child: &mut Child) -> bool {
    // Its standard input is closed after that line.
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let status = child.wait().unwrap();
    assert!(
        status.success() || status.code().is_none(),
        "the host ended otherwise than by its kill: {status}"
    );
    status.success()
}

/// Runs a host to the end.
pub fn live(state: &Path, fail: bool) {
    let (mut child, _) = spawn(state, fail);
    assert!(go(&mut child), "nobody killed it");
}

/// Runs a host that is killed at the `write`th write of this thread to the journal. Says
/// whether it came to that.
pub fn killed_at(state: &Path, fail: bool, thread: Thread, write: u32) -> bool {
    let (mut child, threads) = spawn(state, fail);
    let watched = threads[thread as usize];
    let mut strace = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-P"])
        .arg(state.join("cofferdam.db-wal"))
        .arg("-e")
        .arg(format!("inject=pwrite64:signal=SIGKILL:when={write}"))
        .args(["-p", &watched.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("strace (`cargo xtask setup`): {error}"));
    let began = Instant::now();
    let status = format!("/proc/{}/task/{watched}/status", child.id());
    while std::fs::read_to_string(&status)
        .unwrap()
        .contains("TracerPid:\t0\n")
    {
        assert!(began.elapsed() < PATIENCE, "strace does not attach");
        assert!(strace.try_wait().unwrap().is_none(), "strace gave up");
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended = go(&mut child);
    strace.wait().unwrap();
    !ended
}
