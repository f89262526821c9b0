//! Workflows that are kept by name.

use serde::{Deserialize, Serialize};

use crate::Time;

/// A saved workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SavedWorkflow {
    /// The project it belongs to.
    pub project: String,
    /// Its name, unique in the project.
    pub name: String,
    /// Its text.
    pub source: String,
    /// SHA-256 of the text, hexadecimal.
    pub digest: String,
    /// When this text was saved.
    pub created: Time,
    /// Who saved it.
    pub actor: String,
}
