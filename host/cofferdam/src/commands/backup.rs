//! `cofferdam backup`.

use super::local_only;
use crate::cli::{Backup, Global, Output};
use crate::config::Config;
use crate::host::state::state_folder;
use crate::render::{bytes, json, sayln};
use anyhow::{Result, bail};
use cofferdam_orchestrator::paths::StatePaths;
use cofferdam_store::Store;
use std::process::ExitCode;

/// Copies the database. It may be in use meanwhile: the copy is of one moment.
pub async fn run(command: &Backup, global: &Global) -> Result<ExitCode> {
    let config = Config::read(global.config.as_deref())?;
    local_only(global, "backup")?;
    let paths = StatePaths::new(state_folder(global, &config)?);
    let database = paths.database();
    if !database.exists() {
        bail!(
            "there is no database in {} to back up; name the state folder with --state",
            paths.root().display()
        );
    }
    let file = command.file.clone();
    let report =
        tokio::task::spawn_blocking(move || Store::open(&database)?.backup(&file)).await??;
    match global.output {
        Output::Json => json(&report)?,
        Output::Text => {
            sayln!(
                "{}: {}, {} runs",
                report.path.display(),
                bytes(report.bytes),
                report.runs
            );
            eprintln!(
                "note: secrets are in it encrypted, and their key is not: keep {} elsewhere too",
                config
                    .secret_key
                    .unwrap_or_else(|| paths.secret_key())
                    .display()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
