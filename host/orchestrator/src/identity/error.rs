//! Why somebody may not.

use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{Role, StoreError};
use std::time::Duration;
use thiserror::Error;

/// Why a question of identity has no good answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Nobody known asks. It is not said which of the reasons holds, because whoever tries
    /// out tokens would learn from it.
    #[error(
        "the token is unknown, expired or revoked; ask an administrator for a new one, or make one on the host with `cofferdam token create`"
    )]
    Unauthenticated,
    /// Too many wrong tokens came from this address.
    #[error(
        "too many wrong tokens came from this address; try again in {} seconds with the right one",
        retry_after.as_secs().saturating_add(1)
    )]
    TooManyFailures {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The actor may see the thing, and not do this.
    #[error("{who} may not do this: it needs {needs}; ask an administrator for a role or a grant")]
    Denied {
        /// The actor's user.
        who: String,
        /// What it would take.
        needs: String,
    },
    /// The thing does not exist, or the actor may not know that it does.
    #[error("no {what} `{id}` exists, or you may not see it")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// An argument is malformed.
    #[error("the {what} is not valid: {reason}")]
    Invalid {
        /// Which argument.
        what: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The change would leave the host in a state that nobody wants.
    #[error("{0}")]
    Conflict(String),
    /// The store.
    #[error(transparent)]
    Store(StoreError),
    /// The host itself failed.
    #[error("the host failed: {0}")]
    Host(String),
}

impl IdentityError {
    pub(super) fn denied(user: &str, role: Role, project: &str) -> Self {
        Self::Denied {
            who: user.to_owned(),
            needs: if project == super::EVERY_PROJECT {
                format!("the role {role} for all projects")
            } else {
                format!("the role {role} for project `{project}`")
            },
        }
    }

    pub(crate) fn not_found(what: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound {
            what,
            id: id.into(),
        }
    }

    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            what,
            reason: reason.into(),
        }
    }

    /// The contract's code for this failure.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unauthenticated | Self::Denied { .. } => ErrorCode::Denied,
            Self::TooManyFailures { .. } => ErrorCode::Limit,
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Invalid { .. } => ErrorCode::Invalid,
            Self::Conflict(_) => ErrorCode::Conflict,
            Self::Store(error) => store_code(error),
            Self::Host(_) => ErrorCode::Other,
        }
    }

    /// How long to wait before trying again, where that helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyFailures { retry_after } => Some(*retry_after),
            _ => None,
        }
    }
}

impl From<StoreError> for IdentityError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what, id } => Self::NotFound { what, id },
            other => Self::Store(other),
        }
    }
}

/// The contract's code for a failure of the store.
pub(crate) fn store_code(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::NotFound { .. } => ErrorCode::NotFound,
        StoreError::Conflict { .. } => ErrorCode::Conflict,
        StoreError::Exists { .. } => ErrorCode::Exists,
        StoreError::Invalid { .. } => ErrorCode::Invalid,
        StoreError::Full { .. } => ErrorCode::NoSpace,
        StoreError::ReadOnly { .. } => ErrorCode::Denied,
        StoreError::Corrupt { .. } | StoreError::SecretUnreadable { .. } => ErrorCode::Corrupt,
        StoreError::Locked { .. } => ErrorCode::Locked,
        StoreError::NewerSchema { .. } => ErrorCode::Unsupported,
        _ => ErrorCode::Other,
    }
}
