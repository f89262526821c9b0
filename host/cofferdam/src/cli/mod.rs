//! What can be typed: a module for each group of commands.

mod disk;
mod migrate;
mod plugin;
mod server;

pub use disk::Disk;
pub use migrate::Migrate;
pub use plugin::Plugin;
pub use server::LogFormat;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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
    /// Make a machine's disks bootable on KVM.
    Migrate(Box<Migrate>),
    /// Look into disk images, convert and compare them.
    #[command(subcommand)]
    Disk(Disk),
    /// Look at plugins and build them.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Print a script that completes commands in a shell.
    Completion {
        /// The shell.
        shell: Shell,
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
