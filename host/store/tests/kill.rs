//! What was said to be written is there after the process was killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use cofferdam_store::{EventFilter, StepState, Store};
use common::{attempt, running, success};
use serde_json::json;

const STEPS: usize = 50;

/// Writes run after run, and says each event's id once the store has said it is written.
#[test]
#[ignore = "runs in a process of its own, see the test that starts it"]
fn child_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os("STORE_TEST_PATH") else {
        return;
    };
    let store = Store::open(path).unwrap();
    let names: Vec<String> = (0..STEPS).map(|number| format!("s{number}")).collect();
    let steps: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut out = std::io::stdout();
    loop {
        let run = running(&store, &steps);
        store.begin_attempt(&run, attempt(steps[0])).unwrap();
        for pair in steps.windows(2) {
            let events = store
                .end_attempt(&run, pair[0], 1, success(json!({})), vec![attempt(pair[1])])
                .unwrap();
            writeln!(out, "written {}", events[1].id).unwrap();
            out.flush().unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cofferdam.db");
    let mut said = 0;
    // Spread over what the process does: opening, creating runs, transitions.
    for milliseconds in [1, 5, 20, 50, 90, 140, 200, 270, 350, 440] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("STORE_TEST_PATH", &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .filter_map(|line| line.strip_prefix("written ")?.parse::<i64>().ok())
                .max()
        });
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        said = said.max(reader.join().unwrap().unwrap_or(0));

        let store = Store::open(&path).unwrap();
        assert!(store.newest_event().unwrap() >= said);
        assert!(store.check().unwrap().is_sound());
        // The end of one step and the beginning of the next were one transaction, so
        // that in every run exactly one step is going on once the first has begun.
        for detail in store.unfinished_runs(None, 1000).unwrap() {
            assert_eq!(detail.steps.len(), STEPS);
            let count = |state| {
                detail
                    .steps
                    .iter()
                    .filter(|step| step.state == state)
                    .count()
            };
            let (running, succeeded) = (count(StepState::Running), count(StepState::Succeeded));
            assert!(running == 1 || (running == 0 && succeeded == 0));
            let filter = EventFilter {
                run: Some(detail.run.id.clone()),
                kinds: vec!["step.".to_owned()],
                ..EventFilter::default()
            };
            let events = store.events(0, &filter, 1000).unwrap();
            assert_eq!(events.len(), running + 2 * succeeded);
        }
    }
    assert!(said > 0, "the child has written nothing");
}
