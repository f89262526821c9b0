//! `cofferdam restore`.

use super::local_only;
use crate::cli::{Global, Output, Restore};
use crate::config::Config;
use crate::host::embedded::exclusive;
use crate::host::state::state_folder;
use crate::render::{bytes, json, sayln};
use anyhow::{Result, bail};
use cofferdam_orchestrator::paths::StatePaths;
use cofferdam_store::Store;
use std::process::ExitCode;

/// Puts a backup in the place of the database. No host may have the folder meanwhile.
pub async fn run(command: &Restore, global: &Global) -> Result<ExitCode> {
    let config = Config::read(global.config.as_deref())?;
    local_only(global, "restore")?;
    let paths = StatePaths::new(state_folder(global, &config)?);
    let _lock = exclusive(&paths)?;
    let database = paths.database();
    if database.exists() && !command.replace {
        bail!(
            "there is state in {} already; --replace puts the backup in its place and keeps the old database beside it",
            paths.root().display()
        );
    }
    let file = command.file.clone();
    let report = tokio::task::spawn_blocking(move || Store::restore(file, database)).await??;
    match global.output {
        Output::Json => json(&report)?,
        Output::Text => {
            sayln!(
                "{}: {}, {} runs",
                report.path.display(),
                bytes(report.bytes),
                report.runs
            );
            if let Some(replaced) = &report.replaced {
                sayln!("the database it replaced is kept as {}", replaced.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
