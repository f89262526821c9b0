//! What a host keeps of its installed plugins in memory, and how it is put back at a start.

use super::effective::{effective, scopes};
use super::host::{Active, Candidate, PluginHost, PluginOptions, Unusable};
use super::{CallWatch, CrashPolicy, PluginsError};
use crate::grants::{Granted, Grants, PluginGrants};
use crate::paths::StatePaths;
use crate::runs::component::ComponentStore;
use cofferdam_store::{PluginVersion, Store};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

/// The active versions of a state folder, for a command that does not need its host. There
/// are none where no host was ever started. `grants` are `[plugins.ID.grants]`. Blocks.
///
/// # Errors
/// The state cannot be read.
pub fn active_versions(
    paths: &StatePaths,
    grants: &BTreeMap<String, PluginGrants>,
) -> Result<Active, String> {
    let mut found = Active::default();
    let Some(store) = store(paths)? else {
        return Ok(found);
    };
    let components = ComponentStore::new(paths.components());
    let active = store.active_plugins().map_err(|error| error.to_string())?;
    for version in active {
        match candidate(&components, &version, grants.get(&version.id)) {
            Ok(candidate) => found.candidates.push(candidate),
            Err(reason) => found.unusable.push(unusable(version, reason)),
        }
    }
    Ok(found)
}

/// Every installed version of a state folder, by id, for a command that does not need its
/// host. There are none where no host was ever started. Blocks.
///
/// # Errors
/// The state cannot be read.
pub fn installed_versions(paths: &StatePaths) -> Result<Vec<PluginVersion>, String> {
    let Some(store) = store(paths)? else {
        return Ok(Vec::new());
    };
    store
        .plugin_versions(None)
        .map_err(|error| error.to_string())
}

/// The store of a state folder; none where no host was ever started.
fn store(paths: &StatePaths) -> Result<Option<Store>, String> {
    if !paths.database().exists() {
        return Ok(None);
    }
    let store = Store::open(paths.database()).map_err(|error| error.to_string())?;
    Ok(Some(store))
}

/// The file of an installed version's component, whose content was looked at. Blocks.
///
/// # Errors
/// Why it cannot be used: it is gone, or is another.
pub fn installed_component(paths: &StatePaths, digest: &str) -> Result<PathBuf, String> {
    ComponentStore::new(paths.components()).file(digest)
}

fn unusable(version: PluginVersion, reason: String) -> Unusable {
    Unusable {
        id: version.id,
        version: version.version,
        kind: version.kind,
        reason,
    }
}

/// What is to be loaded of an installed version. The component's content is looked at once
/// in a process.
fn candidate(
    components: &ComponentStore,
    version: &PluginVersion,
    configured: Option<&PluginGrants>,
) -> Result<Candidate, String> {
    let file = components.file(&version.digest)?;
    Ok(Candidate {
        id: version.id.clone(),
        version: version.version.clone(),
        kind: version.kind.clone(),
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
    /// Active versions that cannot be used, by plugin.
    problems: Mutex<BTreeMap<String, Unusable>>,
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

    /// The active version of a plugin, where it cannot be used.
    pub(super) fn problem(&self, plugin: &str) -> Option<Unusable> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.get(plugin).cloned()
    }

    /// Notes that an active version cannot be used.
    pub(super) fn cannot_serve(&self, unusable: Unusable) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let id = unusable.id.clone();
        if problems.get(&id) != Some(&unusable) {
            tracing::error!("{unusable}");
            problems.insert(id, unusable);
        }
    }

    /// Forgets the problem of a plugin, of which another version serves or none.
    pub(super) fn is_mended(&self, plugin: &str) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.remove(plugin);
    }

    /// What is to be loaded of an active version. One that did not serve before does not
    /// until it is activated or installed again.
    pub(super) fn serving(
        &self,
        components: &ComponentStore,
        version: PluginVersion,
    ) -> Result<Candidate, Unusable> {
        if let Some(known) = self.problem(&version.id) {
            return Err(known);
        }
        self.candidate(components, &version).map_err(|reason| {
            let unusable = unusable(version, reason);
            self.cannot_serve(unusable.clone());
            unusable
        })
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
        let mut active = Active::default();
        for version in store.active_plugins()? {
            match self.serving(components, version) {
                Ok(candidate) => active.candidates.push(candidate),
                Err(unusable) => active.unusable.push(unusable),
            }
        }
        match active.publish(|active| host.publish(active)) {
            Ok(published) => published
                .unusable
                .into_iter()
                .for_each(|unusable| self.cannot_serve(unusable)),
            Err(refusal) => {
                tracing::error!(%refusal, "the installed plugins cannot be published");
            }
        }
        Ok(())
    }
}
