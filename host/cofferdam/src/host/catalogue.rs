//! Where workflow steps come from: the plugins that serve now, the component store of runs,
//! and the steps that are part of the program.
//!
//! A component is loaded at its first use. A run that began with another version than the
//! one that serves gets its own copy, by digest; such a component is kept loaded for the
//! runs after it.

use super::listing;
use super::live::Live;
use crate::config::Config;
use anyhow::Result;
use async_trait::async_trait;
use cofferdam_contract::kinds::{Kind, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::catalogue::{
    Catalogue, CatalogueError, NativeSteps, PluginInfo, RefusedPlugin, ResolvedPlugin,
    StepReference,
};
use cofferdam_orchestrator::migration::request::GivenSettings;
use cofferdam_orchestrator::runs::nearest::did_you_mean;
use cofferdam_runtime::PluginFile;
use cofferdam_store::PinnedPlugin;
use serde_json::Map;
use std::path::Path;
use std::sync::Arc;

/// The plugins of this host.
pub struct Plugins {
    pub(super) live: Arc<Live>,
    natives: NativeSteps,
    pub(super) settings: GivenSettings,
}

impl Plugins {
    /// Of what serves, and the native steps.
    pub fn new(live: Arc<Live>, natives: NativeSteps, config: &Config) -> Result<Self> {
        Ok(Self {
            live,
            natives,
            settings: config.settings(&[])?,
        })
    }

    fn file(&self, id: &str) -> Option<PluginFile> {
        let served = self.live.now();
        served.code.get(id).map(|code| code.file().clone())
    }

    /// The step of a pin, if it is loaded.
    fn loaded(&self, pinned: &PinnedPlugin) -> Option<Arc<dyn WorkflowStep>> {
        let served = self.live.now();
        served
            .steps
            .get(&pinned.id)
            .filter(|step| step.digest() == pinned.digest)
            .cloned()
            .or_else(|| self.live.pinned_step(&pinned.digest))
    }

    /// Why there is no such step.
    fn missing(&self, uses: &StepReference) -> CatalogueError {
        if let Some(unusable) = self.live.now().unusable.get(&uses.id) {
            return CatalogueError::Unusable {
                reference: uses.to_string(),
                reason: unusable.to_string(),
                code: ErrorCode::Denied,
            };
        }
        let left_out = self.live.refused.iter().chain(&self.live.ungranted);
        let refused = left_out.into_iter().find(|refused| {
            refused.path.file_stem().and_then(|stem| stem.to_str()) == Some(&uses.id)
        });
        if let Some(refused) = refused {
            return CatalogueError::Unusable {
                reference: uses.to_string(),
                reason: format!("{}: {}", refused.path.display(), refused.reason),
                code: ErrorCode::Denied,
            };
        }
        if let Some(file) = self.file(&uses.id) {
            let inspection = &file.inspection;
            let hint = if inspection.kind == Kind::WorkflowStep {
                format!("; this host has version {}", inspection.manifest.version)
            } else {
                format!("; {} is a {}", uses.id, inspection.kind)
            };
            return CatalogueError::NotFound {
                reference: uses.to_string(),
                hint,
            };
        }
        let natives = self.natives.list();
        let served = self.live.now();
        let known = served
            .steps
            .keys()
            .map(String::as_str)
            .chain(natives.iter().map(|info| info.id.as_str()));
        CatalogueError::NotFound {
            reference: uses.to_string(),
            hint: match did_you_mean(&uses.id, known) {
                hint if hint.is_empty() => {
                    "; `cofferdam plugin list` shows what there is".to_owned()
                }
                hint => hint,
            },
        }
    }
}

fn unusable(reference: &str, code: ErrorCode) -> impl Fn(String) -> CatalogueError + use<'_> {
    move |reason| CatalogueError::Unusable {
        reference: reference.to_owned(),
        reason,
        code,
    }
}

#[async_trait]
impl Catalogue for Plugins {
    fn resolve(&self, uses: &StepReference) -> Result<ResolvedPlugin, CatalogueError> {
        if let Some(native) = self.natives.resolve(uses) {
            return native;
        }
        let found = self
            .file(&uses.id)
            .filter(|file| file.inspection.kind == Kind::WorkflowStep)
            .filter(|file| {
                let version = &file.inspection.manifest.version;
                uses.version.as_ref().is_none_or(|wanted| wanted == version)
            });
        let Some(file) = found else {
            return Err(self.missing(uses));
        };
        Ok(ResolvedPlugin {
            id: uses.id.clone(),
            version: file.inspection.manifest.version.clone(),
            digest: file.inspection.digest.clone(),
            path: Some(file.path.clone()),
        })
    }

    async fn step(&self, pinned: &PinnedPlugin) -> Result<Arc<dyn WorkflowStep>, CatalogueError> {
        if let Some(native) = self.natives.pinned(pinned) {
            return native;
        }
        if let Some(step) = self.loaded(pinned) {
            return Ok(step);
        }
        let (live, wanted) = (Arc::clone(&self.live), pinned.clone());
        // It reads and parses a file of some megabytes.
        let loaded = tokio::task::spawn_blocking(move || {
            live.load_pinned_step(&wanted.id, &wanted.digest, Path::new(&wanted.path))
        })
        .await
        .map_err(|error| unusable(&pinned.id, ErrorCode::Other)(error.to_string()))?;
        loaded.map_err(|refusal| unusable(&pinned.id, refusal.code)(refusal.reason))
    }

    fn settings(&self, step: &dyn WorkflowStep) -> Result<String, CatalogueError> {
        let manifest = step.manifest();
        in_force(manifest, &self.settings).map_err(unusable(&manifest.id, ErrorCode::Invalid))
    }

    fn list(&self) -> Vec<PluginInfo> {
        let mut all = listing::components(&self.live, &self.settings);
        all.extend(self.natives.list());
        all
    }

    fn refused(&self) -> Vec<RefusedPlugin> {
        listing::refused(&self.live)
    }
}

/// The settings of the configuration over the manifest's defaults, checked.
pub(super) fn in_force(manifest: &Manifest, given: &GivenSettings) -> Result<String, String> {
    let empty = Map::new();
    manifest
        .settings(given.get(&manifest.id).unwrap_or(&empty))
        .map(|settings| settings.to_string())
        .map_err(|error| error.to_string())
}
