//! Installed plugins: versions, activation, and what happens to plugins that crash.
//!
//! **Problem.** A host runs for months, and its plugins change meanwhile. A new version may
//! not compile, may want more than its operator allowed, may crash at its first call; and
//! whatever it does, runs that began with the old one have to end with it, and no call may
//! fail because of the change.
//!
//! **Design.** An installed version is immutable: a row in the store that names a file of
//! the component store by its digest ([`PluginRegistry::install`]). Which version of a
//! plugin is active is changed by an activation ([`activate`](PluginRegistry::activate)),
//! in stages: verify, compile, compare, self-test, publish, drain, retire. Each is written
//! to the journal as an event when it begins, passes or fails; up to publishing, a stage
//! that fails leaves the old version serving. Publishing replaces the whole set of plugins
//! at one moment, so that whatever begins sees the old set or the new one. An activation
//! is the host's own task: whoever asked for it may go away.
//!
//! The program's side of it, reading and compiling components, is a trait ([`PluginHost`]).
//! [`CallWatch`] wraps every plugin of the host: it counts calls, so that an activation
//! knows when the old version has nothing left to do, and crashes, so that a version which
//! crashes too often is not called any more, as its [`CrashPolicy`] says. A run that needs
//! such a version is parked, and goes on when that version is released or activated again.
//!
//! **Limits.** Plugins of the plugin folders have no versions: the file that is there when
//! the host starts serves, unless an installed version of the same id is active, whether or
//! not that one can be used. Crashes
//! are counted for each version; those beyond a hundred are forgotten.

mod activate;
mod crash;
mod effective;
mod error;
mod host;
mod install;
mod installations;
mod lineage;
mod list;
mod policy;
mod remove;
mod selftest;
mod view;
mod watch;

pub use cofferdam_contract::grants::{Difference, Want, Widened};
pub use cofferdam_store::{
    Activation, ActivationOutcome, Cause, Crash, PluginVersion, Quarantine, Stage, VersionName,
    journal_of,
};
pub(crate) use crash::{attend, parked_for};
pub use error::{Asks, PluginsError};
pub use host::{
    Active, Candidate, Inspected, PluginHost, PluginOptions, Prepared, Ready, Refusal, Unusable,
};
pub(crate) use installations::Installations;
pub use installations::{active_versions, installed_component, installed_versions};
pub use policy::{CrashAction, CrashPolicy};
pub use selftest::self_test;
pub use view::{Approval, CrashState, Installed, Proposal, Version};
pub use watch::{CallWatch, is_crash};

use crate::runs::engine::Engine;
use std::sync::Arc;

/// The installed plugins of a host. Clones share everything.
///
/// Installing, activating and the like are for admins of all projects; looking is for
/// everybody.
#[derive(Clone)]
pub struct PluginRegistry {
    engine: Arc<Engine>,
}

impl std::fmt::Debug for PluginRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginRegistry").finish_non_exhaustive()
    }
}

impl PluginRegistry {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    fn plugins(&self) -> &Arc<Installations> {
        &self.engine.plugins
    }

    /// Does on a thread that may block what waits for the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, PluginsError> + Send + 'static,
    ) -> Result<T, PluginsError> {
        let registry = self.clone();
        match tokio::task::spawn_blocking(move || work(&registry)).await {
            Ok(result) => result,
            Err(error) => Err(PluginsError::Host(error.to_string())),
        }
    }
}
