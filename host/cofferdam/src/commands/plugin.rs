//! `cofferdam plugin list` and `inspect`.

use super::{plugin_build, plugin_limits, plugin_replay};
use crate::cli::{Global, Output, Plugin};
use crate::config::Config;
use crate::host::plugin_folders;
use crate::render::{bytes, json, safe, sayln};
use anyhow::{Context, Result};
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::order::sequence;
use cofferdam_runtime::{Inspection, PluginFile, PluginFolder};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// Does a `plugin` command.
pub async fn run(command: &Plugin, global: &Global) -> Result<ExitCode> {
    match command {
        Plugin::List => list(global),
        Plugin::Inspect { file } => inspect(file, global),
        Plugin::Build { folder, out } => plugin_build::run(folder, out.as_deref(), global.output),
        Plugin::Replay {
            recording,
            component,
        } => plugin_replay::run(recording, component.as_deref(), global).await,
    }
}

#[derive(Serialize)]
struct Listed {
    plugins: Vec<ListedPlugin>,
    refused: Vec<ListedRefusal>,
}

#[derive(Serialize)]
struct ListedPlugin {
    id: String,
    kind: Kind,
    version: String,
    summary: String,
    digest: String,
    file: String,
}

#[derive(Serialize)]
struct ListedRefusal {
    file: String,
    reason: String,
}

fn list(global: &Global) -> Result<ExitCode> {
    let config = Config::read(global.config.as_deref())?;
    let folders = plugin_folders(global, &config);
    let found = PluginFolder::scan(&folders);
    let listed = Listed {
        plugins: in_order(&found.plugins)?,
        refused: found
            .refused
            .iter()
            .map(|refused| ListedRefusal {
                file: refused.path.display().to_string(),
                reason: refused.reason.to_string(),
            })
            .collect(),
    };
    if global.output == Output::Json {
        json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    if listed.plugins.is_empty() {
        let places: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        if places.is_empty() {
            sayln!("no plugins: there is no plugin folder; name one with --plugins FOLDER");
        } else {
            sayln!("no plugins in {}", places.join(", "));
        }
    } else {
        sayln!(
            "{:<12}  {:<14}  {:<9}  {:<12}  summary",
            "kind",
            "id",
            "version",
            "digest"
        );
    }
    for plugin in &listed.plugins {
        let short: String = plugin.digest.chars().take(12).collect();
        sayln!(
            "{:<12}  {:<14}  {:<9}  {short}  {}",
            plugin.kind.to_string(),
            plugin.id,
            plugin.version,
            safe(&plugin.summary)
        );
    }
    if !listed.refused.is_empty() {
        sayln!("\nrefused:");
    }
    for refused in &listed.refused {
        sayln!("  {}: {}", safe(&refused.file), safe(&refused.reason));
    }
    Ok(ExitCode::SUCCESS)
}

/// By kind, and in each kind as they run.
fn in_order(plugins: &[PluginFile]) -> Result<Vec<ListedPlugin>> {
    let mut listed = Vec::new();
    for kind in Kind::ALL {
        let own: Vec<&PluginFile> = plugins
            .iter()
            .filter(|plugin| plugin.inspection.kind == kind)
            .collect();
        let manifests: Vec<_> = own
            .iter()
            .map(|plugin| &plugin.inspection.manifest)
            .collect();
        for id in sequence(&manifests)? {
            let Some(plugin) = own.iter().find(|p| p.inspection.manifest.id == id) else {
                continue;
            };
            listed.push(ListedPlugin {
                id,
                kind,
                version: plugin.inspection.manifest.version.clone(),
                summary: plugin.inspection.manifest.summary.clone(),
                digest: plugin.inspection.digest.clone(),
                file: plugin.path.display().to_string(),
            });
        }
    }
    Ok(listed)
}

/// What a file says of itself, and what it may use here.
#[derive(Serialize)]
struct Inspected<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    limits: Vec<plugin_limits::LimitInForce>,
}

fn inspect(file: &Path, global: &Global) -> Result<ExitCode> {
    let config = Config::read(global.config.as_deref())?;
    let plugin = PluginFile::read(file)
        .with_context(|| format!("{} is no plugin for this host", file.display()))?;
    let inspection = &plugin.inspection;
    let limits = plugin_limits::in_force(&inspection.manifest, &config);
    if global.output == Output::Json {
        json(&Inspected { inspection, limits })?;
        return Ok(ExitCode::SUCCESS);
    }
    describe(inspection, &limits);
    Ok(ExitCode::SUCCESS)
}

fn describe(inspection: &Inspection, limits: &[plugin_limits::LimitInForce]) {
    let manifest = &inspection.manifest;
    sayln!("{} {} ({})", manifest.id, manifest.version, inspection.kind);
    sayln!("  {}", safe(&manifest.summary));
    sayln!(
        "world:   cofferdam:plugin/{}@0.1.0",
        inspection.kind.world()
    );
    sayln!("digest:  sha256:{}", inspection.digest);
    sayln!("size:    {}", bytes(inspection.size));
    sayln!("capabilities wanted:");
    for import in &inspection.imports {
        let inherent = inspection
            .kind
            .inherent_imports()
            .contains(&import.as_str());
        let note = if inherent {
            "of its world"
        } else {
            "needs a grant"
        };
        sayln!("  {import}  ({note})");
    }
    if !inspection.wasi.is_empty() {
        let time = if inspection.kind.is_pure() {
            "its clocks stand still and its random bytes follow from the plan's time"
        } else {
            "its clocks run"
        };
        sayln!(
            "  {} WASI interfaces, inert: no files, network or environment; {time}",
            inspection.wasi.len()
        );
    }
    for want in inspection.wants() {
        sayln!("grant:   {}: {}", want.interface, safe(&want.why));
        for line in inspection.lines(&want).lines() {
            sayln!("  {}", safe(line));
        }
    }
    plugin_limits::show(limits);
    let after = manifest.order.after.join(", ");
    let before = manifest.order.before.join(", ");
    if !after.is_empty() {
        sayln!("after:   {after}");
    }
    if !before.is_empty() {
        sayln!("before:  {before}");
    }
    let settings = manifest
        .settings
        .get("properties")
        .and_then(|p| p.as_object());
    for (name, schema) in settings.into_iter().flatten() {
        let text = |key: &str| schema.get(key).map(ToString::to_string).unwrap_or_default();
        sayln!(
            "setting: {}.{name} (default {}): {}",
            manifest.id,
            text("default"),
            safe(text("description").trim_matches('"'))
        );
    }
}
