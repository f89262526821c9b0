//! `cofferdam migrate`.

use crate::cli::{Global, Migrate, Output};
use crate::config::Config;
use crate::exit::NotApproved;
use crate::host;
use crate::progress::{Watcher, cancel_on_interrupt};
use crate::render::{bytes, json, safe, sayln};
use anyhow::{Context, Result, bail};
use cofferdam_capabilities::plugins::LoadedPlugins;
use cofferdam_contract::types::{Severity, Timestamp};
use cofferdam_orchestrator::migration::request::Target;
use cofferdam_orchestrator::migration::{
    Output as OutputFolder, Plan, Rehearsed, Report, Request, apply, plan, reproduce,
};
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Plans, shows, asks, applies.
pub async fn run(command: &Migrate, global: &Global, config: &Config) -> Result<ExitCode> {
    let saved = command.apply.as_deref().map(Plan::read).transpose()?;
    if let Some(file) = &command.plan {
        check_plan_target(file)?;
    }
    if let Some(out) = &command.out
        && out.exists()
        && !out.is_dir()
    {
        bail!(
            "{} is not a folder; name one for the new disk",
            out.display()
        );
    }
    let loaded = host::load(global, config)?;
    refuse_incomplete(&loaded)?;
    let watcher = Watcher::new();
    let request = request(command, config, saved.as_ref(), loaded, &watcher)?;
    let outcome = carry_out(command, global.output, saved, &request, &watcher).await;
    watcher.finish();
    outcome
}

