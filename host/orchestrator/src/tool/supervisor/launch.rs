//! The launcher: confines itself, starts the program, and says how it ended.

use super::confine;
use super::processes;
use crate::tool::folder::Folder;
use crate::tool::sealed::Sealed;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, set_child_subreaper,
    set_parent_process_death_signal,
};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// How often orphans are collected, and the supervisor looked after where the kernel cannot
/// tell of the program's end.
const ROUND: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// One line to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// All is ready; these confinements were not to be had.
    Confined(Vec<String>),
    /// The program could not be started.
    NotStarted(String),
    /// The program ended by itself with this status.
    Exited(i32),
    /// A signal ended the program.
    Signalled(i32),
}

/// Runs the program of the operation whose `spec.json` is at `path`. Standard input is the
/// pipe for [`Report`]s, standard output and error are the program's.
pub fn launch(path: &Path) -> io::Result<()> {
    let folder = Folder::new(path.parent().unwrap_or(Path::new(".")));
    let mut spec = folder.spec()?;
    Sealed::from_environment()?.restore(&mut spec);
    let mut pipe = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let is_first = rustix::process::getpid() == Pid::INIT;
    if is_first {
        // The kernel takes all others along. Elsewhere it would leave them behind, so there
        // this process notices the supervisor's death itself.
        set_parent_process_death_signal(Some(Signal::KILL))?;
    } else {
        set_child_subreaper(Some(rustix::process::getpid()))?;
    }
    let notes = confine::confine(&spec);
    // Fails, and nothing starts, where the supervisor died before it could be noticed.
    say(&mut pipe, &Report::Confined(notes))?;
    let child = Command::new(&spec.program)
        .args(&spec.arguments)
        .env_clear()
        .envs(&spec.environment)
        .current_dir(&spec.work)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn();
    match child {
        Ok(child) => {
            let end = wait(Pid::from_child(&child), &pipe)?;
            say(&mut pipe, &end)
        }
        Err(error) => {
            let what = format!("{}: {error}", spec.program.display());
            say(&mut pipe, &Report::NotStarted(what))
        }
    }
}

fn say(pipe: &mut File, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    pipe.write_all(&line)
}

/// Waits for `program`, collects whatever else ends, and goes, with everything below, when
/// the supervisor does.
fn wait(program: Pid, pipe: &File) -> io::Result<Report> {
    // Without one (before Linux 5.3) the end is noticed a round later.
    let handle = pidfd_open(program, PidfdFlags::empty()).ok();
    loop {
        while let Some((pid, status)) = rustix::process::wait(WaitOptions::NOHANG)? {
            if pid != program {
                continue;
            }
            return Ok(match (status.exit_status(), status.terminating_signal()) {
                (_, Some(signal)) => Report::Signalled(signal),
                (status, None) => Report::Exited(status.unwrap_or(-1)),
            });
        }
        let mut watched = vec![PollFd::new(pipe, PollFlags::ERR)];
        watched.extend(
            handle
                .as_ref()
                .map(|handle| PollFd::new(handle, PollFlags::IN)),
        );
        match poll(&mut watched, Some(&ROUND)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // The reader's end is closed: there is no supervisor any more.
        if watched
            .first()
            .is_some_and(|pipe| pipe.revents().contains(PollFlags::ERR))
        {
            processes::kill_all_below_self();
            return Err(io::Error::other("the supervisor is gone"));
        }
    }
}
