//! What a host keeps of its installed plugins in memory, and how it is put back at a start.

use super::effective::{effective, scopes};
use super::host::{Candidate, PluginHost, PluginOptions};
use super::{CallWatch, CrashPolicy, PluginsError};
use crate::runs::component::ComponentStore;
use crate::tool::{Granted, Grants, PluginGrants};
use cofferdam_store::{PinnedPlugin, PluginVersion, Store};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

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
    pub(crate) fn granted(&self, pinned: &PinnedPlugin, configured: &Grants) -> Arc<Granted> {
        let scopes = self.scopes.read().unwrap_or_else(PoisonError::into_inner);
        match scopes.get(&pinned.digest) {
            Some(granted) => Arc::clone(granted),
            None => configured.of(&pinned.id),
        }
    }

    /// Remembers how far an installed version's grants reach.
    pub(super) fn set_scopes(&self, digest: &str, granted: Granted) {
        let mut scopes = self.scopes.write().unwrap_or_else(PoisonError::into_inner);
        scopes.insert(digest.to_owned(), Arc::new(granted));
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

    /// What is to be loaded of an installed version. The component's content is looked at
    /// once in a process.
    pub(super) fn candidate(
        &self,
        components: &ComponentStore,
        version: &PluginVersion,
    ) -> Result<Candidate, String> {
        let file = components
            .file(&version.id, &version.version, &version.digest)
            .map_err(|error| error.to_string())?;
        Ok(Candidate {
            id: version.id.clone(),
            version: version.version.clone(),
            digest: version.digest.clone(),
            file,
            grants: effective(self.grants.get(&version.id), &version.grants)?,
        })
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
            match scopes(
                &version.id,
                self.grants.get(&version.id),
                &version.grants,
            ) {
                Ok(granted) => self.set_scopes(&version.digest, granted),
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
