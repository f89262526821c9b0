//! How the program ends.

use crate::render::safe;
use cofferdam_disk::DiskError;
use cofferdam_orchestrator::MigrateError;
use std::process::ExitCode;

/// Something failed; the message says what.
pub const FAILED: u8 = 1;
/// The plan was shown and not approved.
pub const NOT_APPROVED: u8 = 3;
/// The guest cannot be migrated as it is: a plugin blocked the plan, or there is no
/// operating system.
pub const BLOCKED: u8 = 4;
/// The plan given to `--apply` no longer fits.
pub const OUTDATED: u8 = 5;
/// Stopped by the user.
pub const CANCELLED: u8 = 130;

/// A plan that nobody approved.
#[derive(Debug, thiserror::Error)]
#[error(
    "the plan was not approved; nothing was written. Answer y, pass --yes, or save it with --plan FILE and run it with --apply FILE"
)]
pub struct NotApproved;

/// Prints the error with its causes and gives the code that fits it.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", safe(&error.to_string()));
    let mut shown = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Transparent wrappers repeat what they wrap.
        if !shown.contains(&cause) {
            eprintln!("  caused by: {}", safe(&cause));
        }
        shown = cause;
    }
    ExitCode::from(code(error))
}

fn code(error: &anyhow::Error) -> u8 {
    if error.is::<NotApproved>() {
        return NOT_APPROVED;
    }
    if let Some(DiskError::Cancelled) = error.downcast_ref::<DiskError>() {
        return CANCELLED;
    }
    match error.downcast_ref::<MigrateError>() {
        Some(MigrateError::Blocked { .. } | MigrateError::NoOperatingSystem { .. }) => BLOCKED,
        Some(MigrateError::PlanOutdated { .. } | MigrateError::PlanNotReproduced { .. }) => {
            OUTDATED
        }
        Some(MigrateError::Cancelled) => CANCELLED,
        _ => FAILED,
    }
}
