//! What runs cost: steps with their journal, effects against one bare synced commit, many
//! runs at once, events, recovery, memory.
//!
//! Every step writes to the journal as it does in production. What is timed is from the
//! moment a step is entered to the moment the next one of the same run is: its own work,
//! the way back through the sandbox, the transaction that ends it and begins the next, and
//! the way in. Figures are medians of five rounds in which the ways are taken in turn.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a measuring program ends at the first thing that is wrong"
)]

#[path = "../../../host/runtime/tests/guest/mod.rs"]
mod guest;
mod host;
mod many;
mod step;

use cofferdam_store::RunState;
use host::Host;
use rusqlite::Connection;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
/// Steps of a run, one after the other.
const CHAIN: usize = 100;
/// Runs of each way in a round.
const RUNS: usize = 10;
/// Bare synced commits in a round.
const COMMITS: u32 = 100;

/// A workflow of `CHAIN` steps in a row.
fn chain(uses: &str) -> String {
    let mut text = "name: chain\nsteps:\n".to_owned();
    for index in 0..CHAIN {
        write!(text, "  - {{ id: s{index}, uses: {uses}").unwrap();
        if index > 0 {
            write!(text, ", needs: [s{}]", index - 1).unwrap();
        }
        text.push_str(", with: {} }\n");
    }
    text
}

/// The value below which this share of the sorted values lies.
fn at(sorted: &[Duration], share: f64) -> Duration {
    let index = (sorted.len() as f64 * share) as usize;
    sorted[index.min(sorted.len() - 1)]
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    at(&values, 0.5)
}

fn micros(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}

/// How long the steps of `RUNS` runs took, sorted.
async fn steps(host: &Host, uses: &str) -> Vec<Duration> {
    let text = chain(uses);
    let mut took = Vec::new();
    for _ in 0..RUNS {
        host.entered.lock().unwrap().clear();
        let run = host.start(&text).await;
        host.until(&run, RunState::Succeeded).await;
        let entered = host.entered.lock().unwrap();
        assert_eq!(entered.len(), CHAIN);
        took.extend(entered.windows(2).map(|pair| pair[1] - pair[0]));
    }
    took.sort_unstable();
    took
}

/// One row and a sync, in the journal's folder and mode.
fn bare_commits(folder: &Path) -> Vec<Duration> {
    let connection = Connection::open(folder.join("bare.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, what TEXT);",
        )
        .unwrap();
    let mut insert = connection
        .prepare("INSERT INTO bare (what) VALUES (?1)")
        .unwrap();
    let mut took: Vec<Duration> = (0..COMMITS)
        .map(|_| {
            let began = Instant::now();
            insert.execute(["something of the usual length"]).unwrap();
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    took
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::open(&folder.path().join("state")).await;
    let at_rest = many::resident();
    let ways = ["native", "pure", "effect"];
    // Once for the caches.
    for way in ways {
        steps(&host, way).await;
    }
    let mut rounds: Vec<Vec<Vec<Duration>>> = vec![Vec::new(); ways.len()];
    let mut commits = Vec::new();
    for _ in 0..ROUNDS {
        for (index, way) in ways.iter().enumerate() {
            rounds[index].push(steps(&host, way).await);
        }
        commits.push(bare_commits(folder.path()));
    }
    let of = |rounds: &[Vec<Duration>], share: f64| {
        median(rounds.iter().map(|took| at(took, share)).collect())
    };
    println!("one step, entered to the next entered, microseconds");
    println!("{:<44} {:>8} {:>8} {:>8}", "", "p50", "p95", "p99");
    let names = [
        "pure, native, survives a kill",
        "pure, component, survives a kill",
        "with one effect, survives loss of power",
    ];
    let bare = "one bare synced commit";
    for (name, rounds) in names.iter().zip(&rounds).chain([(&bare, &commits)]) {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| micros(of(rounds, share)));
        println!("{name:<44} {p50:>8} {p95:>8} {p99:>8}");
    }
    let ratio = of(&rounds[2], 0.5).as_secs_f64() / of(&commits, 0.5).as_secs_f64();
    println!("a step with one effect is {ratio:.2} bare synced commits");
    host.close().await;

    many::measure(at_rest).await;
}
