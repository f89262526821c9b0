//! The self-test of an activation: one call where it has no effect.
//!
//! Each kind is called over nothing: a disk source in an empty folder, a file system over a
//! device of zeros, an inspector without trees, a fixer over an empty guest, a step's
//! `validate` with an empty input. Whatever the plugin answers is fine, an error record
//! included, as long as it answers: that it starts, that its exports are what the contract
//! says, that it keeps to its limits and returns what is allowed is all that is tested.
//! Whether it does its work is not; what it records is thrown away.

mod nothing;

use super::host::{Prepared, Ready};
use crate::runs::{GivenFiles, looking};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, FixerGuest, SessionSlot};
use nothing::{Nothing, no_facts};
use std::sync::Arc;

/// The file that a disk source is asked about; there is none of the name.
const NO_FILE: &str = "self-test";

/// Calls the plugin once where that has no effect. Says what was called.
///
/// # Errors
/// How the call ended, where the plugin did not answer.
pub async fn self_test(prepared: &Prepared) -> Result<&'static str, CallError> {
    let nothing = Arc::new(Nothing);
    let call = Call {
        context: Arc::clone(&nothing) as _,
        settings: prepared.settings.clone(),
    };
    let (called, answer) = match &prepared.ready {
        Ready::DiskSource(source) => {
            let answer = source.discover(call, Arc::clone(&nothing) as _, nothing, NO_FILE);
            ("discover", answer.await.map(drop))
        }
        Ready::Filesystem(filesystem) => {
            let opened = filesystem.open(call, nothing, SessionSlot::unlimited());
            let answer = match opened.await {
                Ok(session) => session.probe().await.map(drop),
                Err(error) => Err(error),
            };
            ("probe", answer)
        }
        Ready::Inspector(inspector) => {
            let answer = inspector.inspect(call, Arc::clone(&nothing) as _, nothing);
            ("inspect", answer.await)
        }
        Ready::Fixer(fixer) => {
            let guest = FixerGuest {
                view: Arc::clone(&nothing) as _,
                facts: Arc::new(no_facts()),
                edits: nothing,
            };
            ("fix", fixer.fix(call, guest).await)
        }
        Ready::Step(step) => {
            let services = looking(Arc::new(GivenFiles(Vec::new())));
            ("validate", step.validate(call, services, "{}").await)
        }
    };
    match answer {
        Ok(()) | Err(CallError::Returned { .. }) => Ok(called),
        Err(error) => Err(error),
    }
}
