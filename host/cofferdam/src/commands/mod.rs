//! One module a command.

mod completion;
mod disk;
mod migrate;
mod plugin;
mod plugin_build;

use crate::cli::{Cli, Command};
use crate::config::Config;
use anyhow::Result;
use std::process::ExitCode;

/// Does what was typed.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        Command::Completion { shell } => Ok(completion::run(*shell)),
        Command::Disk(command) => disk::run(command, global.output).await,
        Command::Plugin(command) => plugin::run(command, global).await,
        Command::Migrate(command) => {
            let config = Config::read(global.config.as_deref())?;
            migrate::run(command, global, &config).await
        }
    }
}
