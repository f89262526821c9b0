//! The plugins of migrations: those that serve, or those that a run pinned.

use super::live::{Codes, Live, Snapshot};
use super::state::state_folder;
use super::{listing, natives, unmatched};
use crate::cli::Global;
use crate::config::Config;
use anyhow::{Result, anyhow};
use async_trait::async_trait;
use cofferdam_contract::kinds::{Kind, PluginSet};
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_orchestrator::migration::request::GivenSettings;
use cofferdam_orchestrator::migration::steps::MigrationPlugins;
use cofferdam_orchestrator::migration::steps::pins::Pin;
use cofferdam_orchestrator::paths::StatePaths;
use cofferdam_orchestrator::plugins::{
    CallWatch, PluginVersion, active_versions, installed_versions,
};
use cofferdam_runtime::{LoadError, RefusedFile};
use std::path::PathBuf;
use std::sync::Arc;

/// Plugins that serve, for migrations.
pub struct ServingPlugins {
    live: Arc<Live>,
    /// What is in the folders and cannot be loaded, for people; empty if there is nothing.
    refused: String,
    settings: GivenSettings,
}

impl ServingPlugins {
    /// Of what serves.
    pub fn new(live: Arc<Live>, config: &Config) -> Result<Self> {
        Ok(Self {
            refused: incomplete(&live.refused),
            settings: config.settings(&[])?,
            live,
        })
    }

    /// The plugins that serve now, if they are all there.
    ///
    /// # Errors
    /// A migration without a plugin that was meant to be there may give a disk that does
    /// not boot, and nothing would show it.
    pub fn whole(&self) -> Result<Arc<Snapshot>, Error> {
        let served = self.live.now();
        let missing = [self.refused.clone(), unusable(&served)];
        let missing = missing.join("\n").trim().to_owned();
        if missing.is_empty() {
            return Ok(served);
        }
        Err(Error::new(ErrorCode::Denied, missing))
    }
}

/// The plugins that a migration of a command without a host uses: the active versions of the
/// state folder, and the plugin folders'. Tables of the configuration that are of nobody are told,
/// as by a host.
pub fn serving(global: &Global, config: &Config) -> Result<ServingPlugins> {
    let paths = StatePaths::new(state_folder(global, config)?);
    let active = active_versions(&paths, &config.plugin_grants())
        .map_err(|reason| anyhow!("the installed plugins cannot be looked up: {reason}"))?;
    let watch = CallWatch::new(config.crash_policies());
    let live = super::load(global, config, watch, Arc::new(()))?;
    active.publish(|active| live.publish(active))?;
    let live = Arc::new(live);
    if !config.plugins.is_empty() {
        let installed = installed_versions(&paths)
            .map_err(|reason| anyhow!("the installed plugins cannot be looked up: {reason}"))?;
        // Its kind may be one that this host does not know.
        let kind = |version: &PluginVersion| {
            let mut kinds = Kind::ALL.into_iter();
            kinds.find(|kind| kind.to_string() == version.kind)
        };
        let installed = installed.iter();
        let (natives, _) = natives::steps(&live, config, &paths, Vec::new())?;
        let mut listed = listing::components(&live, &GivenSettings::default());
        listed.extend(natives.list());
        let known = unmatched::known(
            listed,
            listing::refused(&live),
            installed.map(|version| (version.id.clone(), kind(version))),
        );
        unmatched::tell(config, &known);
    }
    ServingPlugins::new(live, config)
}

fn pins(code: &Codes) -> Vec<(Pin, PathBuf)> {
    let files = code.values().map(|code| code.file());
    files
        .filter(|file| file.inspection.kind != Kind::WorkflowStep)
        .map(|file| {
            let inspection = &file.inspection;
            let pin = Pin {
                id: inspection.manifest.id.clone(),
                version: inspection.manifest.version.clone(),
                kind: inspection.kind,
                digest: inspection.digest.clone(),
            };
            (pin, file.path.clone())
        })
        .collect()
}

fn incomplete(refused: &[RefusedFile]) -> String {
    let refused: Vec<String> = refused
        .iter()
        // Only steps can want what has to be granted, and no migration misses them.
        .filter(|refused| !matches!(refused.reason, LoadError::NotGranted { .. }))
        .map(|refused| format!("{}: {}", refused.path.display(), refused.reason))
        .collect();
    if refused.is_empty() {
        return String::new();
    }
    format!(
        "{} of the plugin folders cannot be loaded, and a migration without them may not boot; remove or mend them, or name another folder with --plugins:\n  {}",
        refused.len(),
        refused.join("\n  ")
    )
}

/// What is said of active versions that cannot be used; empty if there is nothing.
fn unusable(served: &Snapshot) -> String {
    let step = Kind::WorkflowStep.to_string();
    let unusable: Vec<String> = served
        .unusable
        .values()
        // No migration has steps among its plugins.
        .filter(|unusable| unusable.kind != step)
        .map(ToString::to_string)
        .collect();
    if unusable.is_empty() {
        return String::new();
    }
    format!(
        "{} of the installed plugins cannot be used, and a migration without them may not boot:\n  {}",
        unusable.len(),
        unusable.join("\n  ")
    )
}

#[async_trait]
impl MigrationPlugins for ServingPlugins {
    fn current(&self) -> Result<Vec<(Pin, PathBuf)>, Error> {
        Ok(pins(&self.whole()?.code))
    }

    fn settings(&self) -> Result<GivenSettings, Error> {
        // A step's own belong to no plugin of a migration.
        let served = self.live.now();
        let mut settings = self.settings.clone();
        settings.retain(|id, _| !served.steps.contains_key(id));
        Ok(settings)
    }

    async fn load(&self, pinned: &[(Pin, PathBuf)]) -> Result<PluginSet, Error> {
        let served = self.live.now();
        let current = pins(&served.code);
        let current = current.iter().map(|(pin, _)| pin);
        if self.refused.is_empty() && current.eq(pinned.iter().map(|(pin, _)| pin)) {
            return Ok(served.set.clone());
        }
        let (live, pinned) = (Arc::clone(&self.live), pinned.to_vec());
        // Some megabytes each are read and parsed.
        tokio::task::spawn_blocking(move || load(&live, &pinned))
            .await
            .map_err(|error| Error::new(ErrorCode::Other, error.to_string()))?
    }
}

fn load(live: &Live, pinned: &[(Pin, PathBuf)]) -> Result<PluginSet, Error> {
    let mut code = Codes::new();
    for (pin, path) in pinned {
        let found = live.pinned_code(&pin.id, &pin.digest, path);
        let found = found.map_err(|refusal| {
            Error::new(
                ErrorCode::Corrupt,
                format!(
                    "the plugin {} that the run began with cannot be used: {}: {}; restore the file, or cancel the run",
                    pin.id,
                    path.display(),
                    refusal.reason
                ),
            )
        })?;
        code.insert(pin.id.clone(), found);
    }
    live.set_of(&code)
        .map_err(|refusal| Error::new(refusal.code, refusal.reason))
}
