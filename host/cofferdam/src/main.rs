//! `cofferdam`: the command line, and the place where the parts are put together.
//!
//! Each command is a module of [`commands`] and returns how the program ends. What people
//! read goes to standard output, progress and errors to standard error, so that a pipe
//! gets only the answer; `--output json` gives the same facts for programs.
//!
//! Exit codes are in [`exit`] and `docs/exit-codes.md`.

mod cli;
mod client;
mod commands;
mod config;
mod exit;
mod follow;
mod host;
mod progress;
mod render;
mod telemetry;

use clap::Parser;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

/// How long the end of the program waits for work on other threads.
const LEAVE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match cli::Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error, &arguments),
    };
    let output = cli.global.output;
    // These have one thread and need nothing of the rest.
    match &cli.command {
        cli::Command::Supervise { folder } => return commands::supervise(folder),
        cli::Command::CompileComponent { request } => return commands::compile(request),
        _ => {}
    }
    let telemetry = match telemetry::begin(&cli) {
        Ok(telemetry) => telemetry,
        Err(error) => return exit::failed(&error, output),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return exit::failed(&anyhow::Error::new(error).context("cannot start"), output);
        }
    };
    let code = match runtime.block_on(commands::run(&cli)) {
        Ok(code) => code,
        Err(error) => exit::failed(&error, output),
    };
    // Spans that are still open end with their tasks. A thread that reads the terminal ends
    // with the next line or the program.
    runtime.shutdown_timeout(LEAVE);
    telemetry.shutdown();
    code
}
