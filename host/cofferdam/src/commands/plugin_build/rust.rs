//! Rust: cargo builds the crate for wasm32-wasip2, optimised, whatever profiles its workspace
//! has.

use super::languages::{Builder, Job, Language, Missing};
use super::{rust_sdk, tools};
use crate::commands::plugin_new::ProjectFile;
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// What plugins are compiled for.
const TARGET: &str = "wasm32-wasip2";

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

/// Rust.
pub struct Rust;

#[async_trait]
impl Builder for Rust {
    async fn missing(&self, job: &Job<'_>) -> Result<Vec<Missing>> {
        if job.ask("cargo", &["--version"]).await.is_none() {
            return Ok(vec![Missing::new(
                "cargo",
                "install Rust with rustup (https://rustup.rs)",
            )]);
        }
        let asked = ["--print", "target-libdir", "--target", TARGET];
        let library = job.ask("rustc", &asked).await;
        if library.is_some_and(|library| Path::new(&library).is_dir()) {
            return Ok(Vec::new());
        }
        Ok(vec![Missing::new(
            format!("Rust's target {TARGET}"),
            format!("rustup target add {TARGET}"),
        )])
    }

    async fn build(&self, job: &Job<'_>) -> Result<Vec<u8>> {
        let component = compile(job).await?;
        std::fs::read(&component)
            .with_context(|| format!("the build left no {}", component.display()))
    }
}

impl Language for Rust {
    fn name(&self) -> &'static str {
        "rust"
    }

    fn project(&self) -> Result<Vec<ProjectFile>> {
        rust_sdk::files()
    }

    fn unit_tests(&self) -> &'static str {
        "cargo test"
    }
}

/// The component that cargo made.
async fn compile(job: &Job<'_>) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command
        .args(["build", "--release", "--target", TARGET, "--lib"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(OPTIMISED)
        .args(["--manifest-path", "Cargo.toml"])
        .current_dir(job.folder)
        .stdout(Stdio::piped());
    let output = tools::output(&mut command)
        .await
        .context("cannot run cargo; install Rust with rustup")?;
    if !output.status.success() {
        bail!("cargo failed ({})", output.status);
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
                job.folder.join("Cargo.toml").display()
            )
        })
}
