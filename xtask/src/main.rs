//! Development tasks, run as `cargo xtask COMMAND`.
//!
//! **Problem.** Building the plugins, making a guest that boots and checking the tree take
//! programs in several languages. A newcomer should need one command and no list of them.
//!
//! **Design.** A command a module. Each says what it does before it does it and runs the same
//! programs that a person would type. What it makes goes below `target/`; only `setup` changes the
//! machine, and says so first. This crate depends on no other crate of the host, so that it
//! compiles in seconds and works while they do not.
//!
//! **Limits.** Debian and its relatives, where apt is.

mod bench;
mod build_plugins;
mod demo;
mod fuzz;
mod lint;
mod seed;
mod setup;
mod soak;
mod test;
mod tools;
mod wit;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Development tasks of Cofferdam.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need and is missing; say what first
    Setup,
    /// Build every plugin of plugins/ into target/plugins
    BuildPlugins {
        /// Build also those whose files did not change
        #[arg(long)]
        force: bool,
    },
    /// Migrate a VMware-born guest and watch it boot on virtio, before and after
    Demo,
    /// Build everything, run all tests, fuzz shortly
    Test {
        /// Seconds of fuzzing a target; 0 for none
        #[arg(long, default_value_t = 10)]
        fuzz_seconds: u32,
    },
    /// Kill, starve and flood for long: what `test` runs a sample of
    Soak {
        /// Where the random moments come from, to repeat a run; another each time without it
        #[arg(long)]
        seed: Option<u64>,
        /// Kills of the workflow and of the migration, each
        #[arg(long, default_value_t = 500)]
        kills: u32,
        /// Only the tests with this in their name
        filter: Option<String>,
    },
    /// Run the benchmarks in release mode
    Bench {
        /// Only those with this in their name
        filter: Option<String>,
    },
    /// Check format, lints, licences, spelling, file sizes and generated files
    Lint {
        /// Only the checks with this in their name
        filter: Option<String>,
    },
    /// Fuzz the parsers of disk images
    Fuzz {
        /// Seconds a target
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Only this target
        target: Option<String>,
    },
    /// Copy wit/ to the SDKs and write docs/contract.md
    Wit,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup => setup::run(&workspace),
        Command::BuildPlugins { force } => {
            setup::run(&workspace)?;
            build_plugins::run_all(&workspace, force)
        }
        Command::Demo => demo::run(&workspace),
        Command::Test { fuzz_seconds } => test::run(&workspace, fuzz_seconds),
        Command::Soak {
            seed,
            kills,
            filter,
        } => soak::run(&workspace, seed, kills, filter.as_deref()),
        Command::Bench { filter } => bench::run(&workspace, filter.as_deref()),
        Command::Lint { filter } => lint::run(&workspace, filter.as_deref()),
        Command::Fuzz { seconds, target } => {
            fuzz::run_targets(&workspace, seconds, target.as_deref())
        }
        Command::Wit => wit::write(&workspace),
    }
}
