//! `build-plugins`: every folder below `plugins/` with a `plugin.toml` becomes a component
//! in `target/plugins`, by the same command that any author uses. Those of the tests, below
//! `tests/plugins/`, go to `target/test-plugins`, where no host looks.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use crate::workspace::{Workspace, run};

/// Builds the host, which has the command, then the plugins.
pub(crate) fn run_all(workspace: &Workspace, force: bool) -> Result<()> {
    // With the features that all of the workspace asks of its dependencies, as `cargo test
    // --workspace` builds them, so that they are not compiled twice.
    run(&mut workspace.cargo(&["build", "--workspace", "--bin", "cofferdam"]))?;
    build_all(workspace, "plugins", "plugins", force)?;
    build_all(workspace, "tests/plugins", "test-plugins", force)
}

/// Builds the plugins below the folder `from` into the folder `to` of what is made.
fn build_all(workspace: &Workspace, from: &str, to: &str, force: bool) -> Result<()> {
    let out = workspace.made(to);
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let plugins = find(&workspace.root.join(from))?;
    if plugins.is_empty() {
        bail!("no plugin.toml below {from}/");
    }
    let mut components = Vec::new();
    for folder in &plugins {
        let component = out.join(format!("{}.wasm", id(folder)?));
        components.push(component.clone());
        if !force && is_current(workspace, folder, &component)? {
            continue;
        }
        println!("building {}", workspace.show(folder));
        run(workspace
            .command(workspace.cofferdam())
            .args(["plugin", "build"])
            .arg(folder)
            .arg("-o")
            .arg(&component)
            // zig compiles its C library once, for all plugins.
            .env("ZIG_GLOBAL_CACHE_DIR", workspace.made("tools/zig-cache")))?;
    }
    remove_others(&out, &components)?;
    println!("{} plugins in {}", plugins.len(), workspace.show(&out));
    Ok(())
}

/// Removes components of plugins that are gone, which the host would still load.
fn remove_others(folder: &Path, keep: &[PathBuf]) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
            && !keep.contains(&path)
        {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The folders below `folder` that hold a `plugin.toml`, in the order of their paths.
fn find(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.join("plugin.toml").is_file() {
            found.push(path);
        } else if path.is_dir() {
            found.extend(find(&path)?);
        }
    }
    found.sort();
    Ok(found)
}

/// The plugin's name in its manifest.
fn id(folder: &Path) -> Result<String> {
    let manifest = folder.join("plugin.toml");
    let text = fs::read_to_string(&manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("{} is not TOML", manifest.display()))?;
    table
        .get("id")
        .and_then(toml::Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("{} has no id", manifest.display()))
}

/// Whether `component` is newer than what it is made of, the SDKs among it. Cargo knows better
/// and is quick to say so, so this is for plugins that are built otherwise.
fn is_current(workspace: &Workspace, folder: &Path, component: &Path) -> Result<bool> {
    if folder.join("Cargo.toml").is_file() {
        return Ok(false);
    }
    let Ok(made) = fs::metadata(component).and_then(|file| file.modified()) else {
        return Ok(false);
    };
    let shared = newest(&workspace.root.join("wit"))?.max(newest(&workspace.root.join("sdk/c"))?);
    Ok(newest(folder)?.max(shared) < made)
}

/// When something below `folder` changed last, `SystemTime::UNIX_EPOCH` if it is empty.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        newest = newest.max(if entry.file_type()?.is_dir() {
            // Python writes what it compiled beside the source.
            if entry.file_name() == "__pycache__" {
                continue;
            }
            self::newest(&entry.path())?
        } else {
            entry.metadata()?.modified()?
        });
    }
    Ok(newest)
}
