//! `fuzz`: the cargo-fuzz targets of the disk library.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::tools::{self, CARGO_FUZZ};
use crate::workspace::{Workspace, output, run};

/// Where the targets are, from the root.
const FUZZ: &str = "host/disk/fuzz";

/// Memory that a target may use, in MiB. Parsers must not allocate what a file only claims.
const MEMORY: u32 = 512;

/// Fuzzes all targets, or the one named.
pub(crate) fn run_targets(workspace: &Workspace, seconds: u32, only: Option<&str>) -> Result<()> {
    prepare(workspace)?;
    let targets: Vec<_> = targets(workspace)?
        .into_iter()
        .filter(|target| only.is_none_or(|only| only == target))
        .collect();
    if targets.is_empty() {
        bail!("no such fuzz target; `ls {FUZZ}/fuzz_targets` shows them");
    }
    for target in &targets {
        one(workspace, target, seconds)?;
    }
    Ok(())
}

/// Installs cargo-fuzz, and a nightly toolchain, whose sanitizer it needs.
pub(crate) fn prepare(workspace: &Workspace) -> Result<()> {
    tools::ensure(workspace, &[&CARGO_FUZZ])?;
    let nightly =
        output(
            workspace
                .outside_cargo("rustup")
                .args(["run", "nightly", "rustc", "--version"]),
        )?;
    if nightly.status.success() {
        return Ok(());
    }
    println!("installing Rust's nightly toolchain with rustup");
    run(workspace.outside_cargo("rustup").args([
        "toolchain",
        "install",
        "nightly",
        "--profile",
        "minimal",
    ]))
}

/// The names of the targets.
pub(crate) fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let manifest = workspace.root.join(FUZZ).join("Cargo.toml");
    if !manifest.is_file() {
        return Ok(Vec::new());
    }
    let table: toml::Table = fs::read_to_string(&manifest)?
        .parse()
        .with_context(|| format!("{} is not TOML", manifest.display()))?;
    let binaries = table.get("bin").and_then(toml::Value::as_array);
    Ok(binaries
        .into_iter()
        .flatten()
        .filter_map(|binary| Some(binary.get("name")?.as_str()?.to_owned()))
        .collect())
}

/// Fuzzes one target for so long.
pub(crate) fn one(workspace: &Workspace, target: &str, seconds: u32) -> Result<()> {
    println!("fuzzing {target} for {seconds} s");
    // libFuzzer writes what it finds into the first folder: not into the tree.
    let found = workspace.made("fuzz-corpus").join(target);
    fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let corpus = workspace.root.join(FUZZ).join("corpus").join(target);
    let mut fuzz = workspace.outside_cargo("cargo");
    fuzz.args(["+nightly", "fuzz", "run", "--fuzz-dir", FUZZ, target])
        .arg(&found);
    if corpus.is_dir() {
        fuzz.arg(&corpus);
    }
    fuzz.arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .args(["-timeout=10", "-verbosity=0", "-print_final_stats=1"]);
    run(&mut fuzz).with_context(|| format!("the fuzz target {target} found a fault"))
}
