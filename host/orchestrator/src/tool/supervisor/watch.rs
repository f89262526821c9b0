//! The supervisor: one operation from its lock to its result.

use super::launch::Report;
use super::output::{self, Output};
use super::{COMMAND, confine, processes};
use crate::tool::folder::{End, Folder, LAYOUT, Record, Spec, private};
use crate::tool::sealed::Sealed;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, set_child_subreaper};
use std::io::{self, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often the wish to stop is looked for.
const ROUND: Duration = Duration::from_millis(20);

/// How long a program has after SIGTERM until it is killed.
const GRACE: Duration = Duration::from_millis(300);

/// The most that is read from a pipe in one go, bytes; a pipe holds as much.
const CHUNK: usize = 64 << 10;

/// Supervises the operation in `path` to its end; false where another supervisor has it or
/// had it.
pub fn supervise(path: &Path) -> io::Result<bool> {
    let folder = Folder::new(path.canonicalize()?);
    let mut spec = folder.spec()?;
    let sealed = Sealed::from_environment()?;
    sealed.restore(&mut spec);
    // Out of the host's session, so that neither its terminal nor its end reaches here. It
    // fails for a leader of a process group, which has left already.
    rustix::process::setsid().ok();
    let Some(_lock) = folder.lock()? else {
        return Ok(false);
    };
    if folder.has_result()? || folder.is_started()? {
        return Ok(false);
    }
    let expressions = output::compile(&spec.stop_when).map_err(io::Error::other)?;
    let reserved = folder.reserve_result()?;
    let log = private()
        .create(true)
        .truncate(true)
        .open(folder.log_path())?;
    let mut output = Output::new(log, spec.output, expressions, &sealed.redactor());
    let mut notes = confine::separate(spec.network);
    if !folder.mark_started()? {
        return Ok(false);
    }
    let end = match folder.is_to_stop() {
        true => End::NotStarted {
            reason: "it was to stop before it began".to_owned(),
        },
        false => match Launched::new(&folder, &sealed) {
            Ok(launched) => launched.run(&spec, &folder, &mut output, &mut notes)?,
            Err(error) => End::NotStarted {
                reason: format!("its launcher cannot be started: {error}"),
            },
        },
    };
    output.finish();
    notes.extend(output.complaint().map(str::to_owned));
    let record = Record {
        layout: LAYOUT,
        key: spec.key,
        end,
        tail: output.tail(),
        output_bytes: output.total(),
        notes,
    };
    folder.finish(reserved, &record)?;
    Ok(true)
}

/// A launcher and the pipes from it.
struct Launched {
    launcher: Pid,
    handle: Option<OwnedFd>,
    output: Option<PipeReader>,
    reports: PipeReader,
    reported: Vec<u8>,
    ended: bool,
    buffer: Vec<u8>,
}

impl Launched {
    fn new(folder: &Folder, sealed: &Sealed) -> io::Result<Self> {
        set_child_subreaper(Some(rustix::process::getpid()))?;
        let (output, program_output) = io::pipe()?;
        let (reports, launcher_reports) = io::pipe()?;
        for pipe in [&output, &reports] {
            fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        // This very file, also where the one of that name was replaced meanwhile.
        let child = Command::new("/proc/self/exe")
            .arg(COMMAND)
            .arg(folder.spec_path())
            .env_clear()
            .envs(sealed.for_launcher())
            .stdin(Stdio::from(launcher_reports))
            .stdout(Stdio::from(program_output.try_clone()?))
            .stderr(Stdio::from(program_output))
            .spawn()?;
        let launcher = Pid::from_child(&child);
        Ok(Self {
            launcher,
            // Without one (before Linux 5.3) the end is noticed a round later.
            handle: pidfd_open(launcher, PidfdFlags::empty()).ok(),
            output: Some(output),
            reports,
            reported: Vec::new(),
            ended: false,
            buffer: vec![0; CHUNK],
        })
    }

    fn run(
        mut self,
        spec: &Spec,
        folder: &Folder,
        output: &mut Output,
        notes: &mut Vec<String>,
    ) -> io::Result<End> {
        let begun = Instant::now();
        let limit = Duration::from_millis(spec.timeout_ms);
        let mut stopped = None;
        while !self.ended && stopped.is_none() {
            self.turn(output, ROUND.min(limit.saturating_sub(begun.elapsed())))?;
            // What the output says is looked at below, whether the program still runs or not.
            if seen_in(output).is_some() {
                break;
            }
            if folder.is_to_stop() {
                stopped = Some(End::Stopped);
            } else if begun.elapsed() >= limit {
                stopped = Some(End::TimedOut);
            }
        }
        if !self.ended {
            self.stop(output)?;
        }
        let left = processes::kill_all_below_self();
        if left > 0 {
            notes.push(format!(
                "{left} processes of the program could not be killed"
            ));
        }
        self.drain(output)?;
        let reported = self.ended_by(notes);
        Ok(seen_in(output).or(stopped).unwrap_or(reported))
    }

    /// Asks the program to end, waits a little, and kills the launcher: with it goes its
    /// namespace, or what was below it comes to this process.
    fn stop(&mut self, output: &mut Output) -> io::Result<()> {
        processes::signal(&processes::below(self.launcher), Signal::TERM);
        let begun = Instant::now();
        while !self.ended && begun.elapsed() < GRACE {
            self.turn(output, ROUND)?;
        }
        if !self.ended {
            kill_process(self.launcher, Signal::KILL).ok();
        }
        Ok(())
    }

    /// Waits for something to happen, at most `longest`, and takes it in.
    fn turn(&mut self, output: &mut Output, longest: Duration) -> io::Result<()> {
        let mut watched = vec![PollFd::new(&self.reports, PollFlags::IN)];
        watched.extend(
            self.output
                .as_ref()
                .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
        );
        watched.extend(
            self.handle
                .as_ref()
                .map(|handle| PollFd::new(handle, PollFlags::IN)),
        );
        let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
        match poll(&mut watched, Some(&longest)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(pipe) = &mut self.output
            && let Taken::Bytes(count) = take(pipe, &mut self.buffer)?
        {
            match self.buffer.get(..count) {
                Some(bytes) if count > 0 => output.push(bytes),
                // Closed: the program may go on without it.
                _ => self.output = None,
            }
        }
        self.take_reports()?;
        self.ended |= processes::reap(self.launcher);
        Ok(())
    }

    fn take_reports(&mut self) -> io::Result<()> {
        while let Taken::Bytes(count) = take(&mut self.reports, &mut self.buffer)?
            && count > 0
        {
            self.reported
                .extend_from_slice(self.buffer.get(..count).unwrap_or_default());
        }
        Ok(())
    }

    /// What is left in the pipes when all their writers are gone.
    fn drain(&mut self, output: &mut Output) -> io::Result<()> {
        self.take_reports()?;
        while let Some(pipe) = &mut self.output
            && let Taken::Bytes(count) = take(pipe, &mut self.buffer)?
            && count > 0
        {
            output.push(self.buffer.get(..count).unwrap_or_default());
        }
        Ok(())
    }

    /// How the launcher says the program ended. One that could not say was killed, and the
    /// program with it.
    fn ended_by(&self, notes: &mut Vec<String>) -> End {
        let mut end = End::Signalled {
            signal: Signal::KILL.as_raw(),
        };
        for line in self.reported.split(|&byte| byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Report::Confined(missing)) => notes.extend(missing),
                Ok(Report::NotStarted(reason)) => end = End::NotStarted { reason },
                Ok(Report::Exited(status)) => end = End::Exited { status },
                Ok(Report::Signalled(signal)) => end = End::Signalled { signal },
                // The empty rest behind the last line, or a line that death cut off.
                Err(_) => {}
            }
        }
        end
    }
}

/// An end that the output asks for.
fn seen_in(output: &Output) -> Option<End> {
    match output.matched() {
        Some(index) => Some(End::Matched { index }),
        None => output.is_too_much().then_some(End::TooMuchOutput),
    }
}

/// What a read gave.
enum Taken {
    Nothing,
    Bytes(usize),
}

fn take(pipe: &mut PipeReader, buffer: &mut [u8]) -> io::Result<Taken> {
    match pipe.read(buffer) {
        Ok(count) => Ok(Taken::Bytes(count)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Ok(Taken::Nothing)
        }
        Err(error) => Err(error),
    }
}
