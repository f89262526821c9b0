//! The other ways to keep a plugin apart: a process for each call, and one that stays.
//!
//! Both are `cat`, which starts faster than any plugin and does nothing with what it gets,
//! so that they are flattered.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

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
