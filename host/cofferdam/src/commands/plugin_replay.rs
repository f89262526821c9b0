//! `cofferdam plugin replay`: recorded calls again, with a recording in the place of the host.
//!
//! Every interface that the component wants is granted to it here: what stands behind each is
//! the recording, which has no way out.
//!
//! What is replayed is the very version that was recorded where it is at hand, because that is
//! what an incident is about; whoever wants another one names it.

use crate::cli::{Global, Output};
use crate::config::Config;
use crate::exit::DIVERGED;
use crate::host::state::state_folder;
use crate::host::{self, plugin_folders};
use crate::render::{json, safe, sayln};
use anyhow::{Context, Result, anyhow, bail, ensure};
use cofferdam_capabilities::load_plugins;
use cofferdam_contract::grants::Granted;
use cofferdam_filters::{Divergence, RecordedPlugin, Recording, Subject, Verdict, replay};
use cofferdam_orchestrator::StatePaths;
use cofferdam_orchestrator::plugins::{PluginVersion, installed_component, installed_versions};
use cofferdam_runtime::{PluginFile, PluginFolder, Runtime};
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
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
    let choice = Choice::new(component, global, &config)?;
    let runtime = host::runtime(&config, Arc::new(()))?;
    // By digest.
    let mut subjects: BTreeMap<String, Subject> = BTreeMap::new();
    let mut calls = Vec::new();
    for (path, recording) in recordings {
        let file = choice.of(recording.plugin())?;
        let subject = match subjects.entry(file.inspection.digest.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(subject(&runtime, &file)?),
        };
        let verdict = replay(&recording, subject)
            .await
            .with_context(|| format!("{} cannot be replayed", path.display()))?;
        calls.push(call(&path, &recording, &file, verdict));
    }
    show(calls, global.output)
}

/// The components that are to choose from.
struct Choice {
    /// `--component`.
    named: Option<PluginFile>,
    folders: Vec<PluginFile>,
    /// Whether the folders were named too: then they come before what is installed.
    folders_first: bool,
    paths: Option<StatePaths>,
    installed: Vec<PluginVersion>,
}

impl Choice {
    fn new(component: Option<&Path>, global: &Global, config: &Config) -> Result<Self> {
        let read = |file: &Path| {
            PluginFile::read(file)
                .with_context(|| format!("{} is no plugin for this host", file.display()))
        };
        let named = component.map(read).transpose()?;
        let folders = plugin_folders(global, config);
        // A recording can be replayed where there is no state and no place for one.
        let paths = state_folder(global, config).ok().map(StatePaths::new);
        let installed = paths.as_ref().filter(|_| named.is_none());
        let installed = installed.map(installed_versions).transpose();
        Ok(Self {
            folders: PluginFolder::scan(&folders).plugins,
            folders_first: !global.plugin_folders.is_empty(),
            installed: installed
                .map_err(|reason| anyhow!("the installed plugins cannot be looked up: {reason}"))?
                .unwrap_or_default(),
            named,
            paths,
        })
    }

    /// What is to be called in the place of the plugin that was recorded.
    fn of(&self, recorded: &RecordedPlugin) -> Result<PluginFile> {
        if let Some(named) = &self.named {
            let id = &named.inspection.manifest.id;
            ensure!(
                *id == recorded.id,
                "the recording is of {}, and the component that was named with --component is {id}; name one of {}, or leave --component out",
                recorded.id,
                recorded.id
            );
            return Ok(named.clone());
        }
        let same = |file: &&PluginFile| file.inspection.digest == recorded.digest;
        let of_its_id = |file: &&PluginFile| file.inspection.manifest.id == recorded.id;
        let exactly = self.folders.iter().find(same);
        let by_id = self.folders.iter().find(of_its_id);
        if let Some(file) = exactly.or(by_id.filter(|_| self.folders_first)) {
            return Ok(file.clone());
        }
        let installed = |wanted: &dyn Fn(&PluginVersion) -> bool| {
            let found = self.installed.iter().find(|version| wanted(version));
            found.map(|version| self.installed(version))
        };
        if let Some(found) = installed(&|version| version.digest == recorded.digest) {
            return found;
        }
        if let Some(file) = by_id {
            return Ok(file.clone());
        }
        let active =
            installed(&|version| version.id == recorded.id && version.active_since.is_some());
        active.unwrap_or_else(|| {
            bail!(
                "the recording is of {}, which is in none of the plugin folders and not installed; name the component with --component, or a folder that has it with --plugins",
                recorded.id
            )
        })
    }

    fn installed(&self, version: &PluginVersion) -> Result<PluginFile> {
        let of = || format!("{} {} is installed", version.id, version.version);
        let paths = self.paths.as_ref().with_context(of)?;
        let file = installed_component(paths, &version.digest)
            .map_err(|reason| anyhow!("{}, and {reason}; install it again", of()))?;
        PluginFile::read(&file).with_context(of)
    }
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
