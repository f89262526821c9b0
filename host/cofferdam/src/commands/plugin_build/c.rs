//! C: zig's C compiler makes a module of the plugin's `src/*.c`, the SDK and the bindings of its
//! world; no WASI import results.

use super::component;
use super::languages::{Builder, Job, Language, Missing};
use crate::commands::plugin_new::{ProjectFile, carried, vendored};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use cofferdam_contract::kinds::Kind;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Under which names zig is there: its own, that of the package on PyPI, and that package
/// where its programs are not on `PATH`.
const ZIG: [&[&str]; 3] = [&["zig"], &["python-zig"], &["python3", "-m", "ziglang"]];

/// Optimised for speed, without names. A stack of 256 KiB instead of zig's 16 MiB, which every
/// instance would begin with; zig lays it below the data, so that one that overflows ends the call
/// instead of writing into it.
const OPTIONS: [&str; 9] = [
    "-target",
    "wasm32-wasi",
    "-mexec-model=reactor",
    "-std=c11",
    "-O2",
    "-s",
    "-Wall",
    "-Wextra",
    "-Wl,-z,stack-size=262144",
];

/// Files of the SDK that every world has.
const SHARED: [&str; 5] = ["memory", "text", "error", "context", "settings"];

/// C.
pub struct C;

/// Writes the SDK into a folder.
fn lay_out(folder: &Path) -> Result<()> {
    for (name, content) in carried::sdk("c") {
        let file = folder.join(name);
        let parent = file.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&file, content))
            .with_context(|| format!("cannot write the SDK to {}", file.display()))?;
    }
    Ok(())
}

/// The command that is zig; none where it is missing.
async fn zig(job: &Job<'_>) -> Option<&'static [&'static str]> {
    for command in ZIG {
        let (program, before) = command.split_first()?;
        let arguments: Vec<&str> = before.iter().copied().chain(["version"]).collect();
        if job.ask(program, &arguments).await.is_some() {
            return Some(command);
        }
    }
    None
}

/// The name of a world in the SDK's files.
fn file_name(world: Kind) -> Result<&'static str> {
    Ok(match world {
        Kind::DiskSource => "disk_source",
        Kind::Fixer => "fixer",
        Kind::Filesystem | Kind::Inspector | Kind::WorkflowStep => {
            bail!("the SDK for C has no world {world} yet; it has disk-source and fixer")
        }
    })
}

/// The C files of a folder, by name.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| {
        format!(
            "cannot list {}; a plugin in C has its files there",
            folder.display()
        )
    })?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("there is no .c file in {}", folder.display());
    }
    files.sort();
    Ok(files)
}

#[async_trait]
impl Builder for C {
    async fn missing(&self, job: &Job<'_>) -> Result<Vec<Missing>> {
        if zig(job).await.is_some() {
            return Ok(Vec::new());
        }
        Ok(vec![Missing::new(
            "zig, whose C compiler has everything for WebAssembly",
            "pip install ziglang==0.15.2 (or https://ziglang.org/download)",
        )])
    }

    async fn build(&self, job: &Job<'_>) -> Result<Vec<u8>> {
        let world = job.world()?;
        let name = file_name(world)?;
        let sdk = job.scratch.join("sdk");
        lay_out(&sdk)?;
        let bindings = sdk.join("bindings").join(world.world());
        let module = job.scratch.join("module.wasm");
        let folder = job
            .folder
            .canonicalize()
            .with_context(|| format!("cannot find {}", job.folder.display()))?;
        let command = zig(job).await.context("zig is gone")?;
        let (program, before) = command.split_first().context("zig is gone")?;
        let mut compile = Command::new(program);
        compile.args(before).arg("cc").args(OPTIONS);
        let own = folder.join("src");
        for include in [&own, &sdk.join("include"), &sdk.join("src"), &bindings] {
            compile.arg("-I").arg(include);
        }
        compile.args(sources(&own)?);
        for part in SHARED.into_iter().chain([name]) {
            compile.arg(sdk.join("src").join(format!("{part}.c")));
        }
        compile
            .arg(bindings.join("plugin.c"))
            .arg("-o")
            .arg(&module);
        // What is kept for the next build is the C library, in zig's own cache.
        compile.env("ZIG_LOCAL_CACHE_DIR", job.scratch.join("zig-cache"));
        job.run(&mut compile).await?;
        let module = std::fs::read(&module)
            .with_context(|| format!("the build left no {}", module.display()))?;
        component::make(module, world, &[])
    }
}

impl Language for C {
    fn name(&self) -> &'static str {
        "c"
    }

    fn project(&self) -> Result<Vec<ProjectFile>> {
        Ok(vendored("c"))
    }

    fn unit_tests(&self) -> &'static str {
        "make test"
    }
}
