//! One module a command.

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
    match &cli.command {
        Command::Disk(command) => disk::run(command, cli.output).await,
        Command::Plugin(command) => plugin::run(command, &cli).await,
        Command::Migrate(command) => {
            let config = Config::read(cli.config.as_deref())?;
            migrate::run(command, &cli, &config).await
        }
    }
}
