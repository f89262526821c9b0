//! Why something that was asked of installed plugins was not done.

use crate::identity::{IdentityError, store_code};
use cofferdam_contract::grants::Difference;
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::StoreError;

/// Why something that was asked of installed plugins was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PluginsError {
    /// The file is no plugin that this host can load.
    #[error("the file is no plugin for this host: {reason}")]
    Refused {
        /// What is wrong with it, and what to do.
        reason: String,
        /// The contract's code.
        code: ErrorCode,
    },
    /// It wants what nobody has granted to it.
    #[error(
        "{plugin} {version} wants what it was not granted:\n{}grant it with the installation (--grant), or narrower in cofferdam.toml:\n{}",
        asks.missing, asks.lines
    )]
    NeedsGrant {
        /// The plugin's id.
        plugin: String,
        /// The version that was to be installed.
        version: String,
        /// What it wants.
        asks: Box<Asks>,
    },
    /// There is no version to go back to.
    #[error("there is no version of {plugin} to go back to: {reason}; activate one by its number")]
    NothingBefore {
        /// The plugin's id.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// The component could not be kept.
    #[error("the component cannot be kept: {reason}")]
    Component {
        /// Why, and what to do.
        reason: String,
        /// The contract's code.
        code: ErrorCode,
    },
    /// The actor may not.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store: no such plugin or version, or its state does not allow it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host is shutting down.
    #[error("the host is shutting down; ask again when it is back")]
    Leaving,
    /// The host itself failed.
    #[error("the host failed: {0}")]
    Host(String),
}

/// What a version asks for that it was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// The active version, if there is one: what it was granted counts for the new one too.
    pub active: Option<String>,
    /// What is not granted: added, or wanted with a wider scope than before.
    pub missing: Difference,
    /// The lines of `cofferdam.toml` that would grant all of it as the plugin proposes.
    pub lines: String,
}

impl PluginsError {
    /// The contract's code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused { code, .. } | Self::Component { code, .. } => *code,
            Self::NeedsGrant { .. } => ErrorCode::Denied,
            Self::NothingBefore { .. } => ErrorCode::Conflict,
            Self::Identity(error) => error.code(),
            Self::Store(error) => store_code(error),
            Self::Leaving => ErrorCode::Unavailable,
            Self::Host(_) => ErrorCode::Other,
        }
    }
}
