//! Users and what they may do.

use serde::{Deserialize, Serialize};

use crate::Time;
use crate::names::words;

words! {
    /// What one may do in a project. Each role includes those before it.
    Role: "role" {
        /// See everything but secrets.
        Read = "read",
        /// Start, approve and cancel runs.
        Deploy = "deploy",
        /// Everything.
        Admin = "admin",
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// The name, unique.
    pub name: String,
    /// When it was created.
    pub created: Time,
    /// Whether its tokens and grants count for nothing at the moment.
    pub disabled: bool,
}

/// A role that a user has for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoleBinding {
    /// The user.
    pub user: String,
    /// The project, or `*` for all.
    pub project: String,
    /// The role.
    pub role: Role,
}

/// A token to be created; see [`Token`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// From [`new_token_id`](crate::new_token_id).
    pub id: String,
    /// The user it stands for.
    pub user: String,
    /// What it is for.
    pub label: String,
    /// The hash of its secret, in the PHC string format.
    pub hash: String,
    /// When it ceases to count.
    pub expires: Option<Time>,
}

/// A token. Its secret is known to its bearer only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Token {
    /// `tok-` and a ULID.
    pub id: String,
    /// The user it stands for.
    pub user: String,
    /// What it is for.
    pub label: String,
    /// The hash of its secret, in the PHC string format; never in JSON.
    #[serde(skip)]
    pub hash: String,
    /// When it was created.
    pub created: Time,
    /// When it ceases to count.
    pub expires: Option<Time>,
    /// When it was revoked.
    pub revoked: Option<Time>,
    /// When it was used last, to the minute or so.
    pub last_used: Option<Time>,
}

/// A grant to be created; see [`Grant`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// From [`new_grant_id`](crate::new_grant_id).
    pub id: String,
    /// The user.
    pub user: String,
    /// The project, or `*` for all.
    pub project: String,
    /// The role.
    pub role: Role,
    /// Why it is given.
    pub reason: String,
    /// Who gives it.
    pub granted_by: String,
    /// When it ceases to count.
    pub expires: Time,
}

/// A role that a user has for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Grant {
    /// `grt-` and a ULID.
    pub id: String,
    /// The user.
    pub user: String,
    /// The project, or `*` for all.
    pub project: String,
    /// The role.
    pub role: Role,
    /// Why it was given.
    pub reason: String,
    /// Who gave it.
    pub granted_by: String,
    /// When.
    pub created: Time,
    /// When it ceases to count.
    pub expires: Time,
    /// When it was revoked.
    pub revoked: Option<Time>,
}

/// Which grants a list shows: those that fit every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrantFilter {
    /// Of this user.
    pub user: Option<String>,
    /// For one of these projects; none for all.
    pub projects: Option<Vec<String>>,
    /// Counting at this moment.
    pub active_at: Option<Time>,
}

/// A role that a user has at a moment, by a binding or a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EffectiveRole {
    /// The project, or `*` for all.
    pub project: String,
    /// The role.
    pub role: Role,
    /// The grant it comes from; none for a binding.
    pub grant: Option<String>,
    /// When it ceases to count.
    pub expires: Option<Time>,
}
