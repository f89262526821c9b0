//! One module a command.

mod audit;
mod backup;
mod compile;
mod completion;
mod disk;
mod doctor;
mod grant;
mod migrate;
mod plugin;
mod plugin_build;
mod plugin_install;
mod plugin_limits;
mod plugin_list;
mod plugin_new;
mod plugin_registry;
mod plugin_replay;
mod plugin_sources;
mod plugin_stages;
mod plugin_test;
mod plugin_versions;
mod plugin_watch;
mod restore;
mod run;
mod runs;
mod secret;
mod serve;
mod supervise;
mod token;
mod user;
mod workflow;

pub use compile::compile;
pub use supervise::supervise;

use crate::cli::{Cli, Command, Global};
use crate::config::Config;
use anyhow::{Context, Result};
use std::process::ExitCode;

/// Does what was typed.
pub async fn run(cli: &Cli) -> Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(command) => run::run(command, global).await,
        Command::Runs(command) => runs::run(command, global).await,
        Command::Workflow(command) => workflow::run(command, global).await,
        Command::Serve(command) => serve::run(command, global).await,
        Command::Secret(command) => secret::run(command, global).await,
        Command::Token(command) => token::run(command, global).await,
        Command::User(command) => user::run(command, global).await,
        Command::Grant(command) => grant::run(command, global).await,
        Command::Audit(command) => audit::run(command, global).await,
        Command::Backup(command) => backup::run(command, global).await,
        Command::Restore(command) => restore::run(command, global).await,
        Command::Doctor(command) => doctor::run(command, global).await,
        Command::Completion { shell } => Ok(completion::run(*shell)),
        Command::Disk(command) => disk::run(command, global.output).await,
        Command::Plugin(command) => plugin::run(command, global).await,
        Command::Migrate(command) => {
            let config = Config::read(global.config.as_deref())?;
            migrate::run(command, global, &config).await
        }
        // Done before there are threads.
        Command::Supervise { folder } => Ok(supervise(folder)),
        Command::CompileComponent { request } => Ok(compile(request)),
    }
}

/// How long something is good for, in seconds.
fn lifetime(text: &str) -> Result<u64> {
    let duration = humantime::parse_duration(text)
        .with_context(|| format!("{text:?} is not a duration like 2h or 90d"))?;
    anyhow::ensure!(
        duration.as_secs() > 0,
        "{text:?} is shorter than a second; say how long it is to be good for"
    );
    Ok(duration.as_secs())
}

/// Refuses a command that works on the files of the host while a server is named.
fn local_only(global: &Global, command: &str) -> Result<()> {
    anyhow::ensure!(
        global.server.is_none(),
        "`{command}` works on the files and the configuration of this machine; run it on the host, without --server and COFFERDAM_SERVER"
    );
    Ok(())
}
