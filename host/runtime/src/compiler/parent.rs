//! The host's side: starts the child, waits within limits, and looks at what it says.

use super::answer::{self, Outcome};
use super::{Program, Request};
use crate::error::LoadError;
use cofferdam_contract::failure::Limit;
use cofferdam_contract::limits::HostLimits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::Signal;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How much longer than its component an answer may be: machine code has 2 to 10 times the
/// size, and some sections of its own.
const MOST_GROWTH: usize = 64;
const MOST_ADDED: usize = 4 << 20;

/// How much of what the child complains is kept, bytes.
const MOST_SAID: usize = 16 << 10;

/// Of that, what is passed on: characters of its last line.
const MOST_SHOWN: usize = 300;

/// Threads of one compiler; each takes address space for its stack.
const THREADS: &str = "4";

/// What the C library and Rust say when memory is not to be had.
const NO_MEMORY: [&str; 3] = [
    "memory allocation of",
    "Cannot allocate memory",
    "out of memory",
];

/// Compiles `component` in a child, for an engine with this fingerprint. Blocks until the
/// child has ended, at most its wall-clock limit.
///
/// # Errors
/// [`LoadError::Compile`] where the component is not valid, [`LoadError::Limit`] where the
/// child was stopped at one, [`LoadError::Compiler`] where its end or its answer is not to be
/// trusted.
pub(crate) fn compile(
    program: &Program,
    request: Request,
    limits: &HostLimits,
    component: &[u8],
    fingerprint: u64,
) -> Result<Vec<u8>, LoadError> {
    let wall = Duration::from_secs(u64::from(limits.compile_wall_seconds));
    let deadline = Instant::now()
        .checked_add(wall)
        .ok_or_else(|| unusable("its time is not to be counted"))?;
    let child = start(program, request, component)
        .map_err(|error| unusable(&format!("it cannot be started: {error}")))?;
    let most = component
        .len()
        .saturating_mul(MOST_GROWTH)
        .saturating_add(MOST_ADDED);
    let ended = Running(child).listen(deadline, most)?;
    let Some(Ended {
        status,
        answer,
        said,
    }) = ended
    else {
        return Err(limit(limits, Limit::CompileTime));
    };
    let said = String::from_utf8_lossy(&said).into_owned();
    if status.signal() == Some(Signal::XCPU.as_raw()) {
        return Err(limit(limits, Limit::CompileCpu));
    }
    if !status.success() {
        if NO_MEMORY.iter().any(|text| said.contains(text)) {
            return Err(limit(limits, Limit::CompileMemory));
        }
        return Err(unusable(&format!("{}{}", how(status), last_line(&said))));
    }
    match answer::read(answer, &Sha256::digest(component), fingerprint) {
        Ok(Outcome::Compiled(code)) => Ok(code),
        Ok(Outcome::Refused(reason)) if NO_MEMORY.iter().any(|text| reason.contains(text)) => {
            Err(limit(limits, Limit::CompileMemory))
        }
        Ok(Outcome::Refused(reason)) => Err(LoadError::Compile(reason)),
        Err(reason) => Err(unusable(&format!("its answer cannot be used: {reason}"))),
    }
}

fn unusable(reason: &str) -> LoadError {
    LoadError::Compiler(reason.to_owned())
}

fn limit(limits: &HostLimits, limit: Limit) -> LoadError {
    LoadError::Limit {
        limit,
        allowed: limits
            .row(limit)
            .map_or_else(String::new, |row| row.allowed()),
    }
}

fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("it was ended by signal {signal}"),
        (None, Some(code)) => format!("it ended with status {code}"),
        (None, None) => "it ended".to_owned(),
    }
}

/// What it complained of last, to follow another text.
fn last_line(said: &str) -> String {
    let line = said.lines().rfind(|line| !line.trim().is_empty());
    let Some(line) = line else {
        return String::new();
    };
    let shown = line
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c });
    format!(": {}", shown.take(MOST_SHOWN).collect::<String>())
}

/// The component as a file that nobody can change any more.
fn sealed(component: &[u8]) -> std::io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("component", flags)?);
    file.write_all(component)?;
    file.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}

fn start(program: &Program, request: Request, component: &[u8]) -> std::io::Result<Child> {
    Command::new(&program.path)
        .args(&program.arguments)
        .arg(request.to_string())
        .env_clear()
        .env("RAYON_NUM_THREADS", THREADS)
        // Each arena reserves address space, which is limited.
        .env("MALLOC_ARENA_MAX", "2")
        .current_dir("/")
        .stdin(Stdio::from(sealed(component)?))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // So that all of it can be ended together.
        .process_group(0)
        .spawn()
}

/// A child that is ended when this is dropped.
struct Running(Child);

/// What a child left.
struct Ended {
    status: ExitStatus,
    answer: Vec<u8>,
    said: Vec<u8>,
}

impl Running {
    /// Takes in what it says until it has ended, up to `most` bytes of an answer; none where
    /// it has not ended at `deadline`.
    fn listen(mut self, deadline: Instant, most: usize) -> Result<Option<Ended>, LoadError> {
        let failed = |error: std::io::Error| unusable(&format!("it cannot be heard: {error}"));
        let (mut answer, mut said) = (Vec::new(), Vec::new());
        let mut output = self.0.stdout.take();
        let mut errors = self.0.stderr.take();
        while output.is_some() || errors.is_some() {
            let Some(left) = left(deadline) else {
                return Ok(None);
            };
            let (heard, complained) = wait(output.as_ref(), errors.as_ref(), left)
                .map_err(|error| failed(error.into()))?;
            if heard && take(&mut output, &mut answer).map_err(failed)? > most {
                return Err(unusable("its answer is too long"));
            }
            if complained {
                take(&mut errors, &mut said).map_err(failed)?;
                said.drain(..said.len().saturating_sub(MOST_SAID));
            }
        }
        // It has closed its output and may still be there.
        loop {
            if let Some(status) = self.0.try_wait().map_err(failed)? {
                return Ok(Some(Ended {
                    status,
                    answer,
                    said,
                }));
            }
            if left(deadline).is_none() {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already reaped, its number may be another's.
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Some(group) = i32::try_from(self.0.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            rustix::process::kill_process_group(group, Signal::KILL).ok();
        }
        self.0.wait().ok();
    }
}

fn left(deadline: Instant) -> Option<Duration> {
    let left = deadline.checked_duration_since(Instant::now())?;
    (!left.is_zero()).then_some(left)
}

/// Waits until one of them has something to say, or has closed.
fn wait(
    output: Option<&impl AsFd>,
    errors: Option<&impl AsFd>,
    left: Duration,
) -> rustix::io::Result<(bool, bool)> {
    let mut fds = Vec::new();
    fds.extend(output.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    fds.extend(errors.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    let timeout = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error),
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let first = output.is_some() && ready.next().unwrap_or(false);
    let second = errors.is_some() && ready.next().unwrap_or(false);
    Ok((first, second))
}

/// Reads what is there; at the end the pipe is gone. How much there is by now.
fn take<P: Read>(pipe: &mut Option<P>, into: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut chunk = [0; 64 << 10];
    let read = match pipe.as_mut() {
        Some(open) => open.read(&mut chunk)?,
        None => 0,
    };
    if read == 0 {
        *pipe = None;
    }
    into.extend_from_slice(chunk.get(..read).unwrap_or_default());
    Ok(into.len())
}
