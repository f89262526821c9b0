//! Installed plugins, their activations, and their crashes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Time;
use crate::names::words;

words! {
    /// What an activation does, in this order.
    Stage: "stage" {
        /// The component in the store is the one that was installed.
        Verify = "verify",
        /// It is compiled (or found compiled) and linked to what it may import.
        Compile = "compile",
        /// What it wants is covered by what the operator granted.
        Compare = "compare",
        /// It is called once where that has no effect.
        SelfTest = "self-test",
        /// From one moment on, what begins begins with the new version.
        Publish = "publish",
        /// Calls of the old version that are going on come to their end.
        Drain = "drain",
        /// The old version's code is let go; runs that began with it load it by digest.
        Retire = "retire",
    }
}

words! {
    /// Why a version was to become active.
    Cause: "cause" {
        /// Somebody said so.
        Activate = "activate",
        /// Somebody wanted the version before.
        Rollback = "rollback",
        /// The version before came back because the active one crashed too often.
        Crashes = "crashes",
        /// The active version was removed, and no other took its place.
        Remove = "remove",
    }
}

words! {
    /// What became of an activation.
    ActivationOutcome: "activation outcome" {
        /// It goes on, and the old version serves.
        GoingOn = "going-on",
        /// The new version serves. Calls of the old one may still be going on, until the
        /// activation is finished.
        Active = "active",
        /// The old version serves; `stage` and `reason` say why.
        Failed = "failed",
    }
}

/// One version of a plugin, to be installed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPluginVersion {
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its kind: `workflow-step`, `fixer`, ...
    pub kind: String,
    /// One sentence on what it does.
    pub summary: String,
    /// The component's size in bytes.
    pub size: u64,
    /// The interfaces it imports, WASI apart.
    pub imports: Vec<String>,
    /// What it wants beyond what its kind always has; a list.
    pub wants: Value,
    /// What the operator granted to it, by the keys of `[plugins.ID.grants]`.
    pub grants: Map<String, Value>,
}

/// An installed version of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PluginVersion {
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
    /// Its kind: `workflow-step`, `fixer`, ...
    pub kind: String,
    /// One sentence on what it does.
    pub summary: String,
    /// The component's size in bytes.
    pub size: u64,
    /// The interfaces it imports, WASI apart.
    pub imports: Vec<String>,
    /// What it wants beyond what its kind always has; a list.
    pub wants: Value,
    /// What the operator granted to it, by the keys of `[plugins.ID.grants]`.
    pub grants: Map<String, Value>,
    /// When it was installed.
    pub installed: Time,
    /// Who installed it.
    pub actor: String,
    /// Since when it is the active version; none where it is not.
    pub active_since: Option<Time>,
}

/// A version as histories name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionName {
    /// The version.
    pub version: String,
    /// SHA-256 of its component, hexadecimal.
    pub digest: String,
}

/// An activation to be begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewActivation {
    /// From [`new_activation_id`](crate::new_activation_id).
    pub id: String,
    /// The plugin's id.
    pub plugin: String,
    /// Why.
    pub cause: Cause,
    /// The active version; none where the plugin has none.
    pub from: Option<VersionName>,
    /// The version that is to be active; none where the plugin is to have none.
    pub to: Option<VersionName>,
}

/// One activation: a try to make a version the active one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Activation {
    /// `act-` and a ULID; ids ascend with time.
    pub id: String,
    /// The plugin's id.
    pub plugin: String,
    /// Why.
    pub cause: Cause,
    /// Who wanted it.
    pub actor: String,
    /// The version that was active; none where there was none.
    pub from: Option<VersionName>,
    /// The version that was to be active; none where the plugin was to have none.
    pub to: Option<VersionName>,
    /// The stage that was begun last.
    pub stage: Stage,
    /// What became of it.
    pub outcome: ActivationOutcome,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it began.
    pub started: Time,
    /// When it ended, draining and retiring included.
    pub finished: Option<Time>,
}

/// A call that a plugin did not survive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Crash {
    /// Which call: `execute`, `fix`, ...
    pub call: String,
    /// The trap or limit, in one line.
    pub reason: String,
    /// The run.
    pub run: Option<String>,
    /// When.
    pub at: Time,
}

/// A version that is not called any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quarantine {
    /// The plugin's id.
    pub plugin: String,
    /// The version.
    pub version: String,
    /// SHA-256 of its component, hexadecimal.
    pub digest: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Time,
}
