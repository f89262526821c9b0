//! Durable runs: workflows whose every step survives the host being killed.
//!
//! **Problem.** Moving a disk or deploying a service takes many steps, some of them hours
//! long, with effects that must not happen twice. The host may be killed at any moment, a
//! person may have to approve something tomorrow, and a plugin author wants to write
//! straight-line code.
//!
//! **Design.** A [`workflow`] file says which steps there are, what each is given
//! ([`expression`]) and what comes first ([`graph`]). [`Runs`] is what the API and the
//! command line use. A started run is a row in the store and, while it can go on, a task
//! ([`driver`]) that follows the journal: nothing begins that is not written there first.
//! What has an effect outside is a host [`operation`] with a key that stays the same over
//! attempts and restarts. Plugins are pinned by digest when a run starts and kept in the
//! component store ([`component`]), approvals hold for a digest of exactly what is executed
//! ([`approval`]).
//!
//! **Limits.** One host drives the runs of a state folder. A step that was going on when
//! the host was killed is executed once more, with the same input; what it did outside of
//! host operations it may do again. The order of steps that do not depend on each other is
//! not defined.

pub mod approval;
pub mod artifact;
pub mod component;
pub mod context;
mod control;
mod driver;
pub mod engine;
pub mod error;
pub mod expression;
mod file;
pub mod graph;
pub mod log;
pub mod looking;
pub mod nearest;
pub mod notice;
pub mod operation;
pub mod problem;
pub mod request;
pub mod retry;
mod start;
pub mod workflow;
mod workflows;

pub(crate) use driver::looking;
pub use engine::{EngineOptions, workflow_digest};
pub use error::RunError;
pub use file::MOST_FILE_BYTES;
pub use looking::GivenFiles;
pub use notice::Notice;
pub use request::{
    DEFAULT_PROJECT, PlannedStep, RunView, StartRun, WorkflowInfo, WorkflowPlan, WorkflowSource,
};
pub use workflows::check_workflow;

use engine::Engine;
use std::sync::Arc;

/// All runs of a host. Clones share everything.
#[derive(Clone)]
pub struct Runs {
    engine: Arc<Engine>,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs").finish_non_exhaustive()
    }
}

impl Runs {
    /// The runs of an engine.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// How many runs are being driven now.
    pub fn active(&self) -> usize {
        self.engine.active_runs()
    }
}
