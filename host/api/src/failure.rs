//! What the orchestrator's errors are over HTTP.

use crate::problem::{Code, Problem};
use axum::http::StatusCode;
use cofferdam_orchestrator::identity::IdentityError;
use cofferdam_orchestrator::plugins::PluginsError;
use cofferdam_orchestrator::runs::RunError;
use cofferdam_store::StoreError;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NotFound { .. } => Code::NotFound,
            StoreError::Conflict { .. } => Code::Conflict,
            StoreError::Exists { .. } => Code::Exists,
            StoreError::Invalid { .. } => Code::Invalid,
            StoreError::Full { .. } => Code::NoSpace,
            StoreError::Locked { .. } | StoreError::ReadOnly { .. } => {
                return faulty(Code::Unavailable, &error).retry_after(5);
            }
            StoreError::Corrupt { .. } | StoreError::SecretUnreadable { .. } => {
                return Self::with_status(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    Code::Corrupt,
                    error.to_string(),
                );
            }
            _ => return faulty(Code::Other, &error),
        };
        Self::new(code, error.to_string())
    }
}

fn faulty(code: Code, error: &StoreError) -> Problem {
    tracing::error!(%error, "the store failed");
    Problem::new(code, error.to_string())
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        let problem = match error {
            IdentityError::Store(error) => return error.into(),
            IdentityError::Unauthenticated => {
                Self::with_status(StatusCode::UNAUTHORIZED, Code::Denied, error.to_string())
            }
            IdentityError::TooManyFailures { .. } => Self::with_status(
                StatusCode::TOO_MANY_REQUESTS,
                Code::Limit,
                error.to_string(),
            ),
            _ => Self::new(error.code().into(), error.to_string()),
        };
        match error.retry_after() {
            Some(wait) => problem.retry_after(wait.as_secs().saturating_add(1)),
            None => problem,
        }
    }
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Identity(error) => error.into(),
            RunError::Store(error) => error.into(),
            RunError::Leaving => Self::new(Code::Unavailable, error.to_string()).retry_after(5),
            // What the request names inside its body is not the thing it is addressed to.
            RunError::File { .. } | RunError::Plugin { .. } | RunError::Step { .. } => {
                let mut problem = Self::new(error.code().into(), error.to_string());
                if !problem.status().is_server_error() {
                    problem = Self::with_status(
                        StatusCode::UNPROCESSABLE_ENTITY,
                        problem.code,
                        problem.detail,
                    );
                }
                problem
            }
            _ => Self::new(error.code().into(), error.to_string()),
        }
    }
}

impl From<PluginsError> for Problem {
    fn from(error: PluginsError) -> Self {
        match error {
            PluginsError::Identity(error) => error.into(),
            PluginsError::Store(error) => error.into(),
            PluginsError::Leaving => Self::new(Code::Unavailable, error.to_string()).retry_after(5),
            // The caller may do this; the plugin may not have what it wants. That is a state
            // of the host that the caller can change.
            PluginsError::NeedsGrant { .. } => {
                Self::with_status(StatusCode::CONFLICT, Code::Denied, error.to_string()).hint(
                    "grant it as the plugin proposes with `grant=true`, or less in the host's configuration",
                )
            }
            // The component that was sent, not the right to send it.
            PluginsError::Refused { .. } => Self::with_status(
                StatusCode::UNPROCESSABLE_ENTITY,
                error.code().into(),
                error.to_string(),
            ),
            _ => Self::new(error.code().into(), error.to_string()),
        }
    }
}
