//! The call that is going on.

use cofferdam_contract::services::Context;
use cofferdam_contract::types::{Level, Timestamp};

/// A run of the kit.
pub(crate) struct Run {
    /// What it calls itself: two runs have two names.
    pub(crate) id: &'static str,
    /// The plan's time, in seconds since 1970.
    pub(crate) now: i64,
    /// Whether it was cancelled before it began.
    pub(crate) cancelled: bool,
}

impl Context for Run {
    fn run_id(&self) -> String {
        self.id.to_owned()
    }
    fn cancelled(&self) -> bool {
        self.cancelled
    }
    fn now(&self) -> Timestamp {
        Timestamp {
            seconds: self.now,
            nanoseconds: 0,
        }
    }
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, _: &str, _: Level, _: &str, _: &[(String, String)]) {}
}