async fn carry_out(
    command: &Migrate,
    output: Output,
    saved: Option<Plan>,
    request: &Request,
    watcher: &Watcher,
) -> Result<ExitCode> {
    // A folder that cannot take the result is better found before the work than after.
    let early = match (&command.out, &saved) {
        (Some(out), Some(saved)) => Some(OutputFolder::prepare(out, &saved.disk_names())?),
        _ => None,
    };
    let rehearsed = match &saved {
        Some(saved) => reproduce(request, saved).await?,
        None => plan(request).await?,
    };
    watcher.finish();
    if let Some(file) = &command.plan {
        rehearsed.plan.write(file)?;
        match output {
            Output::Json => json(&rehearsed.plan)?,
            Output::Text => {
                show(&rehearsed.plan);
                sayln!("\nplan written to {}", file.display());
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let Some(out) = &command.out else {
        bail!("name the folder for the new disk with --out");
    };
    if output == Output::Text {
        show(&rehearsed.plan);
    }
    let folder = match early {
        Some(folder) => folder,
        None => {
            let folder = OutputFolder::prepare(out, &rehearsed.plan.disk_names())?;
            if !command.yes {
                if output == Output::Json {
                    json(&rehearsed.plan)?;
                }
                approve(output)?;
            }
            folder
        }
    };
    finish(rehearsed, request, folder, out, command.threads, output).await
}

async fn finish(
    rehearsed: Rehearsed,
    request: &Request,
    folder: OutputFolder,
    out: &Path,
    threads: usize,
    output: Output,
) -> Result<ExitCode> {
    let report = apply(rehearsed, request, folder, threads).await?;
    match output {
        Output::Json => json(&report)?,
        Output::Text => show_report(&report, out),
    }
    Ok(ExitCode::SUCCESS)
}

/// A migration without a plugin that was meant to be there may give a disk that does not
/// boot, and nothing would show it.
fn refuse_incomplete(loaded: &LoadedPlugins) -> Result<()> {
    if loaded.refused.is_empty() {
        return Ok(());
    }
    let refused: Vec<String> = loaded
        .refused
        .iter()
        .map(|refused| format!("{}: {}", refused.path.display(), refused.reason))
        .collect();
    bail!(
        "{} of the plugin folders cannot be loaded, and a migration without them may not boot; remove or mend them, or name another folder with --plugins:\n  {}",
        refused.len(),
        refused.join("\n  ")
    );
}

/// A plan may replace a plan, but nothing else: the argument may be a mistyped disk.
fn check_plan_target(file: &Path) -> Result<()> {
    if file.exists() && Plan::read(file).is_err() {
        bail!(
            "{} exists and is not a plan; it is left alone, choose another name",
            file.display()
        );
    }
    Ok(())
}

fn request(
    command: &Migrate,
    config: &Config,
    saved: Option<&Plan>,
    loaded: LoadedPlugins,
    watcher: &Arc<Watcher>,
) -> Result<Request> {
    let bound = saved.map(|plan| &plan.binding);
    let time = match (bound, &command.plan_time) {
        (Some(bound), _) => parse_time(&bound.time)?,
        (None, Some(time)) => parse_time(time)?,
        (None, None) => SystemTime::now(),
    };
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let compression = command
        .compress
        .or_else(|| bound.and_then(|bound| bound.target.compression));
    let format = command
        .to
        .clone()
        .or_else(|| bound.map(|bound| bound.target.format.clone()))
        .unwrap_or_else(|| "qcow2".to_owned());
    let disk_bus = command
        .disk_bus
        .clone()
        .or_else(|| bound.map(|bound| bound.target.disk_bus.clone()))
        .unwrap_or_else(|| "virtio-blk".to_owned());
    if compression.is_some() && format != "qcow2" {
        bail!("only qcow2 can be compressed; leave --compress out or use --to qcow2");
    }
    let sources = match (command.disks.as_slice(), saved) {
        ([], Some(saved)) => saved.sources(),
        ([], None) => bail!("name the machine's disks"),
        (disks, _) => disks.to_vec(),
    };
    Ok(Request {
        sources,
        target: Target {
            format,
            compression,
            disk_bus,
            nic_model: "virtio-net".to_owned(),
        },
        plugins: loaded.set,
        settings: config.settings(&command.set)?,
        time: Timestamp {
            seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
            nanoseconds: 0,
        },
        observer: Arc::clone(watcher) as _,
        cancel: cancel_on_interrupt(),
        scratch: command.scratch.clone().unwrap_or_else(std::env::temp_dir),
    })
}

fn parse_time(text: &str) -> Result<SystemTime> {
    humantime::parse_rfc3339(text)
        .with_context(|| format!("{text:?} is not a time like 2026-01-31T12:00:00Z"))
}

fn approve(output: Output) -> Result<()> {
    let asked = output == Output::Text && std::io::stdin().is_terminal();
    if !asked {
        return Err(NotApproved.into());
    }
    print!("\nApply this plan? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(NotApproved.into())
}

fn show(plan: &Plan) {
    for (number, source) in plan.sources().iter().enumerate() {
        let label = if number == 0 { "source:" } else { "" };
        sayln!("{label:<8} {}", safe(&source.display().to_string()));
    }
    for file in &plan.binding.source {
        sayln!(
            "         {} ({} bytes, sha256 {})",
            safe(&file.name),
            file.size,
            file.sha256
        );
    }
    let os = &plan.guest.operating_system;
    sayln!("guest:   {} {}", safe(&os.name), safe(&os.architecture));
    for kernel in &plan.guest.kernels {
        sayln!("         kernel {}", safe(&kernel.version));
    }
    sayln!(
        "target:  {} on {}",
        plan.disk_names().join(", "),
        plan.binding.target.disk_bus
    );
    if !plan.notes.is_empty() {
        sayln!("\nnotes:");
    }
    for note in &plan.notes {
        let severity = match note.severity {
            Severity::Info => "info",
            Severity::Warn => "warning",
            Severity::Block => "blocked",
        };
        sayln!("  {severity}: {}", safe(&note.to_string()));
    }
    sayln!("\n{} edits, rehearsed on an overlay:", plan.edits.len());
    for change in &plan.changes {
        sayln!("\n{}", console::style(safe(&change.path)).bold());
        for edit in change.edits.iter().filter_map(|n| plan.edits.get(*n)) {
            sayln!("  {}: {}", edit.fixer, safe(&edit.reason));
        }
        if let Some(summary) = &change.summary {
            sayln!("  {}", safe(summary));
        }
        for line in change.diff.iter().flat_map(|diff| diff.lines()) {
            let line = safe(line);
            let styled = match line.chars().next() {
                Some('+') => console::style(line).green(),
                Some('-') => console::style(line).red(),
                Some('@') => console::style(line).cyan(),
                _ => console::style(line),
            };
            sayln!("    {styled}");
        }
    }
    sayln!("\ndigest of edits and result: {}", plan.edits_digest);
}

fn show_report(report: &Report, out: &Path) {
    sayln!();
    for disk in &report.disks {
        sayln!(
            "{}: {} of disk in {} of file",
            out.join(&disk.file).display(),
            bytes(disk.virtual_size),
            bytes(disk.file_size)
        );
    }
    sayln!("report: {}", out.join("report.md").display());
}
