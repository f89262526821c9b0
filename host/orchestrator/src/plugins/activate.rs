//! Activation, stage by stage.

use super::effective::{Claim, Settled};
use super::host::{Active, Candidate, Prepared};
use super::install::wants_of;
use super::lineage::{earlier, lineage};
use super::{
    Activation, ActivationOutcome, Approval, Cause, Inspected, PluginRegistry, PluginVersion,
    PluginsError, Refusal, Stage, VersionName, self_test,
};
use crate::grants::PluginGrants;
use crate::identity::Actor;
use cofferdam_contract::grants::{self, Difference, Want};
use cofferdam_store::{NewActivation, PageRequest, StoreError, new_activation_id};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument;

/// How many activations are looked back at for the version before.
const LOOKED_BACK: u32 = 200;

/// Why a stage did not pass, and which.
struct Failed(Stage, String);

fn at<E: ToString>(stage: Stage) -> impl Fn(E) -> Failed {
    move |error| Failed(stage, error.to_string())
}

fn named(version: &PluginVersion) -> VersionName {
    VersionName {
        version: version.version.clone(),
        digest: version.digest.clone(),
    }
}

impl PluginRegistry {
    /// Makes an installed version the active one, and returns when it serves or when a stage
    /// has failed: the outcome says which. Old calls may still be going on then
    /// (`finished` is none); they end with the old version. Activating the version that is
    /// active already looks at it again, and brings it back from quarantine. For admins of
    /// all projects.
    ///
    /// # Errors
    /// [`PluginsError::Store`] with `not-found` for the version, with `conflict` where
    /// another activation of the plugin goes on; [`PluginsError::Identity`],
    /// [`PluginsError::Leaving`].
    pub async fn activate(
        &self,
        actor: &Actor,
        plugin: &str,
        version: &str,
    ) -> Result<Activation, PluginsError> {
        let begun = self.begin(actor, plugin, version).await?;
        self.settled(&begun.id).await
    }

    /// Begins what [`activate`](Self::activate) does and returns at once.
    ///
    /// # Errors
    /// Those of [`activate`](Self::activate).
    pub async fn begin(
        &self,
        actor: &Actor,
        plugin: &str,
        version: &str,
    ) -> Result<Activation, PluginsError> {
        self.require(actor)?;
        let to = self.engine.store.plugin_version(plugin, version)?;
        self.start(actor, plugin, Some(to), Cause::Activate).await
    }

    /// Activates the version that was active before the present one, like
    /// [`activate`](Self::activate). Rolled back once more, it goes back further. For admins
    /// of all projects.
    ///
    /// # Errors
    /// [`PluginsError::NothingBefore`], and those of [`activate`](Self::activate).
    pub async fn rollback(&self, actor: &Actor, plugin: &str) -> Result<Activation, PluginsError> {
        let begun = self.begin_rollback(actor, plugin).await?;
        self.settled(&begun.id).await
    }

    /// Begins what [`rollback`](Self::rollback) does and returns at once.
    ///
    /// # Errors
    /// Those of [`rollback`](Self::rollback).
    pub async fn begin_rollback(
        &self,
        actor: &Actor,
        plugin: &str,
    ) -> Result<Activation, PluginsError> {
        self.require(actor)?;
        let before = self.before(plugin)?;
        self.start(actor, plugin, Some(before), Cause::Rollback)
            .await
    }

    /// Waits until an activation serves or has failed.
    ///
    /// # Errors
    /// [`PluginsError::Store`] with `not-found`, [`PluginsError::Leaving`] where the host
    /// shuts down meanwhile.
    pub async fn settled(&self, activation: &str) -> Result<Activation, PluginsError> {
        self.awaited(activation, |found| {
            found.outcome != ActivationOutcome::GoingOn
        })
        .await
    }

    /// Waits until an activation is over, old calls included.
    ///
    /// # Errors
    /// Those of [`settled`](Self::settled).
    pub async fn finished(&self, activation: &str) -> Result<Activation, PluginsError> {
        self.awaited(activation, |found| found.finished.is_some())
            .await
    }

