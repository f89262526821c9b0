//! What of a language's tools is missing, told before anything is built.

use super::languages::Missing;
use std::fmt::{Display, Formatter};

/// Tools that a build needs and this machine does not have.
#[derive(Debug, thiserror::Error)]
pub struct ToolsMissing(Vec<Missing>);

impl Display for ToolsMissing {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing was built, because tools are missing:")?;
        for Missing { what, install } in &self.0 {
            write!(f, "\n  {what}: {install}")?;
        }
        Ok(())
    }
}

/// Refuses where anything is missing.
pub fn none(missing: Vec<Missing>) -> Result<(), ToolsMissing> {
    if missing.is_empty() {
        return Ok(());
    }
    Err(ToolsMissing(missing))
}
