//! `cofferdam plugin build`: a folder with `plugin.toml` becomes one component that carries
//! its manifest.
//!
//! A Rust crate is built by cargo for wasm32-wasip2, optimised, whatever profiles its
//! workspace has. Another language says its command in `[build]`. The contract travels
//! inside this program and is laid out for that command, so that it needs no copy of it.
//!
//! Whoever stops waiting for a build ends it: its tools have a process group of their own, which
//! is killed then.

use crate::cli::Output;
use crate::exit::CANCELLED;
use crate::progress::Interrupts;
use crate::render::{bytes, json, sayln};
use anyhow::{Context, Result, bail};
use cofferdam_contract::manifest::{Build, Manifest};
use cofferdam_runtime::{Inspection, embed_manifest, inspect};
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output as Ended, Stdio};
use tokio::process::Command;

/// The contract's packages in the order of their dependencies.
const CONTRACT: [(&str, &str); 7] = [
    ("types", include_str!("../../../../wit/types/types.wit")),
    (
        "runtime",
        include_str!("../../../../wit/runtime/runtime.wit"),
    ),
    ("reply", include_str!("../../../../wit/reply/reply.wit")),
    ("disk", include_str!("../../../../wit/disk/disk.wit")),
    ("guest", include_str!("../../../../wit/guest/guest.wit")),
    ("tool", include_str!("../../../../wit/tool/tool.wit")),
    ("plugin", include_str!("../../../../wit/plugin/plugin.wit")),
];

/// Optimisation of plugins: one unit with link-time optimisation is a third smaller, and
/// a sandboxed plugin that panics has nothing to unwind to.
const OPTIMISED: [&str; 10] = [
    "--config",
    "profile.release.opt-level=3",
    "--config",
    "profile.release.lto=true",
    "--config",
    "profile.release.codegen-units=1",
    "--config",
    "profile.release.panic=\"abort\"",
    "--config",
    "profile.release.strip=true",
];

/// Builds the folder, writes the component and says what it is.
pub async fn run(folder: &Path, out: Option<&Path>, output: Output) -> Result<ExitCode> {
    let mut interrupts = Interrupts::new()?;
    let built = tokio::select! {
        built = build(folder) => built?,
        _ = interrupts.next() => return Ok(ExitCode::from(CANCELLED)),
    };
    let target = out.map_or_else(
        || PathBuf::from(format!("{}.wasm", built.inspection.manifest.id)),
        Path::to_owned,
    );
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot make {}", parent.display()))?;
    }
    cofferdam_orchestrator::migration::report::write_whole(&target, &built.component)?;
    say(&built.inspection, &target, output)
}

/// A plugin that was built.
pub struct Built {
    /// The component with its manifest.
    pub component: Vec<u8>,
    /// What it is.
    pub inspection: Inspection,
}

/// Builds the folder. What the tools say goes to standard error. Dropped before its end, it kills
/// them.
pub async fn build(folder: &Path) -> Result<Built> {
    let file = folder.join("plugin.toml");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}; a plugin's folder has one", file.display()))?;
    let manifest =
        Manifest::parse(&text).with_context(|| format!("{} cannot be used", file.display()))?;
    let scratch = tempfile::tempdir().context("no room for temporary files")?;
    let component = match &manifest.build {
        Some(build) => by_command(folder, build, scratch.path()).await?,
        None if folder.join("Cargo.toml").exists() => by_cargo(folder).await?,
        None => bail!(
            "{} has neither a Cargo.toml nor a [build] command in its plugin.toml; say there how it is built",
            folder.display()
        ),
    };
    let bytes = std::fs::read(&component)
        .with_context(|| format!("the build left no {}", component.display()))?;
    let component = embed_manifest(&bytes, &manifest).context("the build's result is no plugin")?;
    let inspection = inspect(&component).context("the build's result is no plugin")?;
    Ok(Built {
        component,
        inspection,
    })
}

fn say(inspection: &Inspection, target: &Path, output: Output) -> Result<ExitCode> {
    if output == Output::Json {
        json(inspection)?;
    } else {
        sayln!(
            "{}: {} {} ({}), {}",
            target.display(),
            inspection.manifest.id,
            inspection.manifest.version,
            inspection.kind,
            bytes(inspection.size)
        );
    }
    Ok(ExitCode::SUCCESS)
}

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
async fn run_tool(command: &mut Command) -> std::io::Result<Ended> {
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

async fn by_command(folder: &Path, build: &Build, scratch: &Path) -> Result<PathBuf> {
    let wit = scratch.join("wit");
    for (package, text) in CONTRACT {
        let place = wit.join(package);
        std::fs::create_dir_all(&place)?;
        std::fs::write(place.join(format!("{package}.wit")), text)?;
    }
    let component = scratch.join("component.wasm");
    let filled: Vec<String> = build
        .command
        .iter()
        .map(|word| {
            word.replace("{output}", &component.to_string_lossy())
                .replace("{wit}", &wit.to_string_lossy())
        })
        .collect();
    let Some((program, arguments)) = filled.split_first() else {
        bail!("the [build] command in plugin.toml is empty");
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::from(std::io::stderr()));
    let Ended { status, .. } = run_tool(&mut command)
        .await
        .with_context(|| format!("cannot run {program}; install it or put it on PATH"))?;
    if !status.success() {
        bail!("{program} failed ({status})");
    }
    Ok(component)
}

async fn by_cargo(folder: &Path) -> Result<PathBuf> {
    let manifest_path = folder.join("Cargo.toml");
    let mut command = Command::new("cargo");
    command
        .args(["build", "--release", "--target", "wasm32-wasip2", "--lib"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(OPTIMISED)
        .arg("--manifest-path")
        .arg(&manifest_path)
        .stdout(Stdio::piped());
    let output = run_tool(&mut command)
        .await
        .context("cannot run cargo; install Rust with rustup")?;
    if !output.status.success() {
        bail!("cargo failed; if it misses the target, run `rustup target add wasm32-wasip2`");
    }
    // The plugin's own library is the last artifact: everything else is built before it.
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message
                .get("reason")
                .is_some_and(|r| r == "compiler-artifact")
        })
        .filter_map(|message| {
            let files = message.get("filenames")?.as_array()?.clone();
            files
                .iter()
                .filter_map(|file| file.as_str())
                .find(|file| file.ends_with(".wasm"))
                .map(PathBuf::from)
        })
        .next_back()
        .with_context(|| {
            format!(
                "cargo built no component; {} needs crate-type = [\"cdylib\"]",
                manifest_path.display()
            )
        })
}
