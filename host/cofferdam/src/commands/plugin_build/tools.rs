//! Running the tools of a build.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::process::Command;

/// The tools of a build that goes on.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // They may just have ended.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

/// Runs a tool to its end, in a process group of its own: a signal of the terminal is meant for
/// this program, which kills the group. So it gets no input, which is the terminal's.
pub async fn output(command: &mut Command) -> std::io::Result<Output> {
    let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(id.and_then(Pid::from_raw));
    let ended = child.wait_with_output().await;
    if ended.is_ok() {
        // What it left behind, such as a compiler's cache, is meant to stay.
        group.0 = None;
    }
    ended
}

/// Runs a tool that must succeed; what it says goes to standard error.
pub async fn run(command: &mut Command) -> Result<()> {
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let Output { status, .. } = output(command.stdout(Stdio::from(std::io::stderr())))
        .await
        .with_context(|| format!("cannot run {program}; install it or put it on PATH"))?;
    if !status.success() {
        bail!("{program} failed ({status})");
    }
    Ok(())
}

/// The first line that a program prints; none where there is no such program or it fails.
pub async fn ask(command: &mut Command) -> Option<String> {
    let ended = output(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let ended = ended.await.ok().filter(|ended| ended.status.success())?;
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}

/// The file that `program` names for a command that runs in `folder`: on `PATH`, or by its path.
pub fn find(program: &str, folder: &Path) -> Option<PathBuf> {
    if program.contains('/') {
        let file = folder.join(program);
        return file.is_file().then_some(file);
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|place| place.join(program))
        .find(|file| file.is_file())
}
