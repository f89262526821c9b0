//! The plugins that serve now, and how they are replaced.
//!
//! **Design.** All that begins takes one snapshot ([`Live::now`]): a set of plugins that
//! never changes. Publishing puts another set in its place, made of the active installed
//! versions and of the files of the plugin folders whose ids have none. An active version that
//! cannot be used is in the snapshot as such: nothing serves in its place. Whoever has
//! the old snapshot keeps it, and with it the old code, until its last call has ended.
//! Code that was compiled is used again as long as its grants are the same.
//!
//! Around every plugin that is handed out stand the configuration's filters, and around
//! those the watch ([`CallWatch`]): what a filter does to a call counts as the plugin's doing.

use super::grants;
use anyhow::Result;
use cofferdam_capabilities::{LoadedPlugins, Steps, assemble};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Kind, PluginSet, WorkflowStep};
use cofferdam_contract::types::ErrorCode;
use cofferdam_filters::Filters;
use cofferdam_orchestrator::grants::PluginGrants;
use cofferdam_orchestrator::plugins::{Active, CallWatch, Candidate, Ready, Refusal, Unusable};
use cofferdam_runtime::{LoadError, PluginCode, PluginFile, RefusedFile, Runtime};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::runtime::Handle;

/// Code by plugin id.
pub type Codes = BTreeMap<String, Arc<PluginCode>>;

/// The plugins of one moment.
pub struct Snapshot {
    /// What a migration uses, each kind in its order.
    pub set: PluginSet,
    /// Workflow steps by id.
    pub steps: Steps,
    /// Each plugin's code.
    pub code: Codes,
    /// Active versions that cannot be used, by id.
    pub unusable: BTreeMap<String, Unusable>,
}

/// Code of an installed version, with what it was linked to.
struct Linked {
    grants: PluginGrants,
    code: Arc<PluginCode>,
}

/// The plugins of this host.
pub struct Live {
    runtime: Arc<Runtime>,
    around: Around,
    /// Of the configuration.
    granted: Granted,
    folder: Codes,
    /// What is no plugin that this host can load.
    pub refused: Vec<RefusedFile>,
    /// Plugins that import what was not granted to them.
    pub ungranted: Vec<RefusedFile>,
    current: RwLock<Arc<Snapshot>>,
    /// Installed versions that were compiled and not retired, by digest.
    linked: Mutex<BTreeMap<String, Linked>>,
    /// What installed versions are granted, by digest.
    installed: Mutex<BTreeMap<String, PluginGrants>>,
    /// Steps of runs that began with what does not serve any more, by digest.
    pinned: Mutex<Steps>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the host says of a file that it cannot load.
pub fn refusal(error: &LoadError) -> Refusal {
    let code = match error {
        LoadError::NotGranted { .. } => ErrorCode::Denied,
        LoadError::TooLarge { .. } => ErrorCode::Limit,
        LoadError::Changed { .. } => ErrorCode::Corrupt,
        LoadError::Io(_) => ErrorCode::Unavailable,
        LoadError::Host(_) => ErrorCode::Other,
        _ => ErrorCode::Invalid,
    };
    Refusal {
        reason: error.to_string(),
        code,
    }
}

impl Live {
    /// The plugins of the plugin folders, until something is published.
    ///
    /// # Errors
    /// A filter does not fit its plugin.
    pub fn new(
        runtime: Arc<Runtime>,
        loaded: LoadedPlugins,
        granted: Granted,
        filters: Arc<Filters>,
        watch: Arc<CallWatch>,
    ) -> Result<Self, Refusal> {
        let around = Around { filters, watch };
        let snapshot = Snapshot {
            set: around.set(loaded.set)?,
            steps: around.steps(loaded.steps)?,
            code: loaded.code.clone(),
            unusable: BTreeMap::new(),
        };
        Ok(Self {
            runtime,
            around,
            granted,
            folder: loaded.code,
            refused: loaded.refused,
            ungranted: loaded.ungranted,
            current: RwLock::new(Arc::new(snapshot)),
            linked: Mutex::default(),
            installed: Mutex::default(),
            pinned: Mutex::default(),
        })
    }

