//! One file a resource. Each route says in its OpenAPI extensions which role it needs
//! (`x-cofferdam-role`) and where (`x-cofferdam-scope`); the tests hold every route to it.
//!
//! Scopes: `project` that of the thing (404 for who may not read it), `host` all projects,
//! `any-project` at least one, `list` shows what one may see, `own` what is the caller's,
//! `shown` what the caller is shown in a list (404 for the rest).

pub mod approvals;
pub mod audit;
pub mod disks;
pub mod events;
pub mod grants;
pub mod meta;
pub mod plugins;
pub mod runs;
pub mod secrets;
pub mod tokens;
pub mod users;
pub mod whoami;
pub mod workflows;

use crate::problem::Problem;
use cofferdam_store::Time;
use std::time::Duration;

/// The project of requests that name none.
pub const DEFAULT_PROJECT: &str = "default";

/// The time that is `seconds` from now.
pub fn expiry(seconds: u64) -> Time {
    Time::now().plus(Duration::from_secs(seconds))
}

/// The longest comment or reason, characters.
const LONGEST_REMARK: usize = 4096;

/// Refuses a comment or reason that is too long to be read.
pub fn check_remark(what: &str, text: Option<&str>) -> Result<(), Problem> {
    if text.is_some_and(|text| text.chars().count() > LONGEST_REMARK) {
        return Err(Problem::invalid(format!(
            "the {what} has more than {LONGEST_REMARK} characters"
        )));
    }
    Ok(())
}
