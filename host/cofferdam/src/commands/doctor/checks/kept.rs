//! Whether the files that the database's records need are there, and the right ones.

use crate::commands::doctor::{Finding, Site};
use cofferdam_orchestrator::runs::component::ComponentStore;
use cofferdam_store::{SecretKey, Store};
use std::collections::BTreeMap;

/// How many runs are read at once.
const RUNS: u32 = 100;

/// The database, where there is one that can be used; another check says what is wrong.
fn opened(site: &Site<'_>) -> Option<Store> {
    let path = site.state.database();
    path.exists().then(|| Store::open(path).ok())?
}

/// Whether the key of the secrets is theirs.
pub fn secrets(site: &Site<'_>) -> Vec<Finding> {
    let Some(store) = opened(site) else {
        return Vec::new();
    };
    let kept = store.secrets(None).map_or(0, |secrets| secrets.len());
    let own = site.state.secret_key();
    let path = site.config.secret_key.as_ref().unwrap_or(&own);
    if kept == 0 {
        return Vec::new();
    }
    let advice = "put the right file back, or remove the secrets and set them anew";
    if !path.exists() {
        return vec![Finding::problem(
            format!(
                "the key of the secrets {} is not there, and {kept} secrets are encrypted with it: no step can read them, and they are not taken out of what steps say",
                path.display()
            ),
            advice,
        )];
    }
    // A file that is no key is another check's.
    let Ok(key) = SecretKey::open(path) else {
        return Vec::new();
    };
    store
        .check_secret_key(&key)
        .err()
        .map(|error| Finding::problem(error.to_string(), advice))
        .into_iter()
        .collect()
}

/// Whether the components of unfinished runs and of installed plugins are there, unchanged.
pub fn components(site: &Site<'_>) -> Vec<Finding> {
    let Some(store) = opened(site) else {
        return Vec::new();
    };
    let kept = ComponentStore::new(site.state.components());
    let mut findings = BTreeMap::new();
    let mut after: Option<String> = None;
    // What cannot be read is the database's finding.
    while let Ok(runs) = store.unfinished_runs(after.as_deref(), RUNS) {
        let Some(last) = runs.last() else { break };
        after = Some(last.run.id.clone());
        for (run, pinned) in runs
            .iter()
            .flat_map(|detail| detail.plugins.iter().map(|pinned| (&detail.run.id, pinned)))
        {
            if findings.contains_key(&pinned.digest) {
                continue;
            }
            if let Err(error) = kept.located(pinned) {
                findings.insert(
                    pinned.digest.clone(),
                    Finding::problem(
                        format!("the run {run} cannot go on: {error}"),
                        "put the folder components back as it was, or cancel the run",
                    ),
                );
            }
        }
    }
    for version in store.active_plugins().unwrap_or_default() {
        if findings.contains_key(&version.digest) {
            continue;
        }
        if let Err(error) = kept.file(&version.digest) {
            findings.insert(
                version.digest.clone(),
                Finding::problem(
                    format!(
                        "the installed {} {} cannot be loaded: {error}",
                        version.id, version.version
                    ),
                    "put the folder components back as it was, or install the plugin again",
                ),
            );
        }
    }
    findings.into_values().collect()
}
