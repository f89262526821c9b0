//! The other ways to keep a plugin apart: a process for each call, and one that stays.
//!
//! Both are `cat`, which starts faster than any plugin and does nothing with what it gets,
//! so that they are flattered.
//!
//! And another host of plugins, Extism, in a program outside of this workspace
//! (`tests/benches-extism`), which times its own calls.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// The environment variable with the program that calls through Extism.
const EXTISM: &str = "COFFERDAM_EXTISM";

fn cat() -> Child {
    Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// One call of a process that is started for it.
pub fn spawned(input: &[u8]) {
    let mut process = cat();
    process.stdin.take().unwrap().write_all(input).unwrap();
    let mut output = Vec::new();
    let mut from = process.stdout.take().unwrap();
    from.read_to_end(&mut output).unwrap();
    assert_eq!(output.len(), input.len());
    assert!(process.wait().unwrap().success());
}

/// A process that stays.
pub struct Resident {
    process: Child,
    to: Option<ChildStdin>,
    from: ChildStdout,
    output: Vec<u8>,
}

impl Resident {
    pub fn start() -> Self {
        let mut process = cat();
        Self {
            to: process.stdin.take(),
            from: process.stdout.take().unwrap(),
            process,
            output: Vec::new(),
        }
    }

    /// One call. A pipe carries at least one byte. No input is larger than a pipe's
    /// buffer, so that the two do not wait for each other.
    pub fn call(&mut self, input: &[u8]) {
        let input = if input.is_empty() { b"\n" } else { input };
        self.to.as_mut().unwrap().write_all(input).unwrap();
        self.output.resize(input.len(), 0);
        self.from.read_exact(&mut self.output).unwrap();
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.to = None;
        self.process.wait().ok();
    }
}

/// The program that calls through Extism.
pub struct Extism {
    process: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Extism {
    /// Starts it, where the environment names it.
    pub fn start() -> Option<Self> {
        let Some(program) = std::env::var_os(EXTISM) else {
            println!("Extism is left out: {EXTISM} is not set (tests/benches-extism/README.md)");
            return None;
        };
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Self {
            to: process.stdin.take(),
            from: BufReader::new(process.stdout.take().unwrap()),
            process,
        })
    }

    /// The median of one spell of such calls.
    pub fn ask(&mut self, way: &str, bytes: usize) -> Duration {
        writeln!(self.to.as_mut().unwrap(), "{way} {bytes}").unwrap();
        let mut answer = String::new();
        self.from.read_line(&mut answer).unwrap();
        Duration::from_nanos(answer.trim().parse().unwrap())
    }
}

impl Drop for Extism {
    fn drop(&mut self) {
        self.to = None;
        self.process.wait().ok();
    }
}
