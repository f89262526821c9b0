//! What the program does for installed plugins: reading, compiling and publishing
//! components, which this crate knows nothing of.

use crate::grants::PluginGrants;
use async_trait::async_trait;
use cofferdam_contract::kinds::{
    DiskSource, Filesystem, Fixer, Inspector, Kind, Plugin, WorkflowStep,
};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::types::ErrorCode;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a component says of itself, read without running it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// Its manifest.
    pub manifest: Manifest,
    /// Which kind of plugin it is.
    pub kind: Kind,
    /// SHA-256 of the file, hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// The interfaces it imports functions of, with their versions, WASI's inert ones apart.
    pub imports: Vec<String>,
}

/// A version that is to be loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The plugin's id.
    pub id: String,
    /// The version.
    pub version: String,
    /// Its kind, as the store has it.
    pub kind: String,
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
    /// The component's file, whose content was checked.
    pub file: PathBuf,
    /// What it is granted: the configuration's tables, and for interfaces that these leave
    /// out what was granted at the installation.
    pub grants: PluginGrants,
}

impl Candidate {
    /// This version, which cannot be loaded.
    pub fn unusable(self, reason: String) -> Unusable {
        Unusable {
            id: self.id,
            version: self.version,
            kind: self.kind,
            reason,
        }
    }
}

/// An active version that cannot be loaded. Nothing serves in its place, no file of the
/// plugin folders either: whoever activated it did not mean another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the active version {version} of {id} cannot be used; install it again, roll back (`cofferdam plugin rollback {id}`) or remove it (`cofferdam plugin remove {id} {version}`): {reason}"
)]
pub struct Unusable {
    /// The plugin's id.
    pub id: String,
    /// The version.
    pub version: String,
    /// Its kind, as the store has it.
    pub kind: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The active versions of all plugins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Active {
    /// Those that are to serve.
    pub candidates: Vec<Candidate>,
    /// Those that cannot.
    pub unusable: Vec<Unusable>,
}

impl Active {
    /// Publishes them. One that is in the way of the others is found to be unusable, and
    /// leaves them alone.
    ///
    /// # Errors
    /// Why nothing at all can be published.
    pub fn publish(
        mut self,
        publish: impl Fn(&Self) -> Result<(), Refusal>,
    ) -> Result<Self, Refusal> {
        if publish(&self).is_ok() {
            return Ok(self);
        }
        for candidate in std::mem::take(&mut self.candidates) {
            self.candidates.push(candidate);
            if let Err(refusal) = publish(&self)
                && let Some(candidate) = self.candidates.pop()
            {
                self.unusable.push(candidate.unusable(refusal.reason));
            }
        }
        publish(&self)?;
        Ok(self)
    }
}

/// Why the program cannot do something with a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What is wrong, and what to do.
    pub reason: String,
    /// The contract's code.
    pub code: ErrorCode,
}

/// A plugin that is ready to be called, by its kind.
#[derive(Clone)]
pub enum Ready {
    /// A disk source.
    DiskSource(Arc<dyn DiskSource>),
    /// A file system.
    Filesystem(Arc<dyn Filesystem>),
    /// An inspector.
    Inspector(Arc<dyn Inspector>),
    /// A fixer.
    Fixer(Arc<dyn Fixer>),
    /// A workflow step.
    Step(Arc<dyn WorkflowStep>),
}

impl Ready {
    /// The plugin, whatever its kind.
    pub fn plugin(&self) -> &dyn Plugin {
        match self {
            Self::DiskSource(plugin) => plugin.as_ref(),
            Self::Filesystem(plugin) => plugin.as_ref(),
            Self::Inspector(plugin) => plugin.as_ref(),
            Self::Fixer(plugin) => plugin.as_ref(),
            Self::Step(plugin) => plugin.as_ref(),
        }
    }
}

/// A version that was compiled.
#[derive(Clone)]
pub struct Prepared {
    /// The plugin.
    pub ready: Ready,
    /// Its settings in force, JSON, checked and with defaults.
    pub settings: String,
}

/// The program's side of installed plugins.
#[async_trait]
pub trait PluginHost: Send + Sync {
    /// What a component is, without running or compiling it.
    ///
    /// # Errors
    /// It is no plugin for this host.
    fn inspect(&self, component: &[u8]) -> Result<Inspected, Refusal>;

    /// Compiles a version, or finds it compiled, and links it to what it may import.
    /// Nothing of it runs, and nothing is published.
    ///
    /// # Errors
    /// It does not compile or link, or the configuration's settings do not fit it.
    async fn compile(&self, candidate: &Candidate) -> Result<Prepared, Refusal>;

    /// Makes the candidates, and the plugins of the plugin folders whose ids are not among
    /// those of the active versions, the plugins of whatever begins from now on: all at once.
    /// What began before keeps what it has. What was compiled is used. What needs an
    /// unusable one is refused.
    ///
    /// # Errors
    /// They cannot be put in order or loaded; then everything is as it was.
    fn publish(&self, active: &Active) -> Result<(), Refusal>;

    /// Tells what an installed version is granted, whether or not it is active: runs that
    /// pin it go on with it.
    fn set_grants(&self, digest: &str, grants: &PluginGrants);

    /// Lets go of what is kept loaded of a version that is not active any more. Runs that
    /// pin it have it loaded again when they need it.
    fn retire(&self, digest: &str);
}

/// What a host that installs plugins is given.
#[derive(Clone)]
pub struct PluginOptions {
    /// The program's side.
    pub host: Arc<dyn PluginHost>,
    /// What watches calls; the same that wraps the catalogue's plugins.
    pub watch: Arc<super::CallWatch>,
    /// `[plugins.ID.grants]` of the configuration, by id.
    pub grants: BTreeMap<String, PluginGrants>,
}
