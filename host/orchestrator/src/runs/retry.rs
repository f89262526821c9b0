//! When a step is tried again, and how long it waits until then.

use super::workflow::Retry;
use cofferdam_contract::types::ErrorCode;
use std::time::Duration;

/// What is wrong with a retry policy, if anything.
pub fn problem(retry: &Retry) -> Option<String> {
    if !(1..=100).contains(&retry.attempts) {
        return Some(format!("attempts is {}, not 1 to 100", retry.attempts));
    }
    if !(1.0..=10.0).contains(&retry.factor) {
        return Some(format!("factor is {}, not 1 to 10", retry.factor));
    }
    if !(0.0..=1.0).contains(&retry.jitter) {
        return Some(format!("jitter is {}, not 0 to 1", retry.jitter));
    }
    None
}

/// Whether an error may pass by itself.
pub fn is_retryable(code: ErrorCode, retry_after: Option<Duration>) -> bool {
    retry_after.is_some()
        || matches!(
            code,
            ErrorCode::Unavailable | ErrorCode::Timeout | ErrorCode::Locked
        )
}

/// How long to wait after `failures` attempts that failed (at least 1), or none when no
/// attempt is left. `chance` is a random number from 0 to 1. A wait is never shorter than
/// what the error asked for.
pub fn wait(
    retry: &Retry,
    failures: u32,
    retry_after: Option<Duration>,
    chance: f64,
) -> Option<Duration> {
    if failures >= retry.attempts {
        return None;
    }
    let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let grown = retry.delay.0.as_secs_f64() * retry.factor.powi(exponent);
    let capped = grown.min(retry.max_delay.0.as_secs_f64());
    let spread = 1.0 + retry.jitter * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
    let wait = Duration::try_from_secs_f64(capped * spread).unwrap_or(retry.max_delay.0);
    Some(wait.max(retry_after.unwrap_or_default()))
}

/// A random number from 0 to 1.
pub fn chance() -> f64 {
    let mut bytes = [0_u8; 4];
    // Without randomness the middle of the spread is taken: a wait without jitter.
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::workflow::Period;

    fn policy() -> Retry {
        Retry {
            attempts: 5,
            delay: Period(Duration::from_secs(1)),
            factor: 3.0,
            max_delay: Period(Duration::from_secs(10)),
            jitter: 0.5,
        }
    }

    #[test]
    fn waits_grow_to_their_cap_and_end() {
        let cases = [
            (1, None, 0.5, Some(1000)),
            (2, None, 0.5, Some(3000)),
            (3, None, 0.5, Some(9000)),
            (4, None, 0.5, Some(10_000)),
            (5, None, 0.5, None),
            (1, None, 0.0, Some(500)),
            (1, None, 1.0, Some(1500)),
            (1, Some(20), 0.5, Some(20_000)),
            (4, Some(1), 0.5, Some(10_000)),
        ];
        for (failures, after, chance, expected) in cases {
            let wait = wait(&policy(), failures, after.map(Duration::from_secs), chance);
            assert_eq!(
                wait.map(|wait| wait.as_millis()),
                expected,
                "{failures} {chance}"
            );
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (code, after, expected) in [
            (ErrorCode::Unavailable, None, true),
            (ErrorCode::Timeout, None, true),
            (ErrorCode::Locked, None, true),
            (ErrorCode::Invalid, None, false),
            (ErrorCode::Limit, None, false),
            (ErrorCode::Other, None, false),
            (ErrorCode::Limit, Some(Duration::from_secs(1)), true),
        ] {
            assert_eq!(is_retryable(code, after), expected, "{code:?}");
        }
    }

    #[test]
    fn policies_have_ranges() {
        assert_eq!(problem(&policy()), None);
        for (broken, part) in [
            (
                Retry {
                    attempts: 0,
                    ..policy()
                },
                "attempts",
            ),
            (
                Retry {
                    attempts: 101,
                    ..policy()
                },
                "attempts",
            ),
            (
                Retry {
                    factor: 0.5,
                    ..policy()
                },
                "factor",
            ),
            (
                Retry {
                    factor: f64::NAN,
                    ..policy()
                },
                "factor",
            ),
            (
                Retry {
                    jitter: 2.0,
                    ..policy()
                },
                "jitter",
            ),
        ] {
            assert!(problem(&broken).unwrap().contains(part));
        }
    }
}
