//! What a migration is asked to do.

use crate::observer::Observer;
use cofferdam_contract::kinds::{Call, Plugin, PluginSet};
use cofferdam_contract::services::Context;
use cofferdam_contract::types::{Level, TargetMachine, Timestamp};
use cofferdam_disk::{CancelFlag, Compression, Format};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What the disks are to become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Format of the new disks (`qcow2` or `raw`).
    pub format: String,
    /// Level of zlib compression from 1 to 12, qcow2 only; none is uncompressed.
    pub compression: Option<u8>,
    /// How disks will be attached (`virtio-blk`, `virtio-scsi`).
    pub disk_bus: String,
    /// Model of the network cards.
    pub nic_model: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.format)?;
        if let Some(level) = self.compression {
            write!(f, " compressed at level {level}")?;
        }
        write!(f, " on {} with {}", self.disk_bus, self.nic_model)
    }
}

impl Target {
    /// As the contract says it.
    pub fn machine(&self) -> TargetMachine {
        TargetMachine {
            disk_bus: self.disk_bus.clone(),
            nic_model: self.nic_model.clone(),
        }
    }

    /// The image format.
    ///
    /// # Errors
    /// [`cofferdam_disk::DiskError`] for a name that is none.
    pub fn image_format(&self) -> Result<Format, cofferdam_disk::DiskError> {
        self.format.parse()
    }

    /// The compression.
    pub fn image_compression(&self) -> Compression {
        self.compression
            .map_or(Compression::None, Compression::Zlib)
    }
}

/// Settings as given by the operator: by plugin id, then by name.
pub type GivenSettings = BTreeMap<String, Map<String, Value>>;

/// A migration to plan.
pub struct Request {
    /// The files that the source plugins are to look at, each for one disk or more of the
    /// machine: the disk that it boots from first, the others in its order.
    pub sources: Vec<PathBuf>,
    /// What the plan calls those files, one name each: as whoever asked called them.
    pub named: Vec<PathBuf>,
    /// What the disks are to become.
    pub target: Target,
    /// The plugins to use.
    pub plugins: PluginSet,
    /// Settings for them.
    pub settings: GivenSettings,
    /// The plan's time: what plugins see as now, and what edited files get.
    pub time: Timestamp,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// Stops the run.
    pub cancel: CancelFlag,
    /// Folder for overlays; they are as large as the edits, and removed at the end.
    pub scratch: PathBuf,
}

impl Request {
    /// What a call to `plugin` is given.
    ///
    /// # Errors
    /// Settings that do not fit the plugin's schema.
    pub fn call(&self, plugin: &dyn Plugin) -> Result<Call, crate::MigrateError> {
        let empty = Map::new();
        let manifest = plugin.manifest();
        let given = self.settings.get(&manifest.id).unwrap_or(&empty);
        let settings = manifest
            .settings(given)
            .map_err(|error| crate::MigrateError::Settings(error.to_string()))?;
        Ok(Call {
            context: Arc::new(RunContext {
                time: self.time,
                observer: Arc::clone(&self.observer),
                cancel: self.cancel.clone(),
            }),
            settings: settings.to_string(),
        })
    }

    /// Every plugin of the run, sources first.
    pub fn all_plugins(&self) -> Vec<&dyn Plugin> {
        let plugins = &self.plugins;
        let mut all: Vec<&dyn Plugin> = Vec::new();
        all.extend(plugins.sources.iter().map(|p| p.as_ref() as &dyn Plugin));
        all.extend(
            plugins
                .filesystems
                .iter()
                .map(|p| p.as_ref() as &dyn Plugin),
        );
        all.extend(plugins.inspectors.iter().map(|p| p.as_ref() as &dyn Plugin));
        all.extend(plugins.fixers.iter().map(|p| p.as_ref() as &dyn Plugin));
        all
    }
}

struct RunContext {
    time: Timestamp,
    observer: Arc<dyn Observer>,
    cancel: CancelFlag,
}

impl Context for RunContext {
    fn run_id(&self) -> String {
        // The pure kinds must see nothing that differs between two runs of one plan.
        format!("plan-{}", self.time.seconds)
    }

    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn now(&self) -> Timestamp {
        self.time
    }

    fn progress(&self, plugin: &str, done: u64, total: u64, unit: &str) {
        self.observer.progress(plugin, done, total, unit);
    }

    fn log(&self, plugin: &str, level: Level, message: &str, fields: &[(String, String)]) {
        self.observer.log(plugin, level, message, fields);
    }
}
