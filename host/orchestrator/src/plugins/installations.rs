//! What a host keeps of its installed plugins in memory, and how it is put back at a start.

use super::effective::{effective, scopes};
use super::host::{Candidate, PluginHost, PluginOptions};
use super::{CallWatch, CrashPolicy, PluginsError};
use crate::grants::{Granted, Grants, PluginGrants};
use crate::paths::StatePaths;
use crate::runs::component::ComponentStore;
use cofferdam_store::{PluginVersion, Store};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// The active versions of a state folder, for a command that does not need its host. There
/// are none where no host was ever started. `grants` are `[plugins.ID.grants]`. Blocks.
///
/// # Errors
/// The state cannot be read, or a version cannot be used.
pub fn active_candidates(
    paths: &StatePaths,
    grants: &BTreeMap<String, PluginGrants>,
) -> Result<Vec<Candidate>, String> {
    if !paths.database().exists() {
        return Ok(Vec::new());
    }
    let store = Store::open(paths.database()).map_err(|error| error.to_string())?;
    let components = ComponentStore::new(paths.components());
    let active = store.active_plugins().map_err(|error| error.to_string())?;
    active
        .iter()
        .map(|version| candidate(&components, version, grants.get(&version.id)))
        .collect()
}

/// What is to be loaded of an installed version. The component's content is looked at once
/// in a process.
fn candidate(
    components: &ComponentStore,
    version: &PluginVersion,
    configured: Option<&PluginGrants>,
) -> Result<Candidate, String> {
    let file = components
        .file(&version.id, &version.version, &version.digest)
        .map_err(|error| error.to_string())?;
    Ok(Candidate {
        id: version.id.clone(),
        version: version.version.clone(),
        digest: version.digest.clone(),
        file,
        grants: effective(configured, &version.grants)?,
    })
}

/// What is known of the installed plugins of a host.
pub(crate) struct Installations {
    host: Option<Arc<dyn PluginHost>>,
    pub(crate) watch: Arc<CallWatch>,
    pub(super) grants: BTreeMap<String, PluginGrants>,
    /// How far the grants of installed versions reach, by digest.
    scopes: RwLock<HashMap<String, Arc<Granted>>>,
    /// Why active versions cannot be used, by plugin.
    problems: Mutex<BTreeMap<String, String>>,
    /// Held while a set of plugins is put together and published.
    pub(super) publishing: tokio::sync::Mutex<()>,
    /// Counts the activations that came to an end or to their publishing.
    pub(super) moved: watch::Sender<u64>,
}

impl Installations {
    /// What a host keeps with these options; without any it installs nothing.
    pub(crate) fn new(options: Option<PluginOptions>) -> Arc<Self> {
        let (host, watch, grants) = match options {
            Some(options) => (Some(options.host), options.watch, options.grants),
            None => (None, CallWatch::new(BTreeMap::new()), BTreeMap::new()),
        };
        Arc::new(Self {
            host,
            watch,
            grants,
            scopes: RwLock::default(),
            problems: Mutex::default(),
            publishing: tokio::sync::Mutex::new(()),
            moved: watch::Sender::new(0),
        })
    }

    /// The program's side.
    ///
    /// # Errors
    /// This host installs no plugins.
    pub(super) fn host(&self) -> Result<&Arc<dyn PluginHost>, PluginsError> {
        self.host
            .as_ref()
            .ok_or_else(|| PluginsError::Host("it was started without plugins".to_owned()))
    }

    /// What is done when the plugin crashes.
    pub(crate) fn policy(&self, plugin: &str) -> CrashPolicy {
        self.watch.policy(plugin)
    }

    /// How far the grants of a run's plugin reach: those of its installation, or of the
    /// configuration.
    pub(crate) fn granted(&self, plugin: &str, digest: &str, configured: &Grants) -> Arc<Granted> {
        let scopes = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
        match scopes.get(digest) {
            Some(granted) => Arc::clone(granted),
            None => configured.of(plugin),
        }
    }

    /// Remembers what an installed version is granted, and how far that reaches.
    ///
    /// # Errors
    /// Why the grants cannot be used.
    pub(super) fn set_grants(
        &self,
        plugin: &str,
        digest: &str,
        approved: &Map<String, Value>,
    ) -> Result<(), String> {
        let configured = self.grants.get(plugin);
        let granted = scopes(plugin, configured, approved)?;
        if let Some(host) = &self.host {
            host.set_grants(digest, &effective(configured, approved)?);
        }
        let mut scopes = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        scopes.insert(digest.to_owned(), Arc::new(granted));
        Ok(())
    }

    /// Forgets a version that was removed.
    pub(super) fn forget(&self, digest: &str) {
        let mut scopes = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        scopes.remove(digest);
    }

    /// Why the active version of a plugin cannot be used, where it cannot.
    pub(super) fn problem(&self, plugin: &str) -> Option<String> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.get(plugin).cloned()
    }

    /// Notes or clears a problem.
    pub(super) fn set_problem(&self, plugin: &str, problem: Option<String>) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => problems.insert(plugin.to_owned(), problem),
            None => problems.remove(plugin),
        };
    }

    /// What is to be loaded of an installed version.
    pub(super) fn candidate(
        &self,
        components: &ComponentStore,
        version: &PluginVersion,
    ) -> Result<Candidate, String> {
        candidate(components, version, self.grants.get(&version.id))
    }

    /// Puts back what an earlier host left: ends what it was killed at, takes over crashes
    /// and quarantines, and publishes the active versions. A version that cannot be used
    /// leaves the others alone. Blocks.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn restore(
        &self,
        store: &Store,
        components: &ComponentStore,
    ) -> Result<(), cofferdam_store::StoreError> {
        store.end_interrupted_activations()?;
        self.watch.restore(store)?;
        let Some(host) = &self.host else {
            return Ok(());
        };
        for version in store.plugin_versions(None)? {
            match self.set_grants(&version.id, &version.digest, &version.grants) {
                Ok(()) => {}
                Err(reason) => {
                    tracing::warn!(plugin = version.id, version = version.version, %reason, "the grants of an installed plugin cannot be used");
                }
            }
        }
        let mut active = Vec::new();
        for version in store.active_plugins()? {
            match self.candidate(components, &version) {
                Ok(candidate) => active.push(candidate),
                Err(reason) => self.cannot_serve(&version.id, &version.version, reason),
            }
        }
        if let Err(refusal) = host.publish(&active) {
            // One of them is in the way of the others: each is tried for itself.
            let mut fine: Vec<Candidate> = Vec::new();
            for candidate in active {
                fine.push(candidate.clone());
                if let Err(refusal) = host.publish(&fine) {
                    fine.pop();
                    self.cannot_serve(&candidate.id, &candidate.version, refusal.reason);
                }
            }
            if let Err(again) = host.publish(&fine) {
                tracing::error!(%refusal, %again, "the installed plugins cannot be published");
            }
        }
        Ok(())
    }

    fn cannot_serve(&self, plugin: &str, version: &str, reason: String) {
        tracing::error!(plugin, version, %reason, "an active plugin cannot be used");
        self.set_problem(plugin, Some(reason));
    }
}
