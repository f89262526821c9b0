//! What follows from crashes: written down, rolled back, released.

use super::watch::{Crashed, hint, message};
use super::{Cause, CrashAction, PluginRegistry, PluginsError, Quarantine};
use crate::identity::Actor;
use crate::runs::engine::Engine;
use crate::runs::problem::problem;
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{Problem, StoreError};
use serde_json::json;
use std::sync::{Arc, Weak};
use tokio::runtime::Handle;

/// Who activates and releases where no person does.
const HOST: &str = "cofferdam";

/// Why a run is parked for a version in quarantine.
pub(crate) fn parked_for(quarantine: &Quarantine) -> Problem {
    let mut problem = problem(ErrorCode::Unavailable, message(quarantine));
    problem.hint = Some(hint(quarantine));
    problem.waits_for = Some(quarantine.digest.clone());
    problem
}

/// Has crashes written down and acted on from now on. What follows from them goes on on the
/// engine's threads, or where this is called: a call may be one of a runtime that ends with
/// it, as those of migrations are.
pub(crate) fn attend(engine: &Arc<Engine>) {
    let threads = engine.threads().or_else(|| Handle::try_current().ok());
    // The engine owns the watch.
    let engine_of: Weak<Engine> = Arc::downgrade(engine);
    engine.plugins.watch.observe(move |crashed| {
        if let Some(engine) = engine_of.upgrade() {
            PluginRegistry::new(engine).crashed(crashed, threads.as_ref());
        }
    });
}

impl PluginRegistry {
    /// Returns when the crash and its quarantine are written, before the call's failure does.
    fn crashed(&self, crashed: Crashed, threads: Option<&Handle>) {
        let Crashed {
            who,
            crash,
            quarantine,
        } = crashed;
        let engine = &self.engine;
        tracing::warn!(
            plugin = who.plugin,
            version = who.version,
            call = crash.call,
            reason = crash.reason,
            "a plugin crashed"
        );
        if let Err(error) = engine.store.record_crash(&who.plugin, &who.digest, &crash) {
            tracing::error!(%error, "a crash cannot be written down");
        }
        let Some(quarantine) = quarantine else {
            return;
        };
        tracing::warn!("{}", message(&quarantine));
        match engine.store.quarantine_plugin(&quarantine) {
            Ok(_) => engine.publisher.events_written(),
            Err(error) => {
                tracing::error!(%error, "a quarantine cannot be written down; it holds until the host stops");
            }
        }
        if engine.plugins.policy(&who.plugin).policy != CrashAction::RollBack {
            return;
        }
        let registry = self.clone();
        match threads {
            Some(threads) => {
                threads.spawn(async move { registry.roll_back_from(&quarantine).await });
            }
            None => tracing::error!(
                "cannot roll back outside of a runtime; the version stays in quarantine"
            ),
        }
    }

    /// Activates the version before, where the one that crashed is still the active one.
    async fn roll_back_from(&self, quarantine: &Quarantine) {
        let plugin = &quarantine.plugin;
        let is_active = self
            .engine
            .store
            .plugin_of_digest(&quarantine.digest)
            .is_ok_and(|version| version.is_some_and(|found| found.active_since.is_some()));
        if !is_active || self.engine.is_leaving() {
            return;
        }
        let actor = Actor::local(HOST);
        let begun = match self.before(plugin) {
            Ok(before) => {
                self.start(&actor, plugin, Some(before), Cause::Crashes)
                    .await
            }
            Err(error) => Err(error),
        };
        match begun {
            Ok(begun) => tracing::info!(plugin, activation = begun.id, "rolling back"),
            Err(error) => {
                tracing::warn!(plugin, %error, "cannot roll back; the version stays in quarantine");
            }
        }
    }

    /// Lets the versions of a plugin that are in quarantine be called again, or only one of
    /// them: their crashes are forgotten, and the runs that wait for them go on. Says which
    /// versions. For admins of all projects.
    ///
    /// # Errors
    /// [`PluginsError::Store`] with `not-found` where none is in quarantine,
    /// [`PluginsError::Identity`].
    pub async fn release(
        &self,
        actor: &Actor,
        plugin: &str,
        version: Option<&str>,
    ) -> Result<Vec<Quarantine>, PluginsError> {
        self.require(actor)?;
        let confined: Vec<Quarantine> = self
            .engine
            .store
            .quarantines()?
            .into_iter()
            .filter(|found| found.plugin == plugin)
            .filter(|found| version.is_none_or(|version| version == found.version))
            .collect();
        if confined.is_empty() {
            let id = version.map_or_else(
                || plugin.to_owned(),
                |version| format!("{plugin}@{version}"),
            );
            return Err(PluginsError::Store(StoreError::NotFound {
                what: "version in quarantine",
                id,
            }));
        }
        for found in &confined {
            let audit = actor.audit(
                "plugin.release",
                &format!("{}@{}", found.plugin, found.version),
                None,
                json!({ "digest": found.digest, "reason": found.reason }),
            );
            let digest = found.digest.clone();
            self.blocking(move |registry| {
                let (runs, _) = registry
                    .engine
                    .store
                    .release_plugin(&digest, Some(&audit))?;
                registry.plugins().watch.release(&digest);
                registry.go_on(&runs);
                Ok(())
            })
            .await?;
        }
        Ok(confined)
    }

    /// Brings a version back that was activated.
    pub(super) fn bring_back(&self, digest: &str, actor: &str) {
        let Some(quarantine) = self.plugins().watch.quarantine(digest) else {
            return;
        };
        let audit = Actor::local(actor).audit(
            "plugin.release",
            &format!("{}@{}", quarantine.plugin, quarantine.version),
            None,
            json!({ "digest": digest, "reason": "it was activated" }),
        );
        match self.engine.store.release_plugin(digest, Some(&audit)) {
            Ok((runs, _)) => {
                self.plugins().watch.release(digest);
                self.go_on(&runs);
            }
            Err(error) => {
                tracing::error!(digest, %error, "a version cannot be released from quarantine");
            }
        }
    }

    fn go_on(&self, runs: &[String]) {
        self.engine.publisher.events_written();
        for run in runs {
            self.engine.wake(run, None);
        }
    }
}

impl Engine {
    /// Looks at a version that steps were just parked for: where it was released meanwhile,
    /// nobody would come to let them go on.
    pub(crate) fn parked(self: &Arc<Self>, digest: &str) {
        if self.plugins.watch.quarantine(digest).is_some() {
            return;
        }
        let (engine, digest) = (Arc::clone(self), digest.to_owned());
        tokio::task::spawn_blocking(move || match engine.store.release_plugin(&digest, None) {
            Ok((runs, _)) => PluginRegistry::new(Arc::clone(&engine)).go_on(&runs),
            Err(error) => {
                tracing::error!(digest, %error, "parked steps cannot be let go on");
            }
        });
    }
}
