//! `migrate --plan`: a plan that is looked at later. Nothing is made, so there is no run.

use super::show;
use crate::cli::{Migrate, Output};
use crate::host::migrations::ServingPlugins;
use crate::progress::{Watcher, cancel_on_interrupt};
use crate::render::{json, sayln};
use anyhow::{Context, Result, bail};
use cofferdam_contract::types::Timestamp;
use cofferdam_orchestrator::migration::request::{GivenSettings, Target};
use cofferdam_orchestrator::migration::steps::MigrationPlugins;
use cofferdam_orchestrator::migration::{Plan, Request, plan};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Plans, rehearses, shows, and writes the plan to `file`.
pub async fn run(
    command: &Migrate,
    file: &Path,
    plugins: &ServingPlugins,
    given: GivenSettings,
    output: Output,
) -> Result<ExitCode> {
    check_target(file)?;
    let watcher = Watcher::new();
    let request = request(command, plugins, given, &watcher)?;
    let rehearsed = plan(&request).await;
    watcher.finish();
    let plan = rehearsed?.plan;
    plan.write(file)?;
    match output {
        Output::Json => json(&plan)?,
        Output::Text => {
            show::plan(&plan);
            sayln!("\nplan written to {}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A plan may replace a plan, but nothing else: the argument may be a mistyped disk.
fn check_target(file: &Path) -> Result<()> {
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
    plugins: &ServingPlugins,
    given: GivenSettings,
    watcher: &Arc<Watcher>,
) -> Result<Request> {
    let set = plugins
        .whole()
        .map_err(|error| anyhow::anyhow!(error.message))?;
    let mut settings = plugins
        .settings()
        .map_err(|error| anyhow::anyhow!(error.message))?;
    for (plugin, given) in given {
        settings.entry(plugin).or_default().extend(given);
    }
    let time = match &command.plan_time {
        Some(text) => humantime::parse_rfc3339(text)
            .with_context(|| format!("{text:?} is not a time like 2026-01-31T12:00:00Z"))?,
        None => SystemTime::now(),
    };
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Request {
        sources: command.disks.clone(),
        named: command.disks.clone(),
        target: Target {
            format: command.to.clone().unwrap_or_else(|| "qcow2".to_owned()),
            compression: command.compress,
            disk_bus: command
                .disk_bus
                .clone()
                .unwrap_or_else(|| "virtio-blk".to_owned()),
            nic_model: "virtio-net".to_owned(),
        },
        plugins: set.set.clone(),
        settings,
        time: Timestamp {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: 0,
        },
        observer: Arc::clone(watcher) as _,
        cancel: cancel_on_interrupt(),
        scratch: command.scratch.clone().unwrap_or_else(std::env::temp_dir),
    })
}
