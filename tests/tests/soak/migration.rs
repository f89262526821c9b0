//! `migrate` killed at random moments: asked again, it does the rest and gives the same.

use crate::chance::{Chance, kills};
use cofferdam_fixtures::{Format, Variant};
use cofferdam_tests::{Job, read_json, sha256};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a migration may take that nobody kills.
const PATIENCE: Duration = Duration::from_secs(300);

const DISK: &str = "out/guest.stream.qcow2";

/// What came of a migration: its disk, and the digests of what its plan does and of what
/// that depends on. The plan's own digest has the source's folder in it.
type Outcome = (String, [Value; 2]);

fn migrate(job: &Job) -> Command {
    let mut command = job.migrate(&["-o", "out", "--yes"]);
    command
        .env("COFFERDAM_STATE", job.path("state"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Migrates; the first processes live for these times. Says what came of it, how many were
/// killed and how long the last one took.
fn run(test: &str, lives: &[Duration]) -> Option<(Outcome, u32, Duration)> {
    let job = Job::new(test, Variant::Bootable, Format::VmdkStreamOptimized)?;
    let mut killed = 0;
    let mut lives_left = lives.iter();
    let took = loop {
        let mut process = migrate(&job).spawn().unwrap();
        let began = Instant::now();
        let life = lives_left.next();
        let end = began + life.copied().unwrap_or(PATIENCE);
        let ended = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() >= end {
                break None;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        job.source_is_untouched();
        if let Some(status) = ended {
            assert_eq!(status.code(), Some(0), "{lives:?}");
            break began.elapsed();
        }
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(life.is_some(), "it does not end: {lives:?}");
        killed += 1;
        if job.path(DISK).exists() {
            // It was killed when nothing but its farewell was left.
            let report = job.path("out/report.json").exists();
            assert!(report, "a disk that looks finished: {lives:?}");
            break began.elapsed();
        }
    };
    let plan = &read_json(&job.path("out/report.json"))["plan"];
    let digests = ["edits_digest", "binding_digest"].map(|name| plan[name].clone());
    assert!(digests.iter().all(Value::is_string), "{plan}");
    Some(((sha256(&job.path(DISK)), digests), killed, took))
}

#[test]
fn a_migration_killed_at_random_moments_gives_the_same() {
    let test = "a_migration_killed_at_random_moments_gives_the_same";
    let mut chance = Chance::new("migrations");
    // The first one compiles the plugins.
    if run(test, &[]).is_none() {
        return;
    }
    let (expected, _, took) = run(test, &[]).unwrap();
    let longest = u64::try_from(took.as_micros()).unwrap();
    let wanted = kills();
    let mut done = 0;
    while done < wanted {
        let left = u64::from(wanted - done);
        let lives: Vec<Duration> = (0..1 + chance.below(left.min(4)))
            .map(|_| Duration::from_micros(chance.below(longest)))
            .collect();
        let (found, killed, _) = run(test, &lives).unwrap();
        assert_eq!(found, expected, "{lives:?}");
        done += killed;
    }
    println!("{done} kills; unharmed a migration takes {took:?}");
}
