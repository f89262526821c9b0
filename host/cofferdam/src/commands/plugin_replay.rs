//! `cofferdam plugin replay`: recorded calls again, with a recording in the place of the host.
//!
//! Every interface that the component wants is granted to it here: what stands behind each is
//! the recording, which has no way out.

use crate::cli::{Global, Output};
use crate::config::Config;
use crate::exit::DIVERGED;
use crate::host::{self, plugin_folders};
use crate::render::{json, safe, sayln};
use anyhow::{Context, Result, bail, ensure};
use cofferdam_capabilities::load_plugins;
use cofferdam_contract::grants::Granted;
use cofferdam_filters::{Divergence, Recording, Subject, Verdict, replay};
use cofferdam_runtime::{PluginFile, PluginFolder, Runtime};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(Serialize)]
struct Replayed {
    recordings: Vec<ReplayedCall>,
}

#[derive(Serialize)]
struct ReplayedCall {
    file: String,
    plugin: String,
    function: &'static str,
    run: String,
    recorded: Version,
    replayed: Version,
    verdict: &'static str,
    /// Uses of services that were compared and the same.
    exchanges: usize,
    /// Whether the call's end was compared too.
    whole: bool,
    divergence: Option<Box<Divergence>>,
}

#[derive(Serialize, PartialEq, Eq)]
struct Version {
    version: String,
    digest: String,
}

/// Replays a recording, or all of a folder.
pub async fn run(path: &Path, component: Option<&Path>, global: &Global) -> Result<ExitCode> {
    let recordings = Recording::read_all(path)?;
    ensure!(
        !recordings.is_empty(),
        "{} holds no recordings; name the folder that the filter `record` writes to",
        path.display()
    );
    let config = Config::read(global.config.as_deref())?;
    let files = components(component, global, &config)?;
    let runtime = host::runtime(&config, Arc::new(()))?;
    let mut subjects: BTreeMap<String, Subject> = BTreeMap::new();
    let mut calls = Vec::new();
    for (path, recording) in recordings {
        let recorded = recording.plugin();
        let file = component_of(&files, component, &recorded.id)?;
        let subject = match subjects.entry(recorded.id.clone()) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(subject(&runtime, file)?)
            }
        };
        let verdict = replay(&recording, subject)
            .await
            .with_context(|| format!("{} cannot be replayed", path.display()))?;
        calls.push(call(&path, &recording, file, verdict));
    }
    show(calls, global.output)
}

/// The components that are to choose from.
fn components(
    component: Option<&Path>,
    global: &Global,
    config: &Config,
) -> Result<Vec<PluginFile>> {
    if let Some(file) = component {
        let read = PluginFile::read(file)
            .with_context(|| format!("{} is no plugin for this host", file.display()))?;
        return Ok(vec![read]);
    }
    Ok(PluginFolder::scan(&plugin_folders(global, config)).plugins)
}

fn component_of<'f>(
    files: &'f [PluginFile],
    component: Option<&Path>,
    id: &str,
) -> Result<&'f PluginFile> {
    let named = component.and_then(|_| files.first());
    let found = named.or_else(|| {
        let mut files = files.iter();
        files.find(|file| file.inspection.manifest.id == id)
    });
    found.with_context(|| {
        format!(
            "the recording is of {id}, which is in none of the plugin folders; name the component with --component, or a folder that has it with --plugins"
        )
    })
}

/// The plugin of a file, granted all it wants.
fn subject(runtime: &Arc<Runtime>, file: &PluginFile) -> Result<Subject> {
    let id = &file.inspection.manifest.id;
    let mut granted = Granted::nothing();
    for import in &file.inspection.imports {
        granted.grant(id, import);
    }
    let folder = PluginFolder {
        plugins: vec![file.clone()],
        ..PluginFolder::default()
    };
    let mut loaded = load_plugins(runtime, folder, &granted)?;
    if let Some(step) = loaded.steps.remove(id) {
        return Ok(Subject::Step(step));
    }
    if let Some(fixer) = loaded.set.fixers.pop() {
        return Ok(Subject::Fixer(fixer));
    }
    if let Some(inspector) = loaded.set.inspectors.pop() {
        return Ok(Subject::Inspector(inspector));
    }
    bail!(
        "{id} is a {}, and recordings are of fixers, inspectors and workflow steps",
        file.inspection.kind
    )
}

fn call(path: &Path, recording: &Recording, file: &PluginFile, verdict: Verdict) -> ReplayedCall {
    let recorded = recording.plugin();
    let (verdict, exchanges, whole, divergence) = match verdict {
        Verdict::Identical { exchanges, whole } => ("identical", exchanges, whole, None),
        Verdict::Diverged(divergence) => ("diverged", divergence.after, true, Some(divergence)),
    };
    ReplayedCall {
        file: path.display().to_string(),
        plugin: recorded.id.clone(),
        function: recording.function(),
        run: recording.run().to_owned(),
        recorded: Version {
            version: recorded.version.clone(),
            digest: recorded.digest.clone(),
        },
        replayed: Version {
            version: file.inspection.manifest.version.clone(),
            digest: file.inspection.digest.clone(),
        },
        verdict,
        exchanges,
        whole,
        divergence,
    }
}

fn show(calls: Vec<ReplayedCall>, output: Output) -> Result<ExitCode> {
    let diverged = calls.iter().any(|call| call.divergence.is_some());
    if output == Output::Json {
        json(&Replayed { recordings: calls })?;
    } else {
        calls.iter().for_each(say);
    }
    Ok(if diverged {
        ExitCode::from(DIVERGED)
    } else {
        ExitCode::SUCCESS
    })
}

fn say(call: &ReplayedCall) {
    sayln!("{}", safe(&call.file));
    if call.recorded != call.replayed {
        let short = |version: &Version| {
            let digest: String = version.digest.chars().take(12).collect();
            format!("{} ({digest})", version.version)
        };
        sayln!(
            "  recorded with {} {}, replayed with {}",
            safe(&call.plugin),
            safe(&short(&call.recorded)),
            safe(&short(&call.replayed))
        );
    }
    let (plugin, function) = (safe(&call.plugin), call.function);
    match &call.divergence {
        Some(divergence) => {
            sayln!("  {plugin} {function}: different");
            sayln!("  {}", safe(&divergence.to_string()));
        }
        None if call.whole => sayln!(
            "  {plugin} {function}: identical ({} uses of services, and the end)",
            call.exchanges
        ),
        None => sayln!(
            "  {plugin} {function}: identical as far as the recording goes ({} uses of services)",
            call.exchanges
        ),
    }
}
