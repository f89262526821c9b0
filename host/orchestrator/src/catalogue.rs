//! Where steps come from: plugins in folders, native steps, and the workflows that are
//! part of the program.
//!
//! The orchestrator knows a step only by what it says of itself and by its digest. Which
//! file `uses: command` means is asked once, when a run starts; from then on the run's
//! pins decide.

use crate::runs::nearest::did_you_mean;
use async_trait::async_trait;
use cofferdam_contract::kinds::{Kind, WorkflowStep};
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::PinnedPlugin;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

/// What digests of native steps begin with; the host's version follows.
pub const NATIVE: &str = "native:";

/// `uses: ID[@VERSION]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepReference {
    /// The plugin's id; native steps have a `/` in theirs (`migrate/plan`).
    pub id: String,
    /// The version wanted; none for the one that is there.
    pub version: Option<String>,
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no plugin; write ID or ID@VERSION, such as command or command@0.1.0")]
pub struct NoReference(String);

impl FromStr for StepReference {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let (id, version) = match text.split_once('@') {
            Some((id, version)) => (id, Some(version)),
            None => (text, None),
        };
        let is_id = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_lowercase())
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        let id_is_fine = id.len() <= 64 && id.split('/').count() <= 2 && id.split('/').all(is_id);
        let version_is_fine = version.is_none_or(|version| {
            !version.is_empty()
                && version.len() <= 64
                && version
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'))
        });
        if !id_is_fine || !version_is_fine {
            return Err(NoReference(text.chars().take(200).collect()));
        }
        Ok(Self {
            id: id.to_owned(),
            version: version.map(str::to_owned),
        })
    }
}

impl std::fmt::Display for StepReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.id)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

/// What a reference means now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedPlugin {
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Sha256 of the component, lower-case hexadecimal, or `native:VERSION`.
    pub digest: String,
    /// The component's file, copied into the component store when a run starts; none for
    /// native steps.
    pub path: Option<PathBuf>,
}

/// One plugin, for lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its kind.
    pub kind: Kind,
    /// Sha256 of the component, lower-case hexadecimal, or `native:VERSION`.
    pub digest: String,
    /// One sentence on what it does.
    pub summary: String,
    /// JSON Schema of its settings.
    pub settings: Value,
    /// The interfaces it wants beyond those of its world.
    pub capabilities: Vec<String>,
    /// The component's file; none for native steps.
    pub path: Option<PathBuf>,
    /// Why it cannot be used, where it cannot.
    pub problem: Option<String>,
}

/// A file of the plugin folders that is no plugin that this host can load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPlugin {
    /// The file.
    pub file: PathBuf,
    /// Why, and what to do.
    pub reason: String,
}

/// Why a plugin is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// There is none of that name.
    #[error("there is no plugin `{reference}` of kind workflow-step{hint}")]
    NotFound {
        /// The name, or the digest.
        reference: String,
        /// What there is instead, with a space before it; may be empty.
        hint: String,
    },
    /// It is there and cannot be loaded.
    #[error("the plugin `{reference}` cannot be used: {reason}")]
    Unusable {
        /// The name, or the digest.
        reference: String,
        /// Why, and what to do.
        reason: String,
        /// The contract's code.
        code: ErrorCode,
    },
}

impl CatalogueError {
    /// The contract's code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Unusable { code, .. } => *code,
        }
    }
}

/// Finds steps. The program implements it over component files, tests natively.
#[async_trait]
pub trait Catalogue: Send + Sync {
    /// What a reference means now.
    fn resolve(&self, uses: &StepReference) -> Result<ResolvedPlugin, CatalogueError>;
    /// The step behind a pinned digest. `pinned.path` is a file whose content has that
    /// digest; it is used where the folders have the plugin no more.
    async fn step(&self, pinned: &PinnedPlugin) -> Result<Arc<dyn WorkflowStep>, CatalogueError>;
    /// The settings in force of a step, JSON, as [`cofferdam_contract::kinds::Call`] carries
    /// them.
    fn settings(&self, step: &dyn WorkflowStep) -> Result<String, CatalogueError>;
    /// Every plugin there is: by kind, and in each kind as they run.
    fn list(&self) -> Vec<PluginInfo>;
    /// The files of the plugin folders that are refused, by path.
    fn refused(&self) -> Vec<RefusedPlugin> {
        Vec::new()
    }
}

