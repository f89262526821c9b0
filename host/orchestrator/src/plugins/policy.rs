//! What the operator wants done about a plugin that crashes.

use crate::runs::workflow::{Period, Retry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is done about a version that crashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CrashAction {
    /// The call fails, and nothing else happens.
    #[default]
    Fail,
    /// A step's attempt is made again after a while, as `attempts`, `delay` and `max-delay`
    /// say. The same input makes the other kinds crash again, so that their calls fail.
    Retry,
    /// After `crashes` within `within` the version is not called any more: runs that need
    /// it are parked until it is released or activated again.
    Quarantine,
    /// After `crashes` within `within` the version that was active before is activated, and
    /// this one goes to quarantine. Where there is none before, only the latter.
    RollBack,
}

/// `[plugins.ID.crash]`: what is done when calls of a plugin trap, are stopped at a limit,
/// or return what the contract does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CrashPolicy {
    /// What is done.
    pub policy: CrashAction,
    /// How many crashes it takes, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub crashes: u32,
    /// Within which time.
    pub within: Period,
    /// Attempts in all where attempts are made again, the first included, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// How long to wait before the second attempt; each further wait is twice as long.
    pub delay: Period,
    /// The longest wait.
    pub max_delay: Period,
}

impl Default for CrashPolicy {
    fn default() -> Self {
        Self {
            policy: CrashAction::Fail,
            crashes: 3,
            within: Period(Duration::from_secs(10 * 60)),
            attempts: 3,
            delay: Period(Duration::from_secs(1)),
            max_delay: Period(Duration::from_secs(60)),
        }
    }
}

impl CrashPolicy {
    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// The key, its value and what it may be, for people.
    pub fn check(&self) -> Result<(), String> {
        for (key, value) in [("crashes", self.crashes), ("attempts", self.attempts)] {
            if !(1..=100).contains(&value) {
                return Err(format!("{key} is {value}, not 1 to 100"));
            }
        }
        if self.within.0.is_zero() {
            return Err("within is no time at all; write for example 10m".to_owned());
        }
        Ok(())
    }

    /// The waits between attempts, where attempts are made again.
    pub(crate) fn retry(&self) -> Option<Retry> {
        (self.policy == CrashAction::Retry).then(|| Retry {
            attempts: self.attempts,
            delay: self.delay,
            max_delay: self.max_delay,
            ..Retry::default()
        })
    }

    /// After how many crashes within which time a version is not called any more.
    pub(crate) fn threshold(&self) -> Option<(usize, Duration)> {
        let counts = matches!(self.policy, CrashAction::Quarantine | CrashAction::RollBack);
        let crashes = usize::try_from(self.crashes).unwrap_or(usize::MAX);
        counts.then_some((crashes, self.within.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_failing() {
        let policy: CrashPolicy = toml::from_str("").unwrap();
        assert_eq!(policy, CrashPolicy::default());
        assert_eq!(policy.policy, CrashAction::Fail);
        assert_eq!(policy.retry(), None);
        assert_eq!(policy.threshold(), None);
    }

    #[test]
    fn policies_are_read_and_checked() {
        let policy: CrashPolicy =
            toml::from_str("policy = \"roll-back\"\ncrashes = 2\nwithin = \"1m\"").unwrap();
        assert_eq!(policy.threshold(), Some((2, Duration::from_secs(60))));
        assert_eq!(policy.check(), Ok(()));
        for (text, word) in [
            ("crashes = 0", "crashes is 0"),
            ("attempts = 101", "attempts is 101"),
            ("within = \"0s\"", "within is no time"),
        ] {
            let policy: CrashPolicy = toml::from_str(text).unwrap();
            assert!(policy.check().unwrap_err().contains(word), "{text}");
        }
        for text in ["policy = \"hope\"", "traps = 3"] {
            assert!(toml::from_str::<CrashPolicy>(text).is_err(), "{text}");
        }
    }
}
