//! Who changed what, and requests that are made once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Time;

/// A change that someone makes, written down in the change's own transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAudit {
    /// The user.
    pub actor: String,
    /// `local`, or the id of the token that was used.
    pub via: String,
    /// The network address it came from.
    pub address: Option<String>,
    /// What was done: `run.start`, `grant.create`, ...
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// The project, where it belongs to one.
    pub project: Option<String>,
    /// More about it; an object without secrets.
    pub detail: Value,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditRecord {
    /// Its number, ascending.
    pub id: i64,
    /// When.
    pub at: Time,
    /// The user.
    pub actor: String,
    /// `local`, or the id of the token that was used.
    pub via: String,
    /// The network address it came from.
    pub address: Option<String>,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub target: String,
    /// The project, where it belongs to one.
    pub project: Option<String>,
    /// More about it.
    pub detail: Value,
}

/// Which audit records a list shows: those that fit every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditFilter {
    /// By this user.
    pub actor: Option<String>,
    /// This action; one that ends in a dot means all that begin so.
    pub action: Option<String>,
    /// To this target.
    pub target: Option<String>,
    /// Of these projects; none for all, those without a project included.
    pub projects: Option<Vec<String>>,
    /// At or after.
    pub since: Option<Time>,
    /// Before.
    pub until: Option<Time>,
}

/// The name that a client gave to a request, so that a repetition changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey {
    /// The user.
    pub actor: String,
    /// The client's key.
    pub key: String,
}

/// The answer to a request, kept to be given again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Its HTTP status.
    pub status: u16,
    /// Those of its headers that are given again, by name in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What is known about a request of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdempotencyClaim {
    /// Nothing: it is claimed now, and the caller has to answer it and then to
    /// complete or to release the claim.
    New,
    /// It is being answered, or the host was killed while it was.
    InProgress {
        /// The run it has made already.
        run: Option<String>,
        /// When it was claimed.
        since: Time,
    },
    /// It has been answered.
    Done(KeptAnswer),
    /// The same name came with another route or body before.
    Mismatch,
}
