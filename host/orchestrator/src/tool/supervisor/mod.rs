//! The process that stands over one program and outlives the host.
//!
//! **Problem.** A host that is killed must neither take a half-done `terraform apply` with
//! it nor forget how it ended; and when a program is to stop, all that it started has to
//! stop, also what ignores SIGTERM or made itself a session of its own.
//!
//! **Design.** Three processes, all but the last the same binary:
//! 1. the *supervisor* ([`main`] with an operation's folder): a session of its own, lock
//!    and `started` marker, the output ([`output`]), the time limit, the result;
//! 2. the *launcher* ([`main`] with the `spec.json` in it): confines itself ([`confine`]),
//!    starts the program and reports its end through a pipe. Where the kernel lets us, it is
//!    the first process of a PID namespace: when it goes, for whatever reason, the kernel
//!    kills all that the program started. Elsewhere it and the supervisor are subreapers, so
//!    that whatever the program started stays below them and is found ([`processes`]);
//! 3. the program.
//!
//! **What confines a program**, each where the kernel has it (what is missing is noted in
//! the result): no new privileges; as root, no capabilities but those over files; landlock:
//! writing only in the working folder, in artifacts granted for writing and in the harmless
//! devices; limits of memory, file size and open files, no core dumps; PID and IPC
//! namespaces; without `network`, a network namespace that has no interface up, or else
//! landlock against TCP; a cleared environment; empty standard input.
//! **What does not**: reading files, CPU time, the number of processes, the sum of memory
//! over several processes.
//!
//! **Limits.** Runs single-threaded, because namespaces demand it: call [`main`] before
//! anything starts a thread.

pub mod confine;
mod launch;
pub mod output;
pub mod processes;
mod watch;

use std::path::Path;
use std::process::ExitCode;

/// The hidden command under which the binary calls [`main`].
pub const COMMAND: &str = "supervise";

/// The exit status of a supervisor that came second: another one has or had the operation.
pub const TAKEN: u8 = 3;

/// Supervises the operation in the folder `path`; where `path` is the `spec.json` of an
/// operation, becomes the launcher of its program.
pub fn main(path: &Path) -> ExitCode {
    let done = if path.is_dir() {
        watch::supervise(path)
    } else {
        launch::launch(path).map(|()| true)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(TAKEN),
        Err(error) => {
            // The host made this a file of the operation's folder; if that cannot be
            // written either, the exit status is all there is to say.
            use std::io::Write;
            writeln!(std::io::stderr(), "the supervisor failed: {error}").ok();
            ExitCode::FAILURE
        }
    }
}
