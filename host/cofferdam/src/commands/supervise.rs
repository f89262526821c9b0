//! `cofferdam supervise`: not for people.

use cofferdam_orchestrator::tool::supervisor;
use std::path::Path;
use std::process::ExitCode;

/// Becomes the supervisor of an operation. It must be called while the process has one
/// thread.
pub fn supervise(folder: &Path) -> ExitCode {
    supervisor::main(folder)
}