    /// The threads that plugins run on, for work that mostly calls them.
    pub fn threads(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// The plugins that serve now. Whatever begins takes this once.
    pub fn now(&self) -> Arc<Snapshot> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Puts the active versions in the place of what serves.
    ///
    /// # Errors
    /// One of them cannot be loaded, or all together cannot be put in order; then nothing
    /// has changed.
    pub fn publish(&self, active: &Active) -> Result<(), Refusal> {
        let mut code = self.folder.clone();
        for candidate in &active.candidates {
            code.insert(candidate.id.clone(), self.code_of(candidate)?);
        }
        for unusable in &active.unusable {
            code.remove(&unusable.id);
        }
        let (set, steps) = assemble(&self.runtime, &code).map_err(|error| Refusal {
            reason: format!("the plugins cannot be put in order with it: {error}"),
            code: ErrorCode::Conflict,
        })?;
        let snapshot = Snapshot {
            set: self.around.set(set)?,
            steps: self.around.steps(steps)?,
            code,
            unusable: active
                .unusable
                .iter()
                .map(|unusable| (unusable.id.clone(), unusable.clone()))
                .collect(),
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(snapshot);
        Ok(())
    }

    /// The code of an installed version, not yet compiled if it is new.
    pub fn code_of(&self, candidate: &Candidate) -> Result<Arc<PluginCode>, Refusal> {
        if let Some(linked) = locked(&self.linked).get(&candidate.digest)
            && linked.grants == candidate.grants
        {
            return Ok(Arc::clone(&linked.code));
        }
        let granted = grants::of_plugin(&candidate.id, &candidate.grants);
        let code = self
            .read(&candidate.file, &candidate.digest, &granted)
            .map_err(|error| refusal(&error))?;
        let linked = Linked {
            grants: candidate.grants.clone(),
            code: Arc::clone(&code),
        };
        locked(&self.linked).insert(candidate.digest.clone(), linked);
        Ok(code)
    }

    fn read(
        &self,
        file: &Path,
        digest: &str,
        granted: &Granted,
    ) -> Result<Arc<PluginCode>, LoadError> {
        let file = PluginFile::read(file)?;
        if file.inspection.digest != digest {
            return Err(LoadError::Changed {
                expected: digest.to_owned(),
                found: file.inspection.digest,
            });
        }
        file.inspection.check_grants(granted)?;
        let code = PluginCode::new(Arc::clone(&self.runtime), file, granted);
        Ok(Arc::new(code))
    }

    /// The plugin of this code with nothing around it: for a self-test.
    pub fn ready(&self, code: &Arc<PluginCode>) -> Result<Ready, Refusal> {
        let id = code.file().inspection.manifest.id.clone();
        let alone = Codes::from([(id, Arc::clone(code))]);
        let failed = |reason: String| Refusal {
            reason,
            code: ErrorCode::Other,
        };
        let (mut set, mut steps) =
            assemble(&self.runtime, &alone).map_err(|error| failed(error.to_string()))?;
        let ready = match code.file().inspection.kind {
            Kind::DiskSource => set.sources.pop().map(Ready::DiskSource),
            Kind::Filesystem => set.filesystems.pop().map(Ready::Filesystem),
            Kind::Inspector => set.inspectors.pop().map(Ready::Inspector),
            Kind::Fixer => set.fixers.pop().map(Ready::Fixer),
            Kind::WorkflowStep => steps.pop_first().map(|(_, step)| Ready::Step(step)),
        };
        ready.ok_or_else(|| failed("the plugin is of no kind that can be called".to_owned()))
    }

    /// The step of this digest that was loaded for a run before.
    pub fn pinned_step(&self, digest: &str) -> Option<Arc<dyn WorkflowStep>> {
        locked(&self.pinned).get(digest).cloned()
    }

    /// Loads the step in a file of the component store, for runs that began with it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load_pinned_step(
        &self,
        id: &str,
        digest: &str,
        file: &Path,
    ) -> Result<Arc<dyn WorkflowStep>, Refusal> {
        let code = self.pinned_code(id, digest, file)?;
        match self.ready(&code)? {
            Ready::Step(step) => {
                let step = self.around.step(step)?;
                locked(&self.pinned).insert(digest.to_owned(), Arc::clone(&step));
                Ok(step)
            }
            _ => Err(refusal(&LoadError::WrongKind {
                found: code.file().inspection.kind.to_string(),
                wanted: Kind::WorkflowStep.to_string(),
            })),
        }
    }

    /// The code of a version that a run began with: with the grants of its installation, or
    /// those of the configuration.
    pub fn pinned_code(
        &self,
        id: &str,
        digest: &str,
        file: &Path,
    ) -> Result<Arc<PluginCode>, Refusal> {
        let served = self.now();
        if let Some(code) = served.code.get(id)
            && code.file().inspection.digest == digest
        {
            return Ok(Arc::clone(code));
        }
        if let Some(linked) = locked(&self.linked).get(digest) {
            return Ok(Arc::clone(&linked.code));
        }
        let installed = locked(&self.installed).get(digest).cloned();
        let granted = match installed {
            Some(grants) => grants::of_plugin(id, &grants),
            None => self.granted.clone(),
        };
        self.read(file, digest, &granted)
            .map_err(|error| refusal(&error))
    }

    /// Plugins of this code as a migration uses them.
    ///
    /// # Errors
    /// They cannot be put in order.
    pub fn set_of(&self, code: &Codes) -> Result<PluginSet, Refusal> {
        let (set, _) = assemble(&self.runtime, code).map_err(|error| Refusal {
            reason: error.to_string(),
            code: ErrorCode::Conflict,
        })?;
        self.around.set(set)
    }

    /// Remembers what an installed version is granted.
    pub fn set_grants(&self, digest: &str, grants: &PluginGrants) {
        locked(&self.installed).insert(digest.to_owned(), grants.clone());
        // What was linked to other interfaces is not used for new runs of the version.
        locked(&self.pinned).remove(digest);
    }

    /// Lets go of a version that serves no more.
    pub fn retire(&self, digest: &str) {
        locked(&self.linked).remove(digest);
        locked(&self.pinned).remove(digest);
    }
}

/// What stands around every plugin.
struct Around {
    filters: Arc<Filters>,
    watch: Arc<CallWatch>,
}

impl Around {
    fn set(&self, set: PluginSet) -> Result<PluginSet, Refusal> {
        let set = self.filters.wrap_set(set).map_err(|error| misfit(&error))?;
        Ok(watched_set(&self.watch, set))
    }

