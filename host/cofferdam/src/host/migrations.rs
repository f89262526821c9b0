//! The plugins of migrations, out of the plugin folders or by the digests of a run.

use super::plugins::Loaded;
use crate::config::Config;
use anyhow::Result;
use async_trait::async_trait;
use cofferdam_capabilities::plugins::{LoadedPlugins, load_plugins};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Kind, PluginSet};
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_filters::Filters;
use cofferdam_orchestrator::migration::request::GivenSettings;
use cofferdam_orchestrator::migration::steps::MigrationPlugins;
use cofferdam_orchestrator::migration::steps::pins::Pin;
use cofferdam_runtime::{LoadError, PluginFile, PluginFolder, Runtime};
use std::path::PathBuf;
use std::sync::Arc;

/// Plugins of folders, for migrations.
pub struct FolderPlugins {
    runtime: Arc<Runtime>,
    filters: Arc<Filters>,
    current: Vec<(Pin, PathBuf)>,
    set: PluginSet,
    /// What is in the folders and cannot be loaded, for people; empty if there is nothing.
    refused: String,
    settings: GivenSettings,
}

impl FolderPlugins {
    /// Of what was loaded from the folders.
    pub fn new(loaded: &Loaded, config: &Config) -> Result<Self> {
        let plugins = &loaded.plugins;
        let mut settings = config.settings(&[])?;
        // A step's own, and no plugin of a migration.
        settings.retain(|id, _| !plugins.steps.contains_key(id));
        Ok(Self {
            runtime: Arc::clone(&loaded.runtime),
            filters: Arc::clone(&loaded.filters),
            current: pins(plugins),
            set: plugins.set.clone(),
            refused: incomplete(plugins),
            settings,
        })
    }

    /// The plugins of the folders, if they are all there.
    ///
    /// # Errors
    /// A migration without a plugin that was meant to be there may give a disk that does
    /// not boot, and nothing would show it.
    pub fn whole(&self) -> Result<&PluginSet, Error> {
        if self.refused.is_empty() {
            return Ok(&self.set);
        }
        Err(Error::new(ErrorCode::Denied, self.refused.clone()))
    }
}

fn pins(plugins: &LoadedPlugins) -> Vec<(Pin, PathBuf)> {
    let files = plugins.code.values().map(|code| code.file());
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

fn incomplete(plugins: &LoadedPlugins) -> String {
    let refused: Vec<String> = plugins
        .refused
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

#[async_trait]
impl MigrationPlugins for FolderPlugins {
    fn current(&self) -> Result<Vec<(Pin, PathBuf)>, Error> {
        self.whole()?;
        Ok(self.current.clone())
    }

    fn settings(&self) -> Result<GivenSettings, Error> {
        Ok(self.settings.clone())
    }

    async fn load(&self, pins: &[(Pin, PathBuf)]) -> Result<PluginSet, Error> {
        let current = self.current.iter().map(|(pin, _)| pin);
        if self.refused.is_empty() && current.eq(pins.iter().map(|(pin, _)| pin)) {
            return Ok(self.set.clone());
        }
        let (runtime, pins) = (Arc::clone(&self.runtime), pins.to_vec());
        // Some megabytes each are read and parsed.
        let set = tokio::task::spawn_blocking(move || load(&runtime, &pins))
            .await
            .map_err(|error| Error::new(ErrorCode::Other, error.to_string()))??;
        let filtered = self.filters.wrap_set(set);
        filtered.map_err(|error| Error::invalid(error.to_string()))
    }
}

fn load(runtime: &Arc<Runtime>, pins: &[(Pin, PathBuf)]) -> Result<PluginSet, Error> {
    let mut folder = PluginFolder::default();
    for (pin, path) in pins {
        let unusable = |reason: String| {
            Error::new(
                ErrorCode::Corrupt,
                format!(
                    "the plugin {} that the run began with cannot be used: {}: {reason}; restore the file, or cancel the run",
                    pin.id,
                    path.display()
                ),
            )
        };
        let file = PluginFile::read(path).map_err(|error| unusable(error.to_string()))?;
        if file.inspection.digest != pin.digest {
            return Err(unusable(format!(
                "its digest is {}",
                file.inspection.digest
            )));
        }
        folder.plugins.push(file);
    }
    let loaded = load_plugins(runtime, folder, &Granted::default())
        .map_err(|error| Error::new(ErrorCode::Conflict, error.to_string()))?;
    match loaded.refused.first() {
        Some(refused) => Err(Error::new(
            ErrorCode::Denied,
            format!("{}: {}", refused.path.display(), refused.reason),
        )),
        None => Ok(loaded.set),
    }
}
