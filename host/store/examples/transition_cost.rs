//! What a change of a run costs: transitions that survive a kill, alone and while others
//! wait for the disk, beside one bare synced write, in rounds that take turns.
//!
//! `cargo run --release -p cofferdam-store --example transition_cost`

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cofferdam_store::{
    Attempt, AttemptOutcome, Change, Durability, NewAudit, NewRun, NewStep, RunState, Store,
    StoreError, new_run_id,
};
use serde_json::json;

const ROUNDS: usize = 5;
const TRANSITIONS: usize = 4000;
const SYNCED: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = match std::env::args().nth(1) {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let store = Store::open(folder.path().join("cofferdam.db"))?;
    let mut figures: [Vec<Duration>; 7] = Default::default();
    for _ in 0..ROUNDS {
        let run = start(&store)?;
        let [begins, ends, both, power, bare, together, beside] = &mut figures;
        for number in 0..TRANSITIONS {
            let step = format!("s{number}");
            begins.push(timed(|| store.begin_attempt(&run, attempt(&step)))?);
            let success = AttemptOutcome::Succeeded {
                output: json!({ "exit": 0 }),
            };
            ends.push(timed(|| {
                store.end_attempt(&run, &step, 1, success, vec![])
            })?);
        }
        let run = start(&store)?;
        store.begin_attempt(&run, attempt("s0"))?;
        for number in 0..TRANSITIONS - 1 {
            let success = AttemptOutcome::Succeeded {
                output: json!({ "exit": 0 }),
            };
            let next = vec![attempt(&format!("s{}", number + 1))];
            let step = format!("s{number}");
            both.push(timed(|| store.end_attempt(&run, &step, 1, success, next))?);
        }
        let run = start(&store)?;
        for number in 0..SYNCED {
            let change = [Change::Begin(attempt(&format!("s{number}")))];
            power.push(timed(|| store.advance(&run, Durability::Power, &change))?);
            bare.push(synced_write(folder.path())?);
        }
        let (synced, unsynced) = at_once(&store)?;
        together.extend(synced);
        beside.extend(unsynced);
    }
    let names = [
        "begin an attempt, survives a kill",
        "end an attempt, survives a kill",
        "end one and begin the next, survives a kill",
        "begin an attempt, survives the loss of power",
        "bare write of 4 KiB and fdatasync",
        "eight at once, survive the loss of power",
        "beside them, survives a kill",
    ];
    println!(
        "{:<46} {:>9} {:>9} {:>9}",
        "microseconds", "p50", "p95", "p99"
    );
    for (name, figures) in names.iter().zip(&mut figures) {
        figures.sort();
        let at = |percent: usize| {
            let index = figures.len() * percent / 100;
            figures
                .get(index)
                .map_or(0.0, |figure| figure.as_secs_f64() * 1e6)
        };
        println!("{name:<46} {:>9.1} {:>9.1} {:>9.1}", at(50), at(95), at(99));
    }
    Ok(())
}

fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed())
}

fn attempt(step: &str) -> Attempt {
    Attempt {
        step: step.to_owned(),
        input: json!({ "program": "echo", "args": ["3"] }),
        digest: None,
        interrupted: false,
    }
}

fn start(store: &Store) -> Result<String, Box<dyn Error>> {
    let run = NewRun {
        id: new_run_id(),
        project: "default".to_owned(),
        workflow: "cost".to_owned(),
        workflow_digest: String::new(),
        source: String::new(),
        inputs: json!({}),
        actor: "local".to_owned(),
        parent: None,
        labels: Default::default(),
        steps: (0..TRANSITIONS)
            .map(|number| NewStep {
                step: format!("s{number}"),
                plugin: None,
            })
            .collect(),
        plugins: vec![],
        artifacts: vec![],
        idempotency: None,
    };
    let audit = NewAudit {
        actor: "local".to_owned(),
        via: "local".to_owned(),
        address: None,
        action: "run.start".to_owned(),
        target: run.id.clone(),
        project: None,
        detail: json!({}),
    };
    store.create_run(&run, &audit)?;
    store.set_run_state(&run.id, RunState::Running)?;
    Ok(run.id)
}

/// What changes cost that eight threads make at once and that are synced, and those that
/// are not while they do so.
fn at_once(store: &Store) -> Result<(Vec<Duration>, Vec<Duration>), Box<dyn Error>> {
    let runs = (0..8)
        .map(|_| start(store))
        .collect::<Result<Vec<_>, _>>()?;
    let quick = start(store)?;
    let going = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let threads: Vec<_> = runs
            .iter()
            .map(|run| {
                scope.spawn(move || {
                    (0..SYNCED)
                        .map(|number| {
                            let change = [Change::Begin(attempt(&format!("s{number}")))];
                            timed(|| store.advance(run, Durability::Power, &change))
                        })
                        .collect::<Result<Vec<_>, _>>()
                })
            })
            .collect();
        let beside = scope.spawn(|| {
            let mut figures = Vec::new();
            for number in 0..TRANSITIONS {
                if !going.load(Ordering::Relaxed) {
                    break;
                }
                let attempt = attempt(&format!("s{number}"));
                figures.push(timed(|| store.begin_attempt(&quick, attempt))?);
                std::thread::sleep(Duration::from_micros(200));
            }
            Ok::<_, StoreError>(figures)
        });
        let mut synced = Vec::new();
        for thread in threads {
            synced.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        going.store(false, Ordering::Relaxed);
        let beside = beside.join().map_err(|_| "a thread panicked")??;
        Ok((synced, beside))
    })
}

/// Appends 4 KiB to a file and syncs it.
fn synced_write(folder: &Path) -> std::io::Result<Duration> {
    let mut file = File::options()
        .append(true)
        .create(true)
        .open(folder.join("bare"))?;
    timed(|| {
        file.write_all(&[7; 4096])?;
        file.sync_data()
    })
}
