//! Looking at installed plugins.

use super::{
    Activation, CrashPolicy, CrashState, Installed, PluginRegistry, PluginVersion, PluginsError,
    Version,
};
use cofferdam_contract::kinds::Kind;
use cofferdam_store::{Page, PageRequest, StoreError, Time};
use serde_json::Value;

impl PluginRegistry {
    /// Every plugin that has installed versions, by id.
    ///
    /// # Errors
    /// [`PluginsError::Store`].
    pub fn list(&self) -> Result<Vec<Installed>, PluginsError> {
        self.gather(self.engine.store.plugin_versions(None)?)
    }

    /// One plugin that has installed versions.
    ///
    /// # Errors
    /// [`PluginsError::Store`] with `not-found`.
    pub fn get(&self, plugin: &str) -> Result<Installed, PluginsError> {
        let versions = self.engine.store.plugin_versions(Some(plugin))?;
        self.gather(versions)?
            .pop()
            .ok_or_else(|| not_installed(plugin))
    }

    /// One installed version.
    ///
    /// # Errors
    /// [`PluginsError::Store`] with `not-found`.
    pub fn version(&self, plugin: &str, number: &str) -> Result<Version, PluginsError> {
        self.describe(self.engine.store.plugin_version(plugin, number)?)
    }

    /// How a version does, also one of the plugin folders.
    ///
    /// # Errors
    /// [`PluginsError::Store`].
    pub fn crash_state(&self, plugin: &str, digest: &str) -> Result<CrashState, PluginsError> {
        let watch = &self.plugins().watch;
        let since = Time::now().minus(watch.policy(plugin).within.0);
        let store = &self.engine.store;
        let crashes = store.crashes(digest, since)?;
        let quarantine = watch.quarantine(digest);
        Ok(CrashState {
            crashes: u32::try_from(crashes.len()).unwrap_or(u32::MAX),
            last: crashes.into_iter().next(),
            waiting: match quarantine {
                Some(_) => store.runs_waiting_for(digest)?,
                None => Vec::new(),
            },
            quarantine,
            calls: watch.going_on(digest),
        })
    }

    /// What is done when a plugin crashes.
    pub fn policy(&self, plugin: &str) -> CrashPolicy {
        self.plugins().watch.policy(plugin)
    }

    /// The activations of a plugin, the newest first: those that are going on, those that
    /// succeeded, and those that failed, with stage and reason.
    ///
    /// # Errors
    /// [`PluginsError::Store`] with `not-found` for a plugin that was never installed.
    pub fn history(
        &self,
        plugin: &str,
        page: &PageRequest,
    ) -> Result<Page<Activation>, PluginsError> {
        let store = &self.engine.store;
        let found = store.activations(plugin, page)?;
        // What was removed keeps its history.
        if found.items.is_empty() && store.plugin_versions(Some(plugin))?.is_empty() {
            return Err(not_installed(plugin));
        }
        Ok(found)
    }

    /// One activation.
    ///
    /// # Errors
    /// [`PluginsError::Store`] with `not-found`.
    pub fn activation(&self, id: &str) -> Result<Activation, PluginsError> {
        Ok(self.engine.store.activation(id)?)
    }

    /// Versions that come by plugin, the one installed last first.
    fn gather(&self, versions: Vec<PluginVersion>) -> Result<Vec<Installed>, PluginsError> {
        let mut plugins: Vec<Installed> = Vec::new();
        for record in versions {
            let version = self.describe(record)?;
            let record = &version.record;
            if plugins.last().is_none_or(|plugin| plugin.id != record.id) {
                plugins.push(Installed {
                    id: record.id.clone(),
                    kind: kind(record)?,
                    active: None,
                    problem: self
                        .plugins()
                        .problem(&record.id)
                        .map(|problem| problem.to_string()),
                    policy: self.plugins().policy(&record.id),
                    versions: Vec::new(),
                });
            }
            if let Some(plugin) = plugins.last_mut() {
                if record.active_since.is_some() {
                    plugin.active = Some(record.version.clone());
                    plugin.kind = kind(record)?;
                }
                plugin.versions.push(version);
            }
        }
        Ok(plugins)
    }

    fn describe(&self, record: PluginVersion) -> Result<Version, PluginsError> {
        Ok(Version {
            crash: self.crash_state(&record.id, &record.digest)?,
            pinned_by: self.engine.store.runs_pinning(&record.digest)?,
            record,
        })
    }
}

fn kind(record: &PluginVersion) -> Result<Kind, PluginsError> {
    serde_json::from_value(Value::String(record.kind.clone())).map_err(|_| {
        PluginsError::Host(format!(
            "`{}` of the installed {} is no kind that this host knows",
            record.kind, record.id
        ))
    })
}

pub(super) fn not_installed(plugin: &str) -> PluginsError {
    PluginsError::Store(StoreError::NotFound {
        what: "installed plugin",
        id: plugin.to_owned(),
    })
}
