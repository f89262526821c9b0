//! A migration as steps of a durable run.
//!
//! **Problem.** Copying disks takes hours, somebody has to look before, and the host may be
//! killed at any moment in between. What was approved must be what is made, once.
//!
//! **Design.** The built-in workflow [`WORKFLOW`] has three native steps:
//! - [`plan`] plans and rehearses, and makes the plan an artifact of the run;
//! - [`copy`] waits for approval of that plan, carries it out again where the rehearsal was
//!   not kept in this process, requires the approved digest, and copies all disks side by
//!   side into the unfinished part of the output folder, where a killed attempt's copies
//!   are taken up;
//! - [`publish`] writes the reports and moves everything into place.
//!
//! [`WORKFLOW_WITH_BOOT`] then boots the first disk. Which plugins a run uses, with which
//! settings and at which time is fixed at its beginning ([`pins`]), so that the plan of an
//! hour ago can be made again although the plugin folder has changed.
//!
//! **Limits.** A rehearsal that waits for approval holds its overlays in the scratch folder
//! until the run goes on or the host stops.

pub mod copy;
mod failure;
mod input;
mod observer;
pub mod pins;
pub mod plan;
pub mod publish;
mod reach;

use super::request::{GivenSettings, Request};
use super::run::Rehearsed;
use crate::MigrateError;
use crate::catalogue::{BuiltInWorkflow, NATIVE, NativeSteps};
use crate::paths::StatePaths;
use async_trait::async_trait;
use cofferdam_contract::failure::Callee;
use cofferdam_contract::kinds::PluginSet;
use cofferdam_contract::manifest::{Limits, Manifest, Order};
use cofferdam_contract::types::Error;
pub use failure::error_of;
use pins::Pin;
pub use reach::{Reach, RunReach};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The workflow.
pub const WORKFLOW: BuiltInWorkflow = BuiltInWorkflow {
    name: "migrate",
    source: concat!("name: migrate\n", include_str!("workflow.yaml")),
};

/// The workflow that also boots what it made; apart, because starting it takes the plugin
/// for that and its grant.
pub const WORKFLOW_WITH_BOOT: BuiltInWorkflow = BuiltInWorkflow {
    name: "migrate-and-boot",
    source: concat!(
        "name: migrate-and-boot\n",
        include_str!("workflow.yaml"),
        include_str!("workflow-boot.yaml")
    ),
};

/// The plugins of a migration, which the program finds in its plugin folders.
#[async_trait]
pub trait MigrationPlugins: Send + Sync {
    /// Every plugin that a migration which begins now uses, with the file of its component.
    ///
    /// # Errors
    /// A plugin that was meant to be there cannot be used.
    fn current(&self) -> Result<Vec<(Pin, PathBuf)>, Error>;
    /// Settings of the configuration.
    ///
    /// # Errors
    /// They cannot be read.
    fn settings(&self) -> Result<GivenSettings, Error>;
    /// The plugins with these digests, whose components are these files.
    ///
    /// # Errors
    /// One of them is no plugin, or another one.
    async fn load(&self, pins: &[(Pin, PathBuf)]) -> Result<PluginSet, Error>;
}

/// What the steps of all migrations of a host share.
pub struct Migrations {
    plugins: Arc<dyn MigrationPlugins>,
    paths: StatePaths,
    reach: Arc<dyn Reach>,
    /// Rehearsals that wait to be copied, by run.
    kept: Mutex<HashMap<String, Rehearsed>>,
}

impl Migrations {
    /// Registers the steps.
    pub fn register(
        plugins: Arc<dyn MigrationPlugins>,
        paths: StatePaths,
        reach: Arc<dyn Reach>,
        steps: &mut NativeSteps,
    ) {
        let shared = Arc::new(Self {
            plugins,
            paths,
            reach,
            kept: Mutex::default(),
        });
        steps.register(plan::ID, Arc::new(plan::PlanStep::new(Arc::clone(&shared))));
        steps.register(copy::ID, Arc::new(copy::CopyStep::new(Arc::clone(&shared))));
        steps.register(publish::ID, Arc::new(publish::PublishStep::new(shared)));
    }

    fn keep(&self, run: &str, rehearsed: Rehearsed) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(run.to_owned(), rehearsed);
    }

    fn take(&self, run: &str) -> Option<Rehearsed> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(run)
    }

    /// The folder of the run for what is not an operator's.
    fn folder(&self, run: &str) -> PathBuf {
        self.paths.step(run, "migrate")
    }
}

/// What a native step says of itself.
struct About {
    manifest: Manifest,
    digest: String,
}

impl About {
    fn new(id: &str, summary: &str) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            manifest: Manifest {
                id: id.to_owned(),
                version: version.to_owned(),
                summary: summary.to_owned(),
                order: Order::default(),
                limits: Limits::default(),
                capabilities: Vec::new(),
                settings: serde_json::json!({ "type": "object", "additionalProperties": false }),
                build: None,
            },
            digest: format!("{NATIVE}{version}"),
        }
    }

    fn callee(&self, call: &str) -> Callee {
        Callee {
            plugin: self.manifest.id.clone(),
            call: call.to_owned(),
        }
    }
}

/// A request, and what stops its threads when the call ends early.
struct Job {
    request: Arc<Request>,
    _bridge: observer::CancelBridge,
}

impl Job {
    /// Does `work` on a thread for blocking work, as migrating is: plugins' calls are waited
    /// for, and disks are read and written in between. When the call is dropped, the
    /// request's flag ends the work, on timers of its own: the host may be leaving by then.
    async fn on_thread<T, F>(
        &self,
        work: impl FnOnce(Arc<Request>) -> F + Send + 'static,
    ) -> Result<T, MigrateError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, MigrateError>>,
    {
        let request = Arc::clone(&self.request);
        let on_its_own = move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(|error| MigrateError::Host(format!("no timers can be had: {error}")))?
                .block_on(work(request))
        };
        tokio::task::spawn_blocking(on_its_own)
            .await
            .unwrap_or_else(|error| Err(MigrateError::Host(error.to_string())))
    }
}
