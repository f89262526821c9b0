//! What can be typed: a module for each group of commands.

mod access;
mod disk;
mod migrate;
mod plugin;
mod run;
mod runs;
mod server;
mod state;
mod workflow;

pub use access::{GrantCommand, SecretCommand, TokenCommand, UserCommand};
pub use disk::Disk;
pub use migrate::Migrate;
pub use plugin::{
    AskRegistry, Decide, InstallPlugin, ListPlugins, NewPlugin, Plugin, TestPlugin, WatchPlugin,
};
pub use run::Run;
pub use runs::{Follow, ListRuns, RunLogs, RunsCommand};
pub use server::{LogFormat, Serve};
pub use state::{Audit, Backup, Doctor, Restore};
pub use workflow::WorkflowCommand;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::error::Error;
use std::path::PathBuf;
use std::str::FromStr;

/// Runs orchestration plugins in a sandbox: plan, look, approve, apply exactly that plan.
#[derive(Parser)]
#[command(name = "cofferdam", version, propagate_version = true)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The options of every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// How to print results and errors.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Configuration file [default: cofferdam.toml, where there is one].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder with plugins; may be repeated [default: COFFERDAM_PLUGINS, the configuration, the
    /// user's data folder, and `plugins` beside the program's folder].
    #[arg(long = "plugins", global = true, value_name = "FOLDER")]
    pub plugin_folders: Vec<PathBuf>,
    /// Folder with the host's state [default: COFFERDAM_STATE, the configuration, and
    /// cofferdam in the user's folder for state].
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        help_heading = "Host and server"
    )]
    pub state: Option<PathBuf>,
    /// Be a client of the host at this address instead of one oneself [default:
    /// COFFERDAM_SERVER].
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Host and server"
    )]
    pub server: Option<String>,
    /// File with the token for the server [default: the token in COFFERDAM_TOKEN].
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Host and server"
    )]
    pub token_file: Option<PathBuf>,
    /// File with the certificates (PEM) that the server's may be signed by, instead of the
    /// system's.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Host and server"
    )]
    pub ca: Option<PathBuf>,
    /// The project that the command is about [default: the configuration's, or default].
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        help_heading = "Host and server"
    )]
    pub project: Option<String>,
    /// Host log on standard error: a level, or directives such as
    /// cofferdam_orchestrator=debug [default: warn; serve: info].
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        help_heading = "Host and server"
    )]
    pub log: Option<String>,
}

/// How to print results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Start a run of a workflow and follow it to its end.
    Run(Run),
    /// Look at runs, decide on them and continue them.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Check workflows and keep them by name.
    #[command(subcommand)]
    Workflow(WorkflowCommand),
    /// Be a host: carry on unfinished runs and offer the HTTP API.
    Serve(Serve),
    /// Make a machine's disks bootable on KVM.
    Migrate(Box<Migrate>),
    /// Look into disk images, convert and compare them.
    #[command(subcommand)]
    Disk(Disk),
    /// Plugins: build, share, install, swap, roll back, and look at how they do.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Secrets for plugins: they can be set and used, never read back.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Tokens for the HTTP API.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Users and their roles in projects.
    #[command(subcommand)]
    User(UserCommand),
    /// Roles granted for a limited time.
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Who changed what, and when.
    Audit(Audit),
    /// Write a consistent copy of the host's database, also while it works.
    Backup(Backup),
    /// Put a backup in the place of the host's database.
    Restore(Restore),
    /// Find what is missing or misconfigured, and mend what can be mended.
    Doctor(Doctor),
    /// Print a script that completes commands in a shell.
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Compile the component on standard input: what a host starts for itself.
    #[command(hide = true)]
    CompileComponent {
        /// For which engine, and within which limits.
        request: String,
    },
    /// Supervise one program of a step: what a host starts for itself.
    #[command(hide = true)]
    Supervise {
        /// The operation's folder.
        folder: PathBuf,
    },
}

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// The Bourne-again shell.
    Bash,
    /// The Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
}

/// A parser for the words of an enumeration of the store: the same words as in JSON.
fn words<T>(all: &[T], word: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + FromStr<Err: Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|one| word(*one))).try_map(|word| word.parse::<T>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
