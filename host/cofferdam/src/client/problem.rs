//! What an API call ended with instead of an answer.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

/// A problem-details object (RFC 9457), as the API sends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of problem, for people.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What happened this time, why, and what to do.
    #[serde(default)]
    pub detail: String,
    /// The contract's error code, such as `not-found`.
    #[serde(default)]
    pub code: String,
    /// Everything else that was sent.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Problem {
    /// Reads an answer that is no success; one that is no problem object is quoted.
    pub fn read(status: StatusCode, body: &[u8]) -> Self {
        let read: Option<Self> = serde_json::from_slice(body).ok();
        let mut problem = read.unwrap_or_else(|| Self {
            title: String::new(),
            status: 0,
            detail: String::from_utf8_lossy(body).chars().take(300).collect(),
            code: String::new(),
            more: Map::new(),
        });
        problem.status = status.as_u16();
        if problem.title.is_empty() {
            problem.title = status
                .canonical_reason()
                .unwrap_or("unknown status")
                .to_owned();
        }
        if problem.detail.is_empty() {
            problem.detail = format!(
                "the host answered {} {}",
                status.as_u16(),
                problem.title.to_lowercase()
            );
        }
        problem
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The host said no.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// There is nobody: the request was not sent.
    #[error(
        "cannot reach {host}: {reason}; is it running, and is the address (--server or COFFERDAM_SERVER) right?"
    )]
    NobodyListens {
        /// Who was asked.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// The server shows an authority's certificate as its own.
    #[error(
        "the certificate of {host} is an authority's own (CA:TRUE), and none of a server; make one with `openssl req -x509 … -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:NAME`, or sign the server's with that authority"
    )]
    Authority {
        /// Who was asked.
        host: String,
    },
    /// No answer came; whether the request was received is not known.
    #[error(
        "no answer from {host}: {reason}; look whether what was asked was done before asking again"
    )]
    Unreachable {
        /// Who was asked.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// An answer stopped in its middle.
    #[error("the answer of {host} broke off: {reason}; ask again")]
    Interrupted {
        /// Who was asked.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// An answer that this program does not understand.
    #[error(
        "the answer of {host} cannot be used: {reason}; is it a cofferdam host of this version?"
    )]
    Nonsense {
        /// Who was asked.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The client itself cannot be set up.
    #[error("{0}")]
    Setup(String),
}

impl ClientError {
    /// Whether it may be different a moment later: the server restarts.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::NobodyListens { .. } | Self::Unreachable { .. } | Self::Interrupted { .. } => {
                true
            }
            Self::Problem(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::Authority { .. } | Self::Nonsense { .. } | Self::Setup(_) => false,
        }
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_problem_object_still_says_something() {
        let problem = Problem::read(StatusCode::BAD_GATEWAY, b"<html>proxy</html>");
        assert_eq!(problem.status, 502);
        assert_eq!(problem.title, "Bad Gateway");
        assert_eq!(problem.detail, "<html>proxy</html>");
        let problem = Problem::read(StatusCode::NOT_FOUND, b"");
        assert_eq!(problem.detail, "the host answered 404 not found");
    }

    #[test]
    fn members_that_are_not_known_stay() {
        let sent = br#"{"type":"about:blank","title":"T","status":409,"detail":"D","code":"conflict","hint":"H"}"#;
        let problem = Problem::read(StatusCode::CONFLICT, sent);
        let again = serde_json::to_value(problem).unwrap();
        assert_eq!(again, serde_json::from_slice::<Value>(sent).unwrap());
    }
}
