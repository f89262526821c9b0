//! Failures as the journal keeps them: the contract's error record with secrets taken out.

use crate::redact::Redactor;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_store::Problem;
use std::time::Duration;

/// The longest message or hint that is kept, bytes.
const LONGEST: usize = 16 * 1024;

/// The codes and how they are written (`wit/types`).
const CODES: [(ErrorCode, &str); 14] = [
    (ErrorCode::NotFound, "not-found"),
    (ErrorCode::Denied, "denied"),
    (ErrorCode::Invalid, "invalid"),
    (ErrorCode::Conflict, "conflict"),
    (ErrorCode::Unavailable, "unavailable"),
    (ErrorCode::Timeout, "timeout"),
    (ErrorCode::Cancelled, "cancelled"),
    (ErrorCode::Limit, "limit"),
    (ErrorCode::Unsupported, "unsupported"),
    (ErrorCode::NoSpace, "no-space"),
    (ErrorCode::Corrupt, "corrupt"),
    (ErrorCode::Exists, "exists"),
    (ErrorCode::Locked, "locked"),
    (ErrorCode::Other, "other"),
];

/// How a code is written.
pub fn code_name(code: ErrorCode) -> &'static str {
    CODES
        .iter()
        .find(|(known, _)| *known == code)
        .map_or("other", |(_, name)| name)
}

/// The code that is written so; `other` for one that is not known.
pub fn code_of(name: &str) -> ErrorCode {
    CODES
        .iter()
        .find(|(_, known)| *known == name)
        .map_or(ErrorCode::Other, |(code, _)| *code)
}

/// A problem of this code.
pub fn problem(code: ErrorCode, message: impl Into<String>) -> Problem {
    Problem::new(code_name(code), message)
}

/// When the error said that trying again makes sense.
pub fn retry_after(problem: &Problem) -> Option<Duration> {
    problem
        .retry_after
        .map(|ms| Duration::from_millis(u64::from(ms)))
}

/// A failed call as the journal keeps it.
pub fn of_call(error: &CallError, redactor: &Redactor) -> Problem {
    let returned = error.returned();
    // The hint has a field of its own.
    let message = match returned {
        Some(returned) => format!("{}: {}", error.callee(), returned.message),
        None => error.to_string(),
    };
    let mut problem = problem(error.code(), kept(&message, redactor));
    problem.hint = returned
        .and_then(|error| error.hint.as_deref())
        .map(|hint| kept(hint, redactor));
    problem.retry_after = returned.and_then(|error| error.retry_after);
    problem
}

/// An error record as the journal keeps it.
pub fn of_error(error: &Error, redactor: &Redactor) -> Problem {
    let mut problem = problem(error.code, kept(&error.message, redactor));
    problem.hint = error.hint.as_deref().map(|hint| kept(hint, redactor));
    problem.retry_after = error.retry_after;
    problem
}

fn kept(text: &str, redactor: &Redactor) -> String {
    // Redacted before it is cut: half a secret would not be recognised.
    let text = redactor.text(text);
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let kept = text.get(..end).unwrap_or_default();
    if kept.len() < text.len() {
        format!("{kept}…")
    } else {
        kept.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_contract::failure::Callee;

    #[test]
    fn codes_are_written_and_read() {
        for (code, name) in CODES {
            assert_eq!(code_name(code), name);
            assert_eq!(code_of(name), code);
        }
        assert_eq!(code_of("new"), ErrorCode::Other);
    }

    #[test]
    fn secrets_do_not_reach_the_journal() {
        let redactor = Redactor::new();
        redactor.remember(b"hunter2hunter2");
        let error = CallError::Returned {
            callee: Callee {
                plugin: "command".to_owned(),
                call: "execute".to_owned(),
            },
            error: Error {
                retry_after: Some(250),
                ..Error::new(ErrorCode::Unavailable, "login hunter2hunter2 refused")
                    .with_hint("not hunter2hunter2")
            },
        };
        let problem = of_call(&error, &redactor);
        assert_eq!(problem.code, "unavailable");
        assert_eq!(problem.retry_after, Some(250));
        let text = serde_json::to_string(&problem).unwrap();
        assert!(!text.contains("hunter2") && text.contains("***"), "{text}");
        let long = "ü".repeat(LONGEST);
        assert!(of_error(&Error::invalid(long), &redactor).message.len() <= LONGEST + 3);
    }
}
