//! What a migration's failures are to a run.
//!
//! Two codes are kept for what a caller has to tell apart: `unsupported` for a guest that
//! cannot be migrated as it is, `conflict` for a plan that no longer fits.

use super::About;
use crate::MigrateError;
use crate::migration::discover::contract_error;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_disk::DiskError;

/// The contract's error for a migration's.
pub fn error_of(error: &MigrateError) -> Error {
    let code = match error {
        MigrateError::Blocked { .. } | MigrateError::NoOperatingSystem { .. } => {
            ErrorCode::Unsupported
        }
        MigrateError::PlanOutdated { .. } | MigrateError::PlanNotReproduced { .. } => {
            ErrorCode::Conflict
        }
        MigrateError::Disk(error) => match contract_error(error).code {
            // Of an image; the guest in it was not seen.
            ErrorCode::Unsupported => ErrorCode::Invalid,
            code => code,
        },
        MigrateError::Plugin(failure) => match failure.code() {
            ErrorCode::Unsupported | ErrorCode::Conflict => ErrorCode::Other,
            code => code,
        },
        MigrateError::Cancelled => ErrorCode::Cancelled,
        MigrateError::UnknownSource { .. }
        | MigrateError::SameFile { .. }
        | MigrateError::BadPlan { .. }
        | MigrateError::Settings(_) => ErrorCode::Invalid,
        MigrateError::NoPlugins { .. } => ErrorCode::NotFound,
        MigrateError::File { source, .. } => {
            contract_error(&DiskError::io(
                "",
                None,
                std::io::Error::from(source.kind()),
            ))
            .code
        }
        _ => ErrorCode::Other,
    };
    Error::new(code, error.to_string())
}

impl About {
    /// A failure as the step's own answer.
    pub(super) fn failed(&self, call: &str) -> impl Fn(MigrateError) -> CallError {
        let answer = self.answered(call);
        move |error| answer(error_of(&error))
    }

    /// An error record as the step's own answer.
    pub(super) fn answered(&self, call: &str) -> impl Fn(Error) -> CallError + use<> {
        let callee = self.callee(call);
        move |error| CallError::Returned {
            callee: callee.clone(),
            error,
        }
    }
}