    async fn awaited(
        &self,
        activation: &str,
        is_there: impl Fn(&Activation) -> bool,
    ) -> Result<Activation, PluginsError> {
        let mut moved = self.plugins().moved.subscribe();
        loop {
            moved.mark_unchanged();
            let found = self.engine.store.activation(activation)?;
            if is_there(&found) {
                return Ok(found);
            }
            tokio::select! {
                changed = moved.changed() => if changed.is_err() {
                    return Err(PluginsError::Leaving);
                },
                () = self.engine.left() => return Err(PluginsError::Leaving),
            }
        }
    }

    /// The version that was active before the present one.
    pub(super) fn before(&self, plugin: &str) -> Result<PluginVersion, PluginsError> {
        let nothing = |reason: &str| PluginsError::NothingBefore {
            plugin: plugin.to_owned(),
            reason: reason.to_owned(),
        };
        let store = &self.engine.store;
        let page = PageRequest {
            limit: LOOKED_BACK,
            cursor: None,
        };
        let installed = store.plugin_versions(Some(plugin))?;
        if installed.is_empty() {
            return Err(super::list::not_installed(plugin));
        }
        let Some(active) = installed
            .iter()
            .find(|version| version.active_since.is_some())
        else {
            return Err(nothing("none is active"));
        };
        let mut history = store.activations(plugin, &page)?.items;
        history.reverse();
        let is_there = |digest: &String| {
            let mut versions = installed.iter();
            versions.find(|version| version.digest == *digest).cloned()
        };
        earlier(lineage(&history), &active.digest)
            .iter()
            .find_map(is_there)
            .ok_or_else(|| nothing("none was active before it, or those that were are removed"))
    }

    /// Writes down that an activation begins, and has it done.
    pub(super) async fn start(
        &self,
        actor: &Actor,
        plugin: &str,
        to: Option<PluginVersion>,
        cause: Cause,
    ) -> Result<Activation, PluginsError> {
        self.plugins().host()?;
        let store = &self.engine.store;
        let from = store
            .plugin_versions(Some(plugin))?
            .into_iter()
            .find(|version| version.active_since.is_some());
        let new = NewActivation {
            id: new_activation_id(),
            plugin: plugin.to_owned(),
            cause,
            from: from.as_ref().map(named),
            to: to.as_ref().map(named),
        };
        let audit = actor.audit(
            "plugin.activate",
            plugin,
            None,
            json!({ "activation": new.id, "cause": cause, "from": new.from, "to": new.to }),
        );
        let begun = store.begin_activation(&new, &audit)?;
        let work = Work {
            registry: self.clone(),
            activation: begun.clone(),
            to,
        };
        let span = tracing::info_span!("activation", plugin, activation = begun.id);
        tokio::spawn(work.carry_out().instrument(span));
        Ok(begun)
    }

    /// Publishes the active versions anew, because `plugin`'s was granted something else, or
    /// its component is there again.
    pub(super) async fn republish(&self, plugin: &str) -> Result<(), PluginsError> {
        let _alone = self.plugins().publishing.lock().await;
        let problem = self.plugins().problem(plugin);
        self.plugins().is_mended(plugin);
        let active = self.active(None)?;
        let host = Arc::clone(self.plugins().host()?);
        blocking(move || host.publish(&active))
            .await
            .map_err(|reason| {
                if let Some(problem) = problem {
                    self.plugins().cannot_serve(problem);
                }
                PluginsError::Host(reason)
            })
    }

    /// What is to serve: the active versions, with `to` in the place of its plugin's.
    fn active(&self, change: Option<(&str, Option<&Candidate>)>) -> Result<Active, PluginsError> {
        let mut active = Active::default();
        for version in self.engine.store.active_plugins()? {
            if change.is_some_and(|(plugin, _)| plugin == version.id) {
                continue;
            }
            match self.plugins().serving(&self.engine.components, version) {
                Ok(candidate) => active.candidates.push(candidate),
                Err(unusable) => active.unusable.push(unusable),
            }
        }
        let to = change.and_then(|(_, to)| to).cloned();
        active.candidates.extend(to);
        Ok(active)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|refusal| refusal.reason),
        Err(error) => Err(error.to_string()),
    }
}

