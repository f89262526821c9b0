//! Every failure as a problem document (RFC 9457), whoever noticed it.
//!
//! The `code` member is the contract's error code, the same word that a plugin returns
//! and the command line shows; the HTTP status follows from it. Handlers return
//! [`Problem`]; what axum and tower answer by themselves (no such route, wrong method, a
//! panic) is turned into one by [`normalise`], so that a client parses one shape only.

use axum::body::Body;
use axum::extract::Request;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cofferdam_contract::types::{Error as ContractError, ErrorCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of a problem document (RFC 9457 section 3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The contract's error codes (`cofferdam:types/errors`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The thing named does not exist, or may not be seen.
    NotFound,
    /// The caller may not do that.
    Denied,
    /// The request is malformed.
    Invalid,
    /// The state of the thing does not allow it.
    Conflict,
    /// Something needed is not there now; the same request may succeed later.
    Unavailable,
    /// It took too long.
    Timeout,
    /// It was cancelled.
    Cancelled,
    /// A limit was reached.
    Limit,
    /// This is not supported.
    Unsupported,
    /// There is no room left.
    NoSpace,
    /// Data is damaged.
    Corrupt,
    /// It is there already.
    Exists,
    /// Somebody else holds it.
    Locked,
    /// Anything else; the host's log knows more.
    Other,
}

impl From<ErrorCode> for Code {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::Denied => Self::Denied,
            ErrorCode::Invalid => Self::Invalid,
            ErrorCode::Conflict => Self::Conflict,
            ErrorCode::Unavailable => Self::Unavailable,
            ErrorCode::Timeout => Self::Timeout,
            ErrorCode::Cancelled => Self::Cancelled,
            ErrorCode::Limit => Self::Limit,
            ErrorCode::Unsupported => Self::Unsupported,
            ErrorCode::NoSpace => Self::NoSpace,
            ErrorCode::Corrupt => Self::Corrupt,
            ErrorCode::Exists => Self::Exists,
            ErrorCode::Locked => Self::Locked,
            ErrorCode::Other => Self::Other,
        }
    }
}

impl Code {
    /// The status that a failure with this code has unless something nearer to HTTP is
    /// known. What the request's content asks for and cannot be had is 422; 500 is kept
    /// for faults of the host.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Conflict | Self::Exists | Self::Locked | Self::Cancelled => StatusCode::CONFLICT,
            Self::Unavailable | Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::Invalid | Self::Limit | Self::Unsupported | Self::Corrupt => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
            Self::Other => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The word itself, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Limit => "limit",
            Self::Unsupported => "unsupported",
            Self::NoSpace => "no-space",
            Self::Corrupt => "corrupt",
            Self::Exists => "exists",
            Self::Locked => "locked",
            Self::Other => "other",
        }
    }

    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Denied,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Self::Timeout,
            StatusCode::CONFLICT => Self::Conflict,
            StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::Limit,
            StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UPGRADE_REQUIRED
            | StatusCode::NOT_ACCEPTABLE => Self::Unsupported,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            StatusCode::INSUFFICIENT_STORAGE => Self::NoSpace,
            status if status.is_client_error() => Self::Invalid,
            _ => Self::Other,
        }
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProblemDetails)]
pub struct Problem {
    /// A URN that ends with the code: `urn:cofferdam:problem:not-found`.
    #[serde(rename = "type")]
    #[schema(format = "uri")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status, once more for those who keep the body only.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// The contract's error code.
    pub code: Code,
    /// What happened and why.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub hint: Option<String>,
    /// Seconds after which the same request may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A failure of `code` that says `detail`, with the status that belongs to the code.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self::with_status(code.status(), code, detail)
    }

    /// A failure whose status says more than its code.
    pub fn with_status(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:cofferdam:problem:{}", code.name()),
            title: status
                .canonical_reason()
                .unwrap_or("Unknown Status")
                .to_owned(),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            hint: None,
            retry_after: None,
        }
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, Code::Invalid, detail)
    }

    /// 422: the request is understood and asks for something that cannot be.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::Invalid, detail)
    }

    /// 404 for a `what` called `name`.
    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no {what} {name:?}"))
    }

    /// 401: who is asking is not known.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::with_status(StatusCode::UNAUTHORIZED, Code::Denied, detail).hint(
            "send the header `Authorization: Bearer TOKEN`; `cofferdam token create` makes a token",
        )
    }

    /// The same problem with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same problem with when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl From<ContractError> for Problem {
    fn from(error: ContractError) -> Self {
        let mut problem = Self::new(error.code.into(), error.message);
        problem.hint = error.hint;
        problem.retry_after = error
            .retry_after
            .map(|milliseconds| u64::from(milliseconds).div_ceil(1000));
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750 section 3.
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"cofferdam\""),
            );
        }
        response
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        rejected(rejection.status(), &rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        rejected(rejection.status(), &rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        rejected(rejection.status(), &rejection.body_text())
    }
}

fn rejected(status: StatusCode, text: &str) -> Problem {
    let mut letters = text.chars();
    let text: String = match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    };
    Problem::with_status(status, Code::of_status(status), text)
}

/// Layer: turns every error that is not a problem document yet into one, keeping the
/// headers that belong to the status.
pub async fn normalise(request: Request, next: Next) -> Response {
    let what = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_problem(response.headers()) {
        return response;
    }
    let detail = match status {
        StatusCode::NOT_FOUND => format!("there is nothing at {what}"),
        StatusCode::METHOD_NOT_ALLOWED => match response.headers().get(ALLOW) {
            Some(allow) => format!(
                "{what} is not possible; this path knows {}",
                allow.to_str().unwrap_or("other methods")
            ),
            None => format!("{what} is not possible"),
        },
        _ => format!(
            "{what} failed: {}",
            status.canonical_reason().unwrap_or("unknown")
        ),
    };
    let problem = Problem::with_status(status, Code::of_status(status), detail);
    let mut answer = problem.into_response();
    for name in [ALLOW, RETRY_AFTER, WWW_AUTHENTICATE] {
        if let Some(value) = response.headers().get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes() == PROBLEM_JSON.as_bytes())
}

/// What a handler that panicked is answered with. The panic itself goes to the log.
pub fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> axum::http::Response<Body> {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(panic = text, "a request handler panicked");
    Problem::new(
        Code::Other,
        "the host failed at this request; its log says more",
    )
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_contract::types::ErrorCode;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_problem_carries_status_code_and_retry_after() {
        let response = Problem::new(Code::Unavailable, "the queue is full")
            .hint("wait")
            .retry_after(7)
            .into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let read: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(read.kind, "urn:cofferdam:problem:unavailable");
        assert_eq!(read.title, "Service Unavailable");
        assert_eq!((read.status, read.code), (503, Code::Unavailable));
        assert_eq!(read.hint.as_deref(), Some("wait"));
    }

    #[test]
    fn every_code_keeps_its_name() {
        for (code, name) in [
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
        ] {
            let code = Code::from(code);
            assert_eq!(code.name(), name);
            assert_eq!(serde_json::to_value(code).unwrap(), name);
        }
    }

    #[test]
    fn milliseconds_to_wait_are_rounded_up() {
        let mut error = ContractError::new(ErrorCode::Unavailable, "busy");
        error.retry_after = Some(1_001);
        assert_eq!(Problem::from(error).retry_after, Some(2));
    }
}
