//! `cofferdam completion`.

use crate::cli::{Cli, Shell};
use crate::render::say;
use clap::CommandFactory;
use std::process::ExitCode;

/// Prints the script.
pub fn run(shell: Shell) -> ExitCode {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut for_people(), "cofferdam", &mut script);
    say(format_args!("{}", String::from_utf8_lossy(&script)));
    ExitCode::SUCCESS
}

/// The command line without what is hidden: scripts for bash name every command.
fn for_people() -> clap::Command {
    let whole = Cli::command();
    let visible = whole.get_subcommands().filter(|one| !one.is_hide_set());
    clap::Command::new("cofferdam")
        .args(whole.get_arguments())
        .subcommands(visible.cloned())
}
