//! Many runs at once, and what remains of them for the next host.

use crate::host::Host;
use crate::{at, median, micros};
use cofferdam_orchestrator::runs::Notice;
use cofferdam_store::{RunState, event_kind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs that are started at once.
const AT_ONCE: u64 = 1_000;
/// Runs that an ended host left unfinished.
const UNFINISHED: u64 = 10_000;
/// How often the way of an event is timed.
const EVENTS: usize = 500;

const PURE: &str = "name: one\nsteps:\n  - { id: s, uses: pure, with: {} }\n";
const NATIVE: &str = "name: one\nsteps:\n  - { id: s, uses: native, with: {} }\n";
const WAITS: &str = "name: one\nsteps:\n  - { id: s, uses: waits, with: {} }\n";

/// Resident memory of this process, KiB.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

async fn start_all(host: &Host, text: &'static str, count: u64) {
    for _ in 0..count {
        host.start(text).await;
    }
}

async fn until_count(host: &Host, state: RunState, count: u64) {
    while host.count(state) < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// From a step's entry to its `step.started` in a watcher's hands, which was written just
/// before; to `step.succeeded`, which is written just after.
async fn events(host: &Host) {
    let mut watcher = host.orchestrator.runs.subscribe();
    let mut took = Vec::new();
    for _ in 0..EVENTS {
        host.entered.lock().unwrap().clear();
        host.start(NATIVE).await;
        loop {
            let Ok(Notice::Event(event)) = watcher.recv().await else {
                continue;
            };
            if event.kind == event_kind::STEP_SUCCEEDED {
                took.push(host.entered.lock().unwrap()[0].elapsed());
            }
            if event.kind == event_kind::RUN_SUCCEEDED {
                break;
            }
        }
    }
    took.sort_unstable();
    let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| micros(at(&took, share)));
    println!(
        "a step's end to its event at a watcher, the journal's write included: {p50} / {p95} / {p99} microseconds (p50/p95/p99)"
    );
}

async fn at_once(folder: &Path) {
    let mut rates = Vec::new();
    for round in 0..crate::ROUNDS {
        let host = Host::open(&folder.join(format!("once{round}"))).await;
        // The component is compiled at its first use.
        start_all(&host, PURE, 1).await;
        until_count(&host, RunState::Succeeded, 1).await;
        let began = Instant::now();
        start_all(&host, PURE, AT_ONCE).await;
        until_count(&host, RunState::Succeeded, AT_ONCE + 1).await;
        rates.push(began.elapsed());
        if round == 0 {
            events(&host).await;
        }
        host.close().await;
    }
    let took = median(rates);
    println!(
        "{AT_ONCE} runs of one component step, started one after the other, all ended: {took:.2?}, {:.0} runs a second",
        AT_ONCE as f64 / took.as_secs_f64()
    );
}

async fn waiting(folder: &Path, at_rest: u64) {
    let state = folder.join("waiting");
    let host = Host::open(&state).await;
    let before = resident();
    start_all(&host, WAITS, AT_ONCE).await;
    until_count(&host, RunState::Running, AT_ONCE).await;
    while host.entered.lock().unwrap().len() < AT_ONCE as usize {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!(
        "memory: {at_rest} KiB at rest; {before} KiB before and {} KiB while {AT_ONCE} runs go on at once",
        resident()
    );
    let began = Instant::now();
    host.go.send_replace(true);
    until_count(&host, RunState::Succeeded, AT_ONCE).await;
    println!(
        "{AT_ONCE} runs let go at once, all ended: {:.2?}",
        began.elapsed()
    );
    host.close().await;
}

async fn recovery(folder: &Path) {
    let state = folder.join("recovery");
    let host = Host::open(&state).await;
    start_all(&host, WAITS, UNFINISHED).await;
    host.close().await;
    let host = Host::open(&state).await;
    assert_eq!(host.recovered, UNFINISHED);
    println!(
        "{UNFINISHED} unfinished runs: {:.2?} to open, {:.2?} until each has its driver",
        host.opened, host.started
    );
    let began = Instant::now();
    host.go.send_replace(true);
    until_count(&host, RunState::Succeeded, UNFINISHED).await;
    println!("and {:.2?} more until all have ended", began.elapsed());
    host.close().await;
}

/// Measures it all.
pub async fn measure(at_rest: u64) {
    let folder = tempfile::tempdir().unwrap();
    at_once(folder.path()).await;
    waiting(folder.path(), at_rest).await;
    recovery(folder.path()).await;
}
