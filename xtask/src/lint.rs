//! `lint`: one line a check, and what to do where one fails.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::tools::{self, CARGO_DENY, TAPLO, TYPOS};
use crate::wit;
use crate::workspace::{Workspace, output};

/// Lines above which a Rust file holds more than one idea.
const LINES_WARN: usize = 600;
const LINES_MAX: usize = 1000;

/// What a check found.
enum Finding {
    Fine,
    /// Worth a line, not a failure.
    Note(String),
    /// What is wrong, in full.
    Fault(String),
}

/// Runs the checks with `filter` in their name, all without one, also after one failed.
pub(crate) fn run(workspace: &Workspace, filter: Option<&str>) -> Result<()> {
    tools::ensure(workspace, &[&CARGO_DENY, &TAPLO, &TYPOS])?;
    let chosen: Vec<_> = CHECKS
        .iter()
        .filter(|(name, ..)| filter.is_none_or(|filter| name.contains(filter)))
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = CHECKS.iter().map(|(name, ..)| *name).collect();
        bail!("no such check; there are: {}", names.join(", "));
    }
    let mut faults = 0;
    for (name, cure, check) in &chosen {
        let finding = check(workspace)
            .unwrap_or_else(|error| Finding::Fault(format!("could not be checked: {error:#}")));
        match finding {
            Finding::Fine => println!("{name}: ok"),
            Finding::Note(note) => println!("{name}: ok, but {note}"),
            Finding::Fault(fault) => {
                faults += 1;
                println!("{}\n{name}: FAILED; {cure}", fault.trim_end());
            }
        }
    }
    if faults > 0 {
        bail!("{faults} of {} checks failed", chosen.len());
    }
    Ok(())
}

/// A check: its name, what to do when it fails, and how it is made.
type Check = (
    &'static str,
    &'static str,
    fn(&Workspace) -> Result<Finding>,
);

const CHECKS: &[Check] = &[
    ("rustfmt", "run `cargo fmt --all`", |workspace| {
        of_program(&mut workspace.cargo(&["fmt", "--all", "--", "--check"]))
    }),
    ("generated from wit/", "run `cargo xtask wit`", generated),
    ("file sizes", "split the file by concept", file_sizes),
    ("taplo", "run `target/tools/bin/taplo fmt`", |workspace| {
        of_program(workspace.command("taplo").args(["fmt", "--check"]))
    }),
    (
        "typos",
        "correct them, or name the exception in .typos.toml",
        |workspace| of_program(&mut workspace.command("typos")),
    ),
    (
        "cargo-deny",
        "replace the dependency, or say in deny.toml why it stays",
        |workspace| of_program(deny(workspace).args(["licenses", "bans", "sources"])),
    ),
    (
        "advisories",
        "update the dependency, or say in deny.toml why it does not matter",
        advisories,
    ),
    ("clippy", "mend what it says", |workspace| {
        of_program(&mut workspace.cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ]))
    }),
];

/// A program that is silent or at least succeeds where all is well.
fn of_program(command: &mut Command) -> Result<Finding> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(Finding::Fine);
    }
    Ok(Finding::Fault(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )))
}

fn deny(workspace: &Workspace) -> Command {
    let mut deny = workspace.command("cargo-deny");
    deny.args(["--log-level", "warn", "check", "--hide-inclusion-graph"]);
    deny
}

/// Known faults of dependencies. The list of them is a git repository, which not every
/// machine reaches; that is no fault of the tree.
fn advisories(workspace: &Workspace) -> Result<Finding> {
    Ok(match of_program(deny(workspace).arg("advisories"))? {
        Finding::Fault(fault) if fault.contains("failed to fetch advisory database") => {
            Finding::Note("not checked: the advisory database cannot be fetched from here".into())
        }
        finding => finding,
    })
}

fn generated(workspace: &Workspace) -> Result<Finding> {
    let differences = wit::differences(workspace)?;
    if differences.is_empty() {
        return Ok(Finding::Fine);
    }
    let lines: Vec<_> = differences
        .iter()
        .map(|path| format!("{} is not what wit/ says", path.display()))
        .collect();
    Ok(Finding::Fault(lines.join("\n")))
}

fn file_sizes(workspace: &Workspace) -> Result<Finding> {
    let mut long = Vec::new();
    let mut too_long = false;
    for folder in ["host", "plugins", "sdk", "examples", "tests", "xtask"] {
        let folder = workspace.root.join(folder);
        if folder.is_dir() {
            visit_rust(&folder, &mut |path, lines| {
                if lines > LINES_WARN {
                    too_long |= lines > LINES_MAX;
                    long.push(format!("{} has {lines} lines", workspace.show(path)));
                }
            })?;
        }
    }
    Ok(if too_long {
        Finding::Fault(long.join("\n"))
    } else if long.is_empty() {
        Finding::Fine
    } else {
        Finding::Note(long.join(", "))
    })
}

/// Calls `see` with each Rust file below `folder` and the number of its lines.
fn visit_rust(folder: &Path, see: &mut impl FnMut(&Path, usize)) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                visit_rust(&path, see)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            see(&path, text.lines().count());
        }
    }
    Ok(())
}
