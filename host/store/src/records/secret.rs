//! What may be said about a secret.

use serde::{Deserialize, Serialize};

use crate::Time;

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecretInfo {
    /// The project it belongs to.
    pub project: String,
    /// Its name, unique in the project.
    pub name: String,
    /// When it was set first.
    pub created: Time,
    /// When it was set last.
    pub updated: Time,
}
