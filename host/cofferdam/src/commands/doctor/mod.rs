//! `cofferdam doctor`: what is missing or misconfigured.
//!
//! **Design.** Each check is a function from the [`Site`] to [`Finding`]s and changes
//! nothing. A finding says what is wrong, what comes of it and what to do, and may carry a
//! [`Treatment`], which says what it would do without doing it, and does it when asked. So
//! to look, to rehearse and to mend are three things, and after mending everything is
//! looked at again: what is still there was not mended.

mod checks;
mod treatment;

use crate::cli::{Doctor, Global, Output};
use crate::config::Config;
use crate::exit;
use crate::host::state::state_folder;
use crate::render::{json, safe, sayln};
use anyhow::Result;
use cofferdam_orchestrator::paths::StatePaths;
use serde::Serialize;
use std::process::ExitCode;
use treatment::Treatment;

/// What is looked at.
pub struct Site<'a> {
    /// The options of the command line.
    pub global: &'a Global,
    /// The configuration; where it cannot be read, the defaults.
    pub config: Config,
    /// The state folder.
    pub state: StatePaths,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something will not work.
    Problem,
    /// It works, and could be better or soon will not.
    Warning,
}

/// Something that is not as it should be.
#[derive(Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is so, and what comes of it.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// What `--fix` does.
    pub treatment: Option<Treatment>,
}

impl Finding {
    fn new(severity: Severity, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            severity,
            message: message.into(),
            advice: advice.into(),
            treatment: None,
        }
    }

    /// Something that will not work.
    pub fn problem(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Severity::Problem, message, advice)
    }

    /// Something that works for now.
    pub fn warning(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message, advice)
    }

    /// With what mends it.
    #[must_use]
    pub fn mended_by(mut self, treatment: Treatment) -> Self {
        self.treatment = Some(treatment);
        self
    }
}

/// A finding as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    check: &'static str,
    severity: Severity,
    message: String,
    advice: String,
    /// What `--fix` does about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Report {
    /// The checks that were made, by name.
    checks: Vec<&'static str>,
    /// What is wrong.
    findings: Vec<Shown>,
    /// What was mended before that.
    fixed: Vec<String>,
}

/// Looks, mends if asked, and says what there is.
pub async fn run(command: &Doctor, global: &Global) -> Result<ExitCode> {
    let mut findings = look(global).await?;
    let mut fixed = Vec::new();
    if command.fix {
        for treatment in findings
            .iter()
            .filter_map(|(_, found)| found.treatment.as_ref())
        {
            treatment.apply()?;
            fixed.push(treatment.done());
        }
        if !fixed.is_empty() {
            findings = look(global).await?;
        }
    }
    let report = Report {
        checks: checks::NAMES.to_vec(),
        findings: findings
            .iter()
            .map(|(check, found)| Shown {
                check,
                severity: found.severity,
                message: found.message.clone(),
                advice: found.advice.clone(),
                fix: found.treatment.as_ref().map(Treatment::summary),
            })
            .collect(),
        fixed,
    };
    match global.output {
        Output::Json => json(&report)?,
        Output::Text => show(&report, command),
    }
    let bad = report
        .findings
        .iter()
        .any(|found| found.severity == Severity::Problem);
    Ok(ExitCode::from(if bad { exit::FAILED } else { 0 }))
}

async fn look(global: &Global) -> Result<Vec<(&'static str, Finding)>> {
    let mut findings = Vec::new();
    let config = match Config::read(global.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            findings.push((
                checks::CONFIGURATION,
                Finding::problem(
                    format!("{error:#}"),
                    "correct the file; docs/configuration.md has every key",
                ),
            ));
            Config::default()
        }
    };
    let state = StatePaths::new(state_folder(global, &config)?);
    let site = Site {
        global,
        config,
        state,
    };
    findings.extend(checks::all(&site).await);
    Ok(findings)
}

fn show(report: &Report, command: &Doctor) {
    for fixed in &report.fixed {
        sayln!("{} {}", console::style("mended").green(), safe(fixed));
    }
    for found in &report.findings {
        let severity = match found.severity {
            Severity::Problem => console::style("problem").red(),
            Severity::Warning => console::style("warning").yellow(),
        };
        sayln!("{severity} {}: {}", found.check, safe(&found.message));
        sayln!("  {}", safe(&found.advice));
        if let Some(fix) = &found.fix {
            let how = if command.dry_run {
                "--fix would"
            } else {
                "--fix can"
            };
            sayln!("  {how} {}", safe(fix));
        }
    }
    if report.findings.is_empty() {
        sayln!("{} checks, nothing to complain of", report.checks.len());
    }
}
