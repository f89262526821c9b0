//! A language that this program knows nothing of: `[build] command` says how it is built.

use super::languages::{Builder, Job, Missing};
use super::tools;
use anyhow::{Context, Result};
use async_trait::async_trait;
use tokio::process::Command;

/// The plugin's own command.
pub struct OwnCommand;

#[async_trait]
impl Builder for OwnCommand {
    async fn missing(&self, job: &Job<'_>) -> Result<Vec<Missing>> {
        let program = job.build.command.first();
        let missing = program.filter(|program| tools::find(program, job.folder).is_none());
        Ok(missing
            .map(|program| {
                Missing::new(
                    format!("{program}, which [build] in plugin.toml runs"),
                    "install it or put it on PATH",
                )
            })
            .into_iter()
            .collect())
    }

    async fn build(&self, job: &Job<'_>) -> Result<Vec<u8>> {
        let wit = job.contract()?;
        let component = job.scratch.join("component.wasm");
        let filled: Vec<String> = job
            .build
            .command
            .iter()
            .map(|word| {
                word.replace("{output}", &component.to_string_lossy())
                    .replace("{wit}", &wit.to_string_lossy())
            })
            .collect();
        let (program, arguments) = filled
            .split_first()
            .context("the [build] command in plugin.toml is empty")?;
        job.run(Command::new(program).args(arguments)).await?;
        std::fs::read(&component)
            .with_context(|| format!("{program} left no component at {{output}}"))
    }
}
