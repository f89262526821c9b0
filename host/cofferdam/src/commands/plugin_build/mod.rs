//! `cofferdam plugin build`: a folder with `plugin.toml` becomes one component that carries
//! its manifest.
//!
//! **Design.** A module for each language ([`languages`]) says what of its tools is missing on
//! this machine and how to install it, which is told before anything is built, and builds. The
//! language stands in `[build]` of `plugin.toml`; a folder with a Cargo.toml and no `[build]`
//! is Rust, and a language that is not among them says a `command` of its own. The contract
//! travels inside this program and is laid out for tools that need it, so that a project needs
//! no copy of it.
//!
//! **Limits.** Tools are found on `PATH` and used as they are there; none is installed here.
//! Whoever stops waiting for a build ends it: its tools have a process group of their own,
//! which is killed then.

mod c;
mod command;
mod component;
mod contract;
pub mod languages;
mod missing;
mod rust;
mod rust_sdk;
mod tools;

use self::command::OwnCommand;
use self::languages::{Builder, Job};
use crate::cli::Output;
use crate::exit::CANCELLED;
use crate::progress::Interrupts;
use crate::render::{bytes, json, sayln};
use anyhow::{Context, Result, bail};
use cofferdam_contract::manifest::{Build, Manifest};
use cofferdam_runtime::{Inspection, embed_manifest, inspect};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    let build = manifest.build.clone().unwrap_or_default();
    let builder =
        choose(folder, &build).with_context(|| format!("{} cannot be built", folder.display()))?;
    let scratch = tempfile::tempdir().context("no room for temporary files")?;
    let job = Job {
        folder,
        build: &build,
        scratch: scratch.path(),
    };
    missing::none(builder.missing(&job).await?)?;
    let bytes = builder.build(&job).await?;
    let component = embed_manifest(&bytes, &manifest).context("the build's result is no plugin")?;
    let inspection = inspect(&component).context("the build's result is no plugin")?;
    if let Some(world) = build.world
        && world != inspection.kind
    {
        bail!(
            "the component exports the world {}, and [build] of {} says {world}; make them agree",
            inspection.kind,
            file.display()
        );
    }
    Ok(Built {
        component,
        inspection,
    })
}

/// How a folder is built.
fn choose(folder: &Path, build: &Build) -> Result<&'static dyn Builder> {
    if let Some(name) = &build.language {
        let language = languages::find(name).context("the [build] table of its plugin.toml")?;
        return Ok(language);
    }
    if !build.command.is_empty() {
        return Ok(&OwnCommand);
    }
    if folder.join("Cargo.toml").exists() {
        return Ok(&rust::Rust);
    }
    bail!(
        "it has neither a Cargo.toml nor a [build] table in its plugin.toml; say there `language = \"…\"` ({}), or the `command` that builds it",
        languages::names().join(", ")
    )
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
