//! `cofferdam plugin test`: the conformance kit over one component.

use crate::cli::{Output, TestPlugin};
use crate::exit::NONCONFORMING;
use crate::render::{json, safe, safe_line, sayln};
use anyhow::{Context, Result};
use cofferdam_conformance::{Outcome, Report, test};
use cofferdam_runtime::Options;
use cofferdam_runtime::compiler::Compiler;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Tests a component.
pub async fn run(command: &TestPlugin, output: Output) -> Result<ExitCode> {
    let options = Options {
        compiler: Compiler::this_program(),
        ..Options::with_default_cache()
    };
    let cases = match &command.cases {
        Some(folder) => Some(plugin_folder(folder)),
        None => beside(&command.file),
    };
    let report = test(&command.file, cases.as_deref(), options)
        .await
        .with_context(|| format!("{} cannot be tested", command.file.display()))?;
    if output == Output::Json {
        json(&report)?;
    } else {
        show(&report);
    }
    Ok(if report.passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NONCONFORMING)
    })
}

/// The folder whose `cases/` are meant: the one that was named, or the one that holds it.
fn plugin_folder(named: &Path) -> PathBuf {
    let holds = |folder: &Path| folder.join("cases").is_dir();
    if !holds(named) && named.ends_with("cases") {
        return named.parent().unwrap_or(named).to_owned();
    }
    named.to_owned()
}

/// The component's folder, where it is a plugin's own.
fn beside(file: &Path) -> Option<PathBuf> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let own = folder.join("plugin.toml").is_file() && folder.join("cases").is_dir();
    own.then(|| folder.to_owned())
}

fn show(report: &Report) {
    sayln!(
        "{} {} ({}), sha256:{}",
        safe_line(&report.plugin),
        safe_line(&report.version),
        report.world,
        report.digest
    );
    for check in &report.checks {
        match &check.outcome {
            Outcome::Passed => sayln!("  {:<14} passed", check.name),
            Outcome::NotApplicable { reason } => {
                sayln!("  {:<14} not applicable: {}", check.name, safe_line(reason));
            }
            Outcome::Failed { found, mend } => {
                sayln!("  {:<14} failed: {}", check.name, check.what);
                for line in found {
                    sayln!("    {}", safe(line));
                }
                sayln!("    to mend it: {mend}");
            }
        }
    }
    let failed = report.checks.iter().filter(|check| check.failed()).count();
    match failed {
        0 => sayln!("it keeps the contract of its world"),
        1 => sayln!("1 check failed; docs/conformance.md says more of each"),
        _ => sayln!("{failed} checks failed; docs/conformance.md says more of each"),
    }
}
