//! Compiling, away from the host.
//!
//! **Problem.** A compiler reads what strangers wrote with none of the sandbox around it: it
//! may be led to take minutes and gigabytes, and a fault in it is a fault in the process
//! that runs it.
//!
//! **Design.** A component is compiled by a child process: this program again, under a
//! hidden command ([`COMMAND`], [`main`]). It gets the component on its standard input (a
//! sealed file in memory) and no more than a [`Request`]; it confines itself before it reads
//! ([`confine`]) and answers on its standard output ([`answer`]). The host waits for it, with
//! a limit of time, on a thread that answers nobody ([`parent`]), and believes nothing: the
//! answer must name this component and this engine and be whole. A child that was killed,
//! crashed or lied gives an error that says so, and the limit where it was one.
//! Both sides build their engine with [`engine`](crate::engine)'s one function.
//!
//! **Limits.** That the machine code in an answer is a true translation cannot be checked: a
//! compiler that was taken over can make code that leaves the sandbox. What it could not do
//! before is read files, use TCP or outlive its limits. [`Compiler::InThisProcess`] has
//! none of this.

mod answer;
mod child;
mod confine;
mod parent;
mod request;

pub use child::main;
pub(crate) use parent::compile;
pub(crate) use request::Request;

use std::ffi::OsString;
use std::path::PathBuf;

/// The hidden command under which the binary calls [`main`], with the request as its only
/// argument.
pub const COMMAND: &str = "compile-component";

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// This process, with no limit but the component's size: for tests and benches, whose
    /// components are known.
    InThisProcess,
    /// A child process.
    Child(Program),
}

/// A program that calls [`main`] with its last argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// Its arguments before the request.
    pub arguments: Vec<OsString>,
}

impl Compiler {
    /// The running program under [`COMMAND`]: the very file that runs, also when another
    /// has taken its place on disk.
    pub fn this_program() -> Self {
        Self::program(PathBuf::from("/proc/self/exe"))
    }

    /// Another program that has [`COMMAND`].
    pub fn program(path: PathBuf) -> Self {
        Self::Child(Program {
            path,
            arguments: vec![COMMAND.into()],
        })
    }
}
