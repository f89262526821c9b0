//! This program again, as a process that does one thing and says what it took: what the
//! system counts by process is not mixed with what came before.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// The argument before the name of the thing.
const CHILD: &str = "in-a-child";

/// Does what this process was started for, if it was started by [`ask`] or to compile.
pub fn main(arguments: &[String]) -> Option<ExitCode> {
    match arguments {
        [command, request] if command == cofferdam_runtime::compiler::COMMAND => {
            Some(cofferdam_runtime::compiler::main(request))
        }
        [child, what, rest @ ..] if child == CHILD => {
            let figures = match what.as_str() {
                "plugins" => crate::memory::plugins(rest),
                "instances" => crate::memory::instances(rest),
                _ => crate::start::host(rest),
            };
            let figures: Vec<String> = figures.iter().map(f64::to_string).collect();
            println!("{}", figures.join(" "));
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}

/// Has it done in a process of its own; gives the figures that it says.
pub fn ask(what: &str, arguments: &[&str]) -> Vec<f64> {
    let output = Command::new(PathBuf::from("/proc/self/exe"))
        .args([CHILD, what])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{what}: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace()
        .map(|figure| figure.parse().unwrap())
        .collect()
}

/// A row of a process's status (`self` is this one), KiB.
fn status(process: &str, row: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(row));
    let words = line.unwrap().split_whitespace().nth(1);
    words.unwrap().parse().unwrap()
}

/// Resident memory, KiB.
pub fn resident(process: &str) -> f64 {
    status(process, "VmRSS")
}

/// Resident memory of this process without the pages of files, of which the program itself
/// is the most, KiB.
pub fn anonymous() -> f64 {
    status("self", "RssAnon")
}
