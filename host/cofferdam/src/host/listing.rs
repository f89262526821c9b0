//! The plugins of a host in a list: by kind, and in each kind as they run.
//!
//! A file of the plugin folders that wants what it was not granted is in the list with that
//! as its problem: nothing is wrong with it, and it serves once it is granted.

use super::catalogue::in_force;
use super::live::Live;
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::order::sequence;
use cofferdam_orchestrator::catalogue::{PluginInfo, RefusedPlugin};
use cofferdam_orchestrator::migration::request::GivenSettings;
use cofferdam_runtime::PluginFile;

/// The components that serve, and those that would with a grant.
pub fn components(live: &Live, settings: &GivenSettings) -> Vec<PluginInfo> {
    let served = live.now();
    let mut found: Vec<(Manifest, PluginInfo)> = served
        .code
        .values()
        .map(|code| {
            let file = code.file();
            let manifest = &file.inspection.manifest;
            let problem = in_force(manifest, settings).err();
            (manifest.clone(), info(file, problem))
        })
        .collect();
    for ungranted in &live.ungranted {
        // It was read when the host started; one that is gone since has nothing to show.
        let Ok(file) = PluginFile::read(&ungranted.path) else {
            continue;
        };
        let manifest = file.inspection.manifest.clone();
        if !served.code.contains_key(&manifest.id) {
            found.push((manifest, info(&file, Some(ungranted.reason.to_string()))));
        }
    }
    in_order(found)
}

/// What is no plugin that this host can load.
pub fn refused(live: &Live) -> Vec<RefusedPlugin> {
    live.refused
        .iter()
        .map(|refused| RefusedPlugin {
            file: refused.path.clone(),
            reason: refused.reason.to_string(),
        })
        .collect()
}

fn in_order(mut found: Vec<(Manifest, PluginInfo)>) -> Vec<PluginInfo> {
    let mut listed = Vec::new();
    for kind in Kind::ALL {
        let (mut own, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(_, info)| info.kind == kind);
        found = rest;
        let manifests: Vec<&Manifest> = own.iter().map(|(manifest, _)| manifest).collect();
        // What does not serve may be in a circle with what does; then ids are as good.
        let order = sequence(&manifests).unwrap_or_default();
        own.sort_by_key(|(manifest, _)| {
            let place = order.iter().position(|id| *id == manifest.id);
            (place.unwrap_or(usize::MAX), manifest.id.clone())
        });
        listed.extend(own.into_iter().map(|(_, info)| info));
    }
    listed
}

fn info(file: &PluginFile, problem: Option<String>) -> PluginInfo {
    let PluginFile { path, inspection } = file;
    let manifest = &inspection.manifest;
    let inherent = inspection.kind.inherent_imports();
    PluginInfo {
        id: manifest.id.clone(),
        version: manifest.version.clone(),
        kind: inspection.kind,
        digest: inspection.digest.clone(),
        summary: manifest.summary.clone(),
        settings: manifest.settings.clone(),
        capabilities: inspection
            .imports
            .iter()
            .filter(|import| !inherent.contains(&import.as_str()))
            .cloned()
            .collect(),
        path: Some(path.clone()),
        problem,
    }
}