/// Steps that are part of the program, by id.
#[derive(Clone, Default)]
pub struct NativeSteps {
    steps: BTreeMap<String, Arc<dyn WorkflowStep>>,
}

impl NativeSteps {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step under its manifest's id. `id` may hold one `/`, which a component's id
    /// cannot, so that the two never meet.
    pub fn register(&mut self, id: impl Into<String>, step: Arc<dyn WorkflowStep>) {
        self.steps.insert(id.into(), step);
    }

    /// The step of that id.
    pub fn get(&self, id: &str) -> Option<Arc<dyn WorkflowStep>> {
        self.steps.get(id).cloned()
    }

    /// What a reference means, where it names a native step.
    pub fn resolve(&self, uses: &StepReference) -> Option<Result<ResolvedPlugin, CatalogueError>> {
        let step = self.steps.get(&uses.id)?;
        let version = step.manifest().version.clone();
        if let Some(wanted) = &uses.version
            && *wanted != version
        {
            return Some(Err(CatalogueError::NotFound {
                reference: uses.to_string(),
                hint: format!("; this host has {}@{version}", uses.id),
            }));
        }
        Some(Ok(ResolvedPlugin {
            id: uses.id.clone(),
            digest: format!("{NATIVE}{version}"),
            version,
            path: None,
        }))
    }

    /// The native step of a pin: the version must be the one that the run began with.
    pub fn pinned(
        &self,
        pinned: &PinnedPlugin,
    ) -> Option<Result<Arc<dyn WorkflowStep>, CatalogueError>> {
        let version = pinned.digest.strip_prefix(NATIVE)?;
        Some(match self.steps.get(&pinned.id) {
            Some(step) if step.manifest().version == version => Ok(Arc::clone(step)),
            Some(step) => Err(CatalogueError::Unusable {
                reference: pinned.id.clone(),
                reason: format!(
                    "the run began with version {version}, and this host has {}; finish the run with the host that began it, or cancel it",
                    step.manifest().version
                ),
                code: ErrorCode::Conflict,
            }),
            None => Err(CatalogueError::NotFound {
                reference: pinned.id.clone(),
                hint: did_you_mean(&pinned.id, self.steps.keys().map(String::as_str)),
            }),
        })
    }

    /// Every native step.
    pub fn list(&self) -> Vec<PluginInfo> {
        self.steps
            .iter()
            .map(|(id, step)| {
                let manifest = step.manifest();
                PluginInfo {
                    id: id.clone(),
                    version: manifest.version.clone(),
                    kind: Kind::WorkflowStep,
                    digest: format!("{NATIVE}{}", manifest.version),
                    summary: manifest.summary.clone(),
                    settings: manifest.settings.clone(),
                    capabilities: Vec::new(),
                    path: None,
                    problem: None,
                }
            })
            .collect()
    }
}

/// A host without components: native steps alone, which have no settings.
#[async_trait]
impl Catalogue for NativeSteps {
    fn resolve(&self, uses: &StepReference) -> Result<ResolvedPlugin, CatalogueError> {
        self.resolve(uses).unwrap_or_else(|| {
            Err(CatalogueError::NotFound {
                reference: uses.to_string(),
                hint: String::new(),
            })
        })
    }

    async fn step(&self, pinned: &PinnedPlugin) -> Result<Arc<dyn WorkflowStep>, CatalogueError> {
        self.pinned(pinned).unwrap_or_else(|| {
            Err(CatalogueError::NotFound {
                reference: pinned.digest.clone(),
                hint: String::new(),
            })
        })
    }

    fn settings(&self, _: &dyn WorkflowStep) -> Result<String, CatalogueError> {
        Ok("{}".to_owned())
    }

    fn list(&self) -> Vec<PluginInfo> {
        self.list()
    }
}

/// A workflow that is part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltInWorkflow {
    /// Its name, as in its text.
    pub name: &'static str,
    /// The YAML text.
    pub source: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read() {
        for (text, id, version) in [
            ("command", "command", None),
            ("command@0.1.0", "command", Some("0.1.0")),
            ("migrate/plan", "migrate/plan", None),
        ] {
            let reference: StepReference = text.parse().unwrap();
            assert_eq!(
                (reference.id.as_str(), reference.version.as_deref()),
                (id, version)
            );
            assert_eq!(reference.to_string(), text);
        }
        for text in ["", "@1", "a@", "A", "a/b/c", "a/", "../x", "a b", "a@1 2"] {
            assert!(text.parse::<StepReference>().is_err(), "{text}");
        }
    }
}
