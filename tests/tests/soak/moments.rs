//! The real program killed at random moments: embedded hosts, one after the other, each
//! carrying on what the one before left.
//!
//! The steps run a program under supervisors, which outlive the hosts. Each start of the
//! program leaves a line in its step's working folder, which no host ever reads.

use crate::chance::{Chance, kills};
use crate::verdict::Case;
use cofferdam_store::{PageRequest, RunFilter, Store};
use cofferdam_tests::site::Site;
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a run may take that nobody kills.
const PATIENCE: Duration = Duration::from_secs(120);

/// The steps that each step waits for, and what else its line has.
const STEPS: [(&str, &str); 10] = [
    ("", "compensate: true"),
    ("s1", "compensate: true"),
    ("s1", ""),
    ("s2", ""),
    ("s3", "compensate: true"),
    ("s4, s5", "approval: true"),
    ("s6", ""),
    ("s6", ""),
    ("s7, s8", ""),
    ("s9", ""),
];

/// The workflow: as that of the lean host, with a program for each step.
fn workflow() -> String {
    let mut text =
        "name: ten\ninputs: { fail: { type: boolean, default: false } }\nsteps:\n".to_owned();
    for (index, (needs, more)) in STEPS.into_iter().enumerate() {
        let id = format!("s{}", index + 1);
        let ends = match index {
            9 => "test ${{ inputs.fail }} = false",
            _ => "sleep 0.02",
        };
        let line = |what: &str| format!("echo {what} {id} $(date +%s%N) >> starts");
        writeln!(
            text,
            "  - id: {id}\n    uses: command\n    needs: [{needs}]"
        )
        .unwrap();
        if !more.is_empty() {
            writeln!(text, "    {more}").unwrap();
        }
        let (execute, undo) = (line("do"), line("undo"));
        writeln!(
            text,
            "    with: {{ tool: sh, args: [-c, '{execute}; {ends}'], undo: [-c, '{undo}'] }}"
        )
        .unwrap();
    }
    text.push_str("outputs: { exit: '${{ steps.s10.outputs.exit }}' }\n");
    text
}

/// What was started, in order of time.
fn done(state: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for run in std::fs::read_dir(state.join("runs")).unwrap() {
        for step in std::fs::read_dir(run.unwrap().path()).unwrap() {
            let starts = step.unwrap().path().join("starts");
            let text = std::fs::read_to_string(starts).unwrap_or_default();
            lines.extend(text.lines().map(|line| {
                let (what, at) = line.rsplit_once(' ').unwrap();
                (at.parse::<u128>().unwrap(), what.to_owned())
            }));
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, what)| what).collect()
}

fn is_there(state: &Path) -> bool {
    let database = state.join("cofferdam.db");
    database.is_file()
        && !Store::open(database)
            .unwrap()
            .runs(&RunFilter::default(), &PageRequest::default())
            .unwrap()
            .items
            .is_empty()
}

/// A host that begins the run or goes on with it.
fn spawn(site: &Site, fail: bool) -> Child {
    let input = format!("fail={fail}");
    let mut command = if is_there(&site.path("state")) {
        site.local(&["runs", "watch", "last", "--yes"])
    } else {
        site.local(&["run", "ten.yaml", "--yes", "--input", &input])
    };
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(site.path("host.log"))
        .unwrap();
    command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

fn wait_until(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs hosts, of which the first ones live for these times. Says how many were killed.
fn run(fail: bool, lives: &[Duration], what: &str) -> (u32, Duration) {
    let site = Site::embedded();
    site.write("ten.yaml", &workflow());
    let log = || std::fs::read_to_string(site.path("host.log")).unwrap();
    let mut killed = 0;
    let mut lives = lives.iter();
    let took = loop {
        let mut host = spawn(&site, fail);
        let began = Instant::now();
        let life = lives.next();
        let end = began + life.copied().unwrap_or(PATIENCE);
        match wait_until(&mut host, end) {
            Some(status) => {
                let code = if fail { 6 } else { 0 };
                assert_eq!(status.code(), Some(code), "{what}:\n{}", log());
                break began.elapsed();
            }
            None => {
                host.kill().unwrap();
                host.wait().unwrap();
                assert!(life.is_some(), "{what}: it does not end:\n{}", log());
                killed += 1;
            }
        }
    };
    let state = site.path("state");
    let case = Case {
        state: &state,
        fail,
        kills: killed,
        outputs: json!({"exit": 0}),
        what,
    };
    case.check(&done(&state));
    (killed, took)
}

#[test]
fn killed_at_random_moments_the_program_carries_on() {
    let mut chance = Chance::new("random moments");
    // The second one finds the plugins compiled.
    let _ = run(false, &[], "unharmed");
    let (_, took) = run(false, &[], "unharmed");
    let longest = u64::try_from(took.as_micros()).unwrap();
    let wanted = kills();
    let (mut done, mut fail) = (0, true);
    while done < wanted {
        let left = u64::from(wanted - done);
        let lives: Vec<Duration> = (0..1 + chance.below(left.min(5)))
            .map(|_| Duration::from_micros(chance.below(longest)))
            .collect();
        let what = format!("fail: {fail}, lives {lives:?}");
        done += run(fail, &lives, &what).0;
        fail = !fail;
    }
    println!("{done} kills; unharmed a run takes {took:?}");
}
