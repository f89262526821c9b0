//! Removing a version.

use super::{Activation, ActivationOutcome, Cause, PluginRegistry, PluginsError};
use crate::identity::Actor;
use cofferdam_store::StoreError;
use serde_json::json;

impl PluginRegistry {
    /// Removes an installed version. The active one can be removed where it is the only
    /// one: then nothing is active any more, and a file of the plugin folders serves if
    /// there is one. For admins of all projects.
    ///
    /// # Errors
    /// [`PluginsError::Store`] with `conflict` where it is active beside others, or a run
    /// that has not ended began with it, whose name is in the message, and with `not-found`;
    /// [`PluginsError::Identity`].
    pub async fn remove(
        &self,
        actor: &Actor,
        plugin: &str,
        version: &str,
    ) -> Result<(), PluginsError> {
        self.require(actor)?;
        let store = &self.engine.store;
        let found = store.plugin_version(plugin, version)?;
        let is_only = store.plugin_versions(Some(plugin))?.len() == 1;
        if found.active_since.is_some() && is_only {
            self.refuse_pinned(plugin, version, &found.digest)?;
            self.deactivate(actor, plugin).await?;
        }
        let audit = actor.audit(
            "plugin.remove",
            &format!("{plugin}@{version}"),
            None,
            json!({ "digest": found.digest }),
        );
        let (plugin, version) = (plugin.to_owned(), version.to_owned());
        self.blocking(move |registry| {
            let engine = &registry.engine;
            let (needed, _) = engine
                .store
                .remove_plugin_version(&plugin, &version, &audit)?;
            engine.publisher.events_written();
            registry.plugins().forget(&found.digest);
            if !needed {
                engine.components.forget(&found.digest);
            }
            Ok(())
        })
        .await
    }

    /// The refusal that removing would end with, before anything is changed.
    fn refuse_pinned(&self, plugin: &str, version: &str, digest: &str) -> Result<(), PluginsError> {
        match self.engine.store.runs_pinning(digest)?.first() {
            None => Ok(()),
            Some(run) => Err(PluginsError::Store(StoreError::Conflict {
                what: "plugin",
                id: format!("{plugin}@{version}"),
                why: format!(
                    "the run {run} began with it and has not ended; let it end, or cancel it"
                ),
            })),
        }
    }

    async fn deactivate(&self, actor: &Actor, plugin: &str) -> Result<Activation, PluginsError> {
        let begun = self.start(actor, plugin, None, Cause::Remove).await?;
        let ended = self.settled(&begun.id).await?;
        match ended.outcome {
            ActivationOutcome::Failed => Err(PluginsError::Host(format!(
                "{plugin} cannot be taken away: {}",
                ended.reason.unwrap_or_default()
            ))),
            _ => Ok(ended),
        }
    }
}
