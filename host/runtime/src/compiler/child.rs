//! The child: reads a component, compiles it, answers.

use super::answer::{self, Outcome};
use super::{Request, confine};
use crate::cache::fingerprint;
use crate::engine;
use crate::inspect::MAX_COMPONENT_BYTES;
use std::io::{Read, Write};
use std::process::ExitCode;

/// Compiles the component on standard input as the request says, and answers on standard
/// output. It must be called while the process has one thread.
pub fn main(request: &str) -> ExitCode {
    match request.parse().and_then(|request| work(&request)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Where this cannot be said either, the exit status is all there is.
            writeln!(std::io::stderr(), "the compiler failed: {reason}").ok();
            ExitCode::FAILURE
        }
    }
}

fn work(request: &Request) -> Result<(), String> {
    confine::confine(request)?;
    let mut component = Vec::new();
    std::io::stdin()
        .lock()
        .take(MAX_COMPONENT_BYTES)
        .read_to_end(&mut component)
        .map_err(|error| format!("the component cannot be read: {error}"))?;
    let engine = engine::for_compiling(request.allocation).map_err(|error| error.to_string())?;
    let outcome = match engine.precompile_component(&component) {
        Ok(code) => Outcome::Compiled(code),
        Err(error) => Outcome::Refused(format!("{error:#}")),
    };
    let mut output = std::io::stdout().lock();
    output
        .write_all(&answer::write(&component, fingerprint(&engine), &outcome))
        .and_then(|()| output.flush())
        .map_err(|error| format!("the answer cannot be written: {error}"))
}
