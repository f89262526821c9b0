//! Installing: what a file is, what it wants, who granted it that; then it is written down.

use super::effective::{Claim, Settled, lines, scopes};
use super::{Approval, Asks, Inspected, PluginRegistry, PluginsError, Proposal, Version};
use crate::identity::{Actor, EVERY_PROJECT};
use cofferdam_contract::grants::{self, Want};
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{NewPluginVersion, PluginVersion, Role};
use serde_json::json;

/// A file that was looked at, and what it would be compared with.
struct Looked {
    inspected: Inspected,
    wants: Vec<Want>,
    /// The active version, and what it wants.
    active: Option<(PluginVersion, Vec<Want>)>,
}

/// What a version wants, as it was written down when it was installed.
pub(super) fn wants_of(version: &PluginVersion) -> Vec<Want> {
    // What this host wrote it can read; where it cannot, the plugin wanted nothing that is
    // known, and all it wants now is new.
    serde_json::from_value(version.wants.clone()).unwrap_or_default()
}

impl PluginRegistry {
    /// What installing this component would mean: what it is, what it wants, what is
    /// missing. Nothing is run and nothing changed. For admins of all projects.
    ///
    /// # Errors
    /// [`PluginsError::Refused`] for what is no plugin, [`PluginsError::Identity`],
    /// [`PluginsError::Store`].
    pub async fn propose(
        &self,
        actor: &Actor,
        component: Vec<u8>,
    ) -> Result<Proposal, PluginsError> {
        let actor = actor.clone();
        self.blocking(move |registry| {
            registry.require(&actor)?;
            let looked = registry.look(&component)?;
            let settled = registry.settle(&looked, &Approval::Nothing)?;
            let Looked {
                inspected,
                wants,
                active,
            } = looked;
            let before: &[Want] = active.as_ref().map_or(&[], |(_, wants)| wants);
            let known = registry.engine.store.plugin_of_digest(&inspected.digest)?;
            Ok(Proposal {
                difference: grants::difference(before, &wants),
                lines: lines(&inspected.manifest.id, &settled.missing),
                missing: settled.missing,
                left_out: settled.left_out,
                active: active.map(|(version, _)| version.version),
                installed: known.is_some(),
                kind: inspected.kind,
                digest: inspected.digest,
                size: inspected.size,
                imports: inspected.imports,
                manifest: inspected.manifest,
                wants,
            })
        })
        .await
    }

    /// Installs a component: keeps it by its digest and writes it down with what is granted
    /// to it. It does not serve before it is activated. Installing the same file again
    /// changes nothing but its grants. For admins of all projects.
    ///
    /// # Errors
    /// [`PluginsError::NeedsGrant`] where it wants more than what was granted,
    /// [`PluginsError::Refused`] for what is no plugin or grants that cannot be used,
    /// [`PluginsError::Store`] with `conflict` where this version is installed with another
    /// digest; [`PluginsError::Component`], [`PluginsError::Identity`].
    pub async fn install(
        &self,
        actor: &Actor,
        component: Vec<u8>,
        approval: Approval,
    ) -> Result<Version, PluginsError> {
        let owner = actor.clone();
        let (version, republish) = self
            .blocking(move |registry| registry.write_down(&owner, &component, &approval))
            .await?;
        if republish {
            self.republish(&version.id).await?;
        }
        self.version(&version.id, &version.version)
    }

    pub(super) fn require(&self, actor: &Actor) -> Result<(), PluginsError> {
        let identity = &self.engine.identity;
        identity.require(actor, EVERY_PROJECT, Role::Admin)?;
        if self.engine.is_leaving() {
            return Err(PluginsError::Leaving);
        }
        Ok(())
    }

    fn look(&self, component: &[u8]) -> Result<Looked, PluginsError> {
        let host = self.plugins().host()?;
        let inspected = host.inspect(component).map_err(refused)?;
        let wants = grants::wants(&inspected.manifest, &inspected.imports);
        let active = self
            .engine
            .store
            .plugin_versions(Some(&inspected.manifest.id))?
            .into_iter()
            .find(|version| version.active_since.is_some())
            .map(|version| {
                let wants = wants_of(&version);
                (version, wants)
            });
        Ok(Looked {
            inspected,
            wants,
            active,
        })
    }

    fn settle(&self, looked: &Looked, approval: &Approval) -> Result<Settled, PluginsError> {
        let claim = Claim {
            wants: &looked.wants,
            configured: self.plugins().grants.get(&looked.inspected.manifest.id),
            active: looked
                .active
                .as_ref()
                .map(|(version, wants)| (wants.as_slice(), &version.grants)),
        };
        claim.settle(approval).map_err(unusable)
    }

    fn write_down(
        &self,
        actor: &Actor,
        component: &[u8],
        approval: &Approval,
    ) -> Result<(PluginVersion, bool), PluginsError> {
        self.require(actor)?;
        let looked = self.look(component)?;
        let Settled {
            approved, missing, ..
        } = self.settle(&looked, approval)?;
        let Looked {
            inspected,
            wants,
            active,
        } = looked;
        let manifest = &inspected.manifest;
        if !missing.wants_no_more() {
            return Err(PluginsError::NeedsGrant {
                plugin: manifest.id.clone(),
                version: manifest.version.clone(),
                asks: Box::new(Asks {
                    active: active.map(|(version, _)| version.version),
                    lines: lines(&manifest.id, &missing),
                    missing,
                }),
            });
        }
        let configured = self.plugins().grants.get(&manifest.id);
        scopes(&manifest.id, configured, &approved).map_err(unusable)?;
        self.engine
            .components
            .keep_bytes(&inspected.digest, component)
            .map_err(|(reason, code)| PluginsError::Component { reason, code })?;
        let new = NewPluginVersion {
            digest: inspected.digest.clone(),
            id: manifest.id.clone(),
            version: manifest.version.clone(),
            kind: inspected.kind.to_string(),
            summary: manifest.summary.clone(),
            size: inspected.size,
            imports: inspected.imports.clone(),
            wants: json!(wants),
            grants: approved,
        };
        let audit = actor.audit(
            "plugin.install",
            &format!("{}@{}", new.id, new.version),
            None,
            json!({ "digest": new.digest, "grants": new.grants }),
        );
        let (version, events) = self.engine.store.install_plugin(&new, &audit)?;
        self.plugins()
            .set_grants(&version.id, &version.digest, &version.grants)
            .map_err(unusable)?;
        self.engine.publisher.events_written();
        // What it was granted may be another thing now, and what was damaged is whole.
        let changed = !events.is_empty() || self.plugins().problem(&version.id).is_some();
        let republish = changed && version.active_since.is_some();
        Ok((version, republish))
    }
}

fn refused(refusal: super::Refusal) -> PluginsError {
    PluginsError::Refused {
        reason: refusal.reason,
        code: refusal.code,
    }
}

fn unusable(reason: String) -> PluginsError {
    PluginsError::Refused {
        reason: format!("its grants cannot be used: {reason}"),
        code: ErrorCode::Invalid,
    }
}