/// One activation that goes on.
struct Work {
    registry: PluginRegistry,
    activation: Activation,
    to: Option<PluginVersion>,
}

impl Work {
    async fn carry_out(self) {
        let id = &self.activation.id;
        let engine = &self.registry.engine;
        if let Err(Failed(stage, reason)) = self.stages().await {
            tracing::info!(%stage, reason, "the activation failed; what served before serves");
            match engine.store.end_activation(id, Some(&reason)) {
                Ok(_) => engine.publisher.events_written(),
                Err(error) => tracing::error!(%error, "its failure cannot be written down"),
            }
            self.moved();
            return;
        }
        self.moved();
        if let Err(error) = self.retire().await {
            tracing::error!(%error, "the end of an activation cannot be written down");
        }
        self.moved();
    }

    fn moved(&self) {
        self.registry
            .plugins()
            .moved
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn began(&self, stage: Stage) -> Result<(), Failed> {
        self.told(stage, None).map_err(at(stage))
    }

    fn passed(&self, stage: Stage, detail: Value) -> Result<(), Failed> {
        self.told(stage, Some(detail)).map_err(at(stage))
    }

    fn told(&self, stage: Stage, passed: Option<Value>) -> Result<(), StoreError> {
        let engine = &self.registry.engine;
        engine
            .store
            .activation_stage(&self.activation.id, stage, passed)?;
        engine.publisher.events_written();
        Ok(())
    }

    /// Everything up to publishing.
    async fn stages(&self) -> Result<(), Failed> {
        let Some(to) = &self.to else {
            return self.publish(None).await;
        };
        self.began(Stage::Verify)?;
        let (inspected, candidate) = self.verify(to).await.map_err(at(Stage::Verify))?;
        self.passed(
            Stage::Verify,
            json!({ "digest": inspected.digest, "size": inspected.size }),
        )?;

        self.began(Stage::Compile)?;
        let wants = grants::wants(&inspected.manifest, &inspected.imports);
        let missing = self.missing(to, &wants).map_err(at(Stage::Compare))?;
        let began = Instant::now();
        let prepared = self
            .compile(&candidate, &missing)
            .await
            .map_err(at(Stage::Compile))?;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.passed(Stage::Compile, json!({ "milliseconds": took }))?;

        self.began(Stage::Compare)?;
        if !missing.wants_no_more() {
            return Err(Failed(
                Stage::Compare,
                format!(
                    "it wants what it is not granted:\n{missing}install it again with --grant, or add to cofferdam.toml and start the host again:\n{}",
                    super::effective::lines(&to.id, &missing)
                ),
            ));
        }
        let names: Vec<&String> = wants.iter().map(|want| &want.interface).collect();
        self.passed(Stage::Compare, json!({ "granted": names }))?;

        self.began(Stage::SelfTest)?;
        let called = self_test(&prepared).await.map_err(at(Stage::SelfTest))?;
        self.passed(Stage::SelfTest, json!({ "called": called }))?;
        self.publish(Some(&candidate)).await
    }

    /// The component is what was installed, and is read anew.
    async fn verify(&self, to: &PluginVersion) -> Result<(Inspected, Candidate), String> {
        let registry = self.registry.clone();
        let to = to.clone();
        let verified = tokio::task::spawn_blocking(move || {
            let engine = &registry.engine;
            let bytes = engine.components.verified(&to.digest)?;
            let host = registry.plugins().host().map_err(|e| e.to_string())?;
            let inspected = host.inspect(&bytes).map_err(|refusal| refusal.reason)?;
            let manifest = &inspected.manifest;
            if inspected.digest != to.digest
                || manifest.id != to.id
                || manifest.version != to.version
            {
                return Err(format!(
                    "the component says that it is {} {}, and {} {} was installed",
                    manifest.id, manifest.version, to.id, to.version
                ));
            }
            let candidate = registry.plugins().candidate(&engine.components, &to)?;
            Ok((inspected, candidate))
        });
        verified.await.map_err(|error| error.to_string())?
    }

    /// What it wants and is not granted now; the configuration may be another one than when
    /// it was installed.
    fn missing(&self, to: &PluginVersion, wants: &[Want]) -> Result<Difference, String> {
        let installed = wants_of(to);
        let claim = Claim {
            wants,
            configured: self.registry.plugins().grants.get(&to.id),
            active: Some((&installed, &to.grants)),
        };
        let Settled { missing, .. } = claim.settle(&Approval::Nothing)?;
        Ok(missing)
    }

    /// Compiles it, linked to what it wants also where that is missing: nothing of it runs
    /// before the next stage has refused it.
    async fn compile(
        &self,
        candidate: &Candidate,
        missing: &Difference,
    ) -> Result<Prepared, String> {
        let mut candidate = candidate.clone();
        if !missing.wants_no_more() {
            candidate.grants = supposed(&candidate.grants, missing)?;
        }
        let host = self.registry.plugins().host().map_err(|e| e.to_string())?;
        let prepared = host.compile(&candidate).await.map_err(|r| r.reason)?;
        let found = prepared.ready.plugin().digest();
        if found != candidate.digest {
            return Err(format!("the digest of what was compiled is {found}"));
        }
        Ok(prepared)
    }

    /// From here on what begins begins with the new version.
    async fn publish(&self, to: Option<&Candidate>) -> Result<(), Failed> {
        self.began(Stage::Publish)?;
        let failed = at(Stage::Publish);
        let registry = &self.registry;
        let plugins = registry.plugins();
        let plugin = self.activation.plugin.as_str();
        let _alone = plugins.publishing.lock().await;
        let host = plugins.host().map_err(at(Stage::Publish))?;
        let before = registry.active(None).map_err(at(Stage::Publish))?;
        let after = registry
            .active(Some((plugin, to)))
            .map_err(at(Stage::Publish))?;
        let publisher = Arc::clone(host);
        blocking(move || publisher.publish(&after))
            .await
            .map_err(&failed)?;
        let (store, id) = (registry.engine.store.clone(), self.activation.id.clone());
        let written = tokio::task::spawn_blocking(move || store.publish_activation(&id)).await;
        let written = match written {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = written {
            // Memory follows the store: after a restart the old version would serve.
            let publisher = Arc::clone(host);
            if let Err(error) = blocking(move || publisher.publish(&before)).await {
                tracing::error!(%error, "the old plugins cannot be published again");
            }
            return Err(failed(reason));
        }
        plugins.is_mended(plugin);
        if let Some(to) = to {
            registry.bring_back(&to.digest, &self.activation.actor);
        }
        registry.engine.publisher.events_written();
        Ok(())
    }

    /// Waits for the old version's calls, and lets its code go.
    async fn retire(&self) -> Result<(), StoreError> {
        let engine = &self.registry.engine;
        let plugins = self.registry.plugins();
        self.told(Stage::Drain, None)?;
        let to = self.activation.to.as_ref().map(|to| &to.digest);
        let old = self.activation.from.as_ref();
        let old = old.filter(|from| Some(&from.digest) != to);
        let mut detail = Map::new();
        if let Some(old) = old {
            let calls = plugins.watch.going_on(&old.digest);
            detail.insert("calls".to_owned(), json!(calls));
            tokio::select! {
                () = plugins.watch.idle(&old.digest) => {}
                // The next host ends what is published.
                () = engine.left() => return Ok(()),
            }
        }
        self.told(Stage::Drain, Some(Value::Object(detail)))?;
        self.told(Stage::Retire, None)?;
        if let (Some(old), Ok(host)) = (old, plugins.host()) {
            host.retire(&old.digest);
        }
        engine.store.end_activation(&self.activation.id, None)?;
        engine.publisher.events_written();
        Ok(())
    }
}

/// The grants as if the proposals for what is missing were granted.
fn supposed(granted: &PluginGrants, missing: &Difference) -> Result<PluginGrants, String> {
    let mut approved = Map::new();
    let added = missing
        .added
        .iter()
        .map(|want| (&want.interface, &want.grant));
    let widened = missing.widened.iter().map(|w| (&w.interface, &w.after));
    for (interface, grant) in added.chain(widened) {
        let key = grants::key(interface).to_owned();
        approved.insert(key, Value::Object(grant.clone()));
    }
    super::effective::effective(Some(granted), &approved)
}
