//! The tool supervisor as a program of its own, for whoever embeds the orchestrator without
//! the `cofferdam` binary, as its tests do: `cofferdam-supervise supervise FOLDER`.

use cofferdam_orchestrator::tool::supervisor;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (Some(command), Some(folder), None) if command == supervisor::COMMAND => {
            supervisor::main(&PathBuf::from(folder))
        }
        _ => ExitCode::from(2),
    }
}
