//! Identifiers: a prefix that says what it names, and a ULID
//! (<https://github.com/ulid/spec>), so that they sort by the time of their making.

use std::sync::{Mutex, PoisonError};

use ulid::Generator;

static GENERATOR: Mutex<Generator> = Mutex::new(Generator::new());

fn new_id(prefix: &str) -> String {
    let mut generator = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    // Within one millisecond the generator counts upwards, so that the ids of one
    // process ascend strictly.
    let ulid = generator
        .generate()
        .unwrap_or_else(|overflow| overflow.commit_overflow_increment());
    format!("{prefix}-{ulid}")
}

/// A new run's id: `run-` and a ULID.
pub fn new_run_id() -> String {
    new_id("run")
}

/// A new token's id: `tok-` and a ULID. It is not the token's secret.
pub fn new_token_id() -> String {
    new_id("tok")
}

/// A new just-in-time grant's id: `grt-` and a ULID.
pub fn new_grant_id() -> String {
    new_id("grt")
}

/// A new activation's id: `act-` and a ULID.
pub fn new_activation_id() -> String {
    new_id("act")
}

/// Whether `text` is what [`new_id`] makes with this prefix.
pub(crate) fn is_id(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|ulid| Some((ulid, ulid::Ulid::from_string(ulid).ok()?)))
        .is_some_and(|(ulid, parsed)| parsed.to_string() == ulid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_and_name_their_kind() {
        let ids: Vec<String> = (0..10_000).map(|_| new_run_id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(
            ids.iter()
                .all(|id| id.starts_with("run-") && id.len() == 30)
        );
        assert!(new_token_id().starts_with("tok-"));
        assert!(new_grant_id().starts_with("grt-"));
        assert!(new_activation_id().starts_with("act-"));
        let run = new_run_id();
        assert!(is_id("run", &run));
        let lower = run.to_lowercase();
        for other in ["", "run", "run-", "run-zzz", "aaa", "zzz", &lower] {
            assert!(!is_id("run", other), "{other:?}");
        }
        assert!(!is_id("run", &new_token_id()));
        assert!(!is_id("run", &format!("{run}0")));
    }
}
