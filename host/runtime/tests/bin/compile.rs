//! The compiling child, as a program of its own.

use cofferdam_runtime::compiler::{COMMAND, main as compile};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [command, request] if command == COMMAND => compile(request),
        _ => ExitCode::FAILURE,
    }
}