    fn step(&self, step: Arc<dyn WorkflowStep>) -> Result<Arc<dyn WorkflowStep>, Refusal> {
        let step = self
            .filters
            .wrap_step(step)
            .map_err(|error| misfit(&error))?;
        Ok(self.watch.step(step))
    }

    fn steps(&self, steps: Steps) -> Result<Steps, Refusal> {
        let around = steps
            .into_iter()
            .map(|(id, step)| Ok((id, self.step(step)?)));
        around.collect()
    }
}

/// A filter that does not fit its plugin.
fn misfit(error: &impl ToString) -> Refusal {
    Refusal {
        reason: error.to_string(),
        code: ErrorCode::Invalid,
    }
}

fn watched_set(watch: &Arc<CallWatch>, set: PluginSet) -> PluginSet {
    let PluginSet {
        sources,
        filesystems,
        inspectors,
        fixers,
        sessions,
    } = set;
    PluginSet {
        sources: sources.into_iter().map(|p| watch.disk_source(p)).collect(),
        filesystems: filesystems
            .into_iter()
            .map(|p| watch.filesystem(p))
            .collect(),
        inspectors: inspectors.into_iter().map(|p| watch.inspector(p)).collect(),
        fixers: fixers.into_iter().map(|p| watch.fixer(p)).collect(),
        sessions,
    }
}

#[cfg(test)]
mod tests;
