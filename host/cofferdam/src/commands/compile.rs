//! `cofferdam compile-component`: not for people.

use cofferdam_runtime::compiler;
use std::process::ExitCode;

/// Compiles the component on standard input within its limits. It must be called while the
/// process has one thread.
pub fn compile(request: &str) -> ExitCode {
    compiler::main(request)
}
