//! Where things are, and how programs are run there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

/// The source tree and the folders that tasks write to.
pub(crate) struct Workspace {
    /// The folder of the workspace's Cargo.toml.
    pub(crate) root: PathBuf,
    /// Cargo's target folder.
    cargo_target: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in no workspace")?
            .to_path_buf();
        let cargo_target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self {
            cargo_target: root.join(cargo_target),
            root,
        })
    }

    /// Where tasks keep `name`: below `target`, whatever cargo's own target folder is, so
    /// that what takes long to make or download is there once.
    pub(crate) fn made(&self, name: &str) -> PathBuf {
        self.root.join("target").join(name)
    }

    /// The host's binary in the dev profile.
    pub(crate) fn cofferdam(&self) -> PathBuf {
        self.cargo_target.join("debug/cofferdam")
    }

    /// A binary in the release profile.
    pub(crate) fn released(&self, name: &str) -> PathBuf {
        self.cargo_target.join("release").join(name)
    }

    /// A command in the root folder that finds the tools of `target/tools` first.
    pub(crate) fn command(&self, program: impl Into<OsString>) -> Command {
        let program = program.into();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.made("tools/bin"))
            .chain(std::env::split_paths(&path))
            .chain(["/usr/sbin".into(), "/sbin".into()]);
        let mut command = Command::new(&program);
        // Fails only for a folder with a colon in its name, which PATH cannot express.
        if let Ok(path) = std::env::join_paths(paths) {
            command.env("PATH", path);
        }
        command.current_dir(&self.root);
        command
    }

    /// Cargo, of the toolchain that this task runs with.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = self.command(cargo);
        command.args(args);
        command
    }

    /// A tool of another toolchain or of `target/tools`: without the variables that cargo
    /// sets for what it runs, which would pin this toolchain.
    pub(crate) fn outside_cargo(&self, program: &str) -> Command {
        let mut command = self.command(program);
        for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        command
    }

    /// `path` as it is shown to people: relative to the root where it is below it.
    pub(crate) fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// Runs `command` to its end with its output shown.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    if status.success() {
        return Ok(());
    }
    bail!("{} failed ({status})", describe(command))
}

/// Runs `command` to its end and returns what it wrote, whatever its status.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("cannot start {}", describe(command)))
}

/// `command` as a person would type it.
pub(crate) fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_else(|| command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether this runs where nothing may be skipped.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}
