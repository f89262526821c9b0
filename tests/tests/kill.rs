//! Killed at any stage, a migration leaves the source as it was and nothing that only looks
//! finished, and the same command goes on with it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::{Format, Variant};
use cofferdam_tests::{Job, listing, read_json, run, sha256};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::process::{ExitStatus, Stdio};

/// The stages of a migration, as it names them.
const STAGES: [&str; 9] = [
    "discover", "open", "inspect", "plan", "rehearse", "verify", "identify", "convert", "report",
];

const ARGS: [&str; 3] = ["-o", "out", "--yes"];

/// Runs until it says that `stage` begins, and sends it the signal.
fn stop_at(job: &Job, stage: &str, signal: Signal) -> ExitStatus {
    let mut command = job.migrate(&ARGS);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mark = format!("stage: {stage}");
    assert!(
        lines.any(|line| line.unwrap() == mark),
        "it never said {mark:?}"
    );
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
    // Read on, so that it does not stop at a full pipe.
    lines.for_each(drop);
    child.wait().unwrap()
}

/// What is in the output folder, apart from what names itself unfinished.
fn looks_finished(job: &Job) -> Vec<String> {
    let mut found = listing(&job.path("out"));
    found.retain(|name| !name.starts_with(".cofferdam-unfinished/"));
    found
}

fn guest(test: &str) -> Option<Job> {
    Job::new(test, Variant::Bootable, Format::VmdkStreamOptimized)
}

#[test]
fn killed_at_every_stage_it_leaves_nothing_finished_and_can_be_run_again() {
    let test = "killed_at_every_stage_it_leaves_nothing_finished_and_can_be_run_again";
    let Some(undisturbed) = guest(test) else {
        return;
    };
    let ran = run(&mut undisturbed.migrate(&ARGS)).code(0);
    let said: Vec<&str> = ran
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("stage: "))
        .collect();
    assert_eq!(said, STAGES, "every stage is a place to be killed at");
    let expected = sha256(&undisturbed.path("out/guest.stream.qcow2"));
    let plan = read_json(&undisturbed.path("out/report.json"))["plan"].clone();

    let mut taken_up = 0;
    for stage in STAGES {
        let Some(job) = guest(test) else {
            return;
        };
        let status = stop_at(&job, stage, Signal::KILL);
        job.source_is_untouched();
        let finished = looks_finished(&job);
        // A stage is told a moment after it begins, so that more may be done by then. A report
        // may stand there alone, but never a disk without one.
        let disk = finished.iter().any(|name| name.ends_with(".qcow2"));
        assert!(
            !disk || finished.len() == 3,
            "killed at {stage}: {finished:?}"
        );
        if status.success() || disk {
            assert_eq!(finished.len(), 3, "{finished:?}");
            continue;
        }
        let again = run(&mut job.migrate(&ARGS)).code(0);
        taken_up += usize::from(again.stderr.contains("going on with the run"));
        job.source_is_untouched();
        assert_eq!(
            sha256(&job.path("out/guest.stream.qcow2")),
            expected,
            "{stage}"
        );
        let report = read_json(&job.path("out/report.json"));
        assert_eq!(report.get("plan"), Some(&plan), "{stage}");
        assert!(
            listing(&job.path("out")).len() == 3,
            "{:?}",
            listing(&job.path("out"))
        );
    }
    assert!(taken_up > 0, "no run was found again");
}

#[test]
fn interrupted_it_says_so_and_cleans_up() {
    let test = "interrupted_it_says_so_and_cleans_up";
    for (stage, signal) in [
        ("plan", Signal::INT),
        ("verify", Signal::TERM),
        ("convert", Signal::INT),
    ] {
        let Some(job) = guest(test) else {
            return;
        };
        let status = stop_at(&job, stage, signal);
        if status.success() {
            // All was done before the signal was seen.
            assert_eq!(looks_finished(&job).len(), 3);
            continue;
        }
        assert_eq!(status.code(), Some(130), "{stage}");
        let left = listing(&job.path("out"));
        // Between the last file's move and the run's end there is nothing to undo.
        assert!(left.is_empty() || left.len() == 3, "{stage}: {left:?}");
        assert_eq!(listing(&job.path("scratch")), [""; 0], "{stage}");
        job.source_is_untouched();
    }
}
