//! The plugin under test, by its kind.

use crate::examine::KitError;
use cofferdam_capabilities::load_plugins;
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{DiskSource, Filesystem, Fixer, Inspector, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_runtime::{PluginCode, PluginFile, PluginFolder, Runtime};
use std::sync::Arc;

/// A plugin, ready to be called.
pub(crate) struct Subject {
    pub(crate) manifest: Manifest,
    pub(crate) code: Arc<PluginCode>,
    pub(crate) plugin: Ready,
}

/// The plugin as its kind.
pub(crate) enum Ready {
    Source(Arc<dyn DiskSource>),
    Filesystem(Arc<dyn Filesystem>),
    Inspector(Arc<dyn Inspector>),
    Fixer(Arc<dyn Fixer>),
    Step(Arc<dyn WorkflowStep>),
}

impl Subject {
    /// The plugin of a file, granted all that it imports: what stands behind is data.
    pub(crate) fn of(runtime: &Arc<Runtime>, file: &PluginFile) -> Result<Self, KitError> {
        let manifest = file.inspection.manifest.clone();
        let id = manifest.id.clone();
        let mut granted = Granted::nothing();
        for import in &file.inspection.imports {
            granted.grant(&id, import);
        }
        let folder = PluginFolder {
            plugins: vec![file.clone()],
            ..PluginFolder::default()
        };
        // One plugin alone contradicts nobody's order but its own.
        let mut loaded = load_plugins(runtime, folder, &granted)
            .map_err(|error| KitError::Order(error.to_string()))?;
        let lost = || KitError::Order(format!("{id} cannot be put in its place"));
        let code = loaded.code.remove(&id).ok_or_else(lost)?;
        let set = &mut loaded.set;
        let plugin = if let Some(step) = loaded.steps.remove(&id) {
            Ready::Step(step)
        } else if let Some(fixer) = set.fixers.pop() {
            Ready::Fixer(fixer)
        } else if let Some(inspector) = set.inspectors.pop() {
            Ready::Inspector(inspector)
        } else if let Some(filesystem) = set.filesystems.pop() {
            Ready::Filesystem(filesystem)
        } else {
            Ready::Source(set.sources.pop().ok_or_else(lost)?)
        };
        Ok(Self {
            manifest,
            code,
            plugin,
        })
    }
}
