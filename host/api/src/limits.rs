//! What one request may take: bytes of body, time to send it, time to answer it.
//!
//! The body is read here, completely and once, so that no handler waits for a client and
//! a slow body is told from slow work: 408 for the client's part, 503 for the host's.
//! Event streams and WebSockets begin their answer at once and are not touched later.
//!
//! Components are larger than everything else that is sent, so that their route has bounds
//! of its own, and is entered by few at a time ([`crate::upload`]).

use crate::options::ApiOptions;
use crate::problem::{Code, Problem};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;

/// What one request may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Longest body, bytes.
    body: usize,
    /// How long a client may take to send it.
    sending: Duration,
    /// How long the host may take to begin its answer.
    answering: Duration,
}

impl Bounds {
    /// Of requests whose body is JSON or nothing.
    pub fn requests(options: &ApiOptions) -> Self {
        Self {
            body: options.body_limit,
            sending: options.body_timeout,
            answering: options.request_timeout,
        }
    }

    /// Of requests whose body is a component.
    pub fn uploads(options: &ApiOptions) -> Self {
        Self {
            body: options.upload_limit,
            sending: options.upload_timeout,
            answering: options.request_timeout,
        }
    }
}

/// Layer: reads the body within its limits, then runs the handler within its time.
pub async fn bounded(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let limit = bounds.body;
    let declared = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit))
    {
        return too_large(limit).into_response();
    }
    let read = Limited::new(body, limit).collect();
    let bytes = match tokio::time::timeout(bounds.sending, read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return too_large(limit).into_response();
        }
        Ok(Err(error)) => {
            return Problem::bad_request(format!("the body broke off: {error}")).into_response();
        }
        Err(_) => return late_body(bounds.sending).into_response(),
    };
    let request = Request::from_parts(parts, Body::from(bytes));
    match tokio::time::timeout(bounds.answering, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            Code::Timeout,
            format!(
                "the request took longer than {} s and was given up; what it started may go on",
                bounds.answering.as_secs()
            ),
        )
        .hint("look at the run, the plugin or the audit log before trying again")
        .into_response(),
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::with_status(
        StatusCode::PAYLOAD_TOO_LARGE,
        Code::Limit,
        format!("the body is longer than {limit} bytes"),
    )
}

fn late_body(time: Duration) -> Problem {
    Problem::with_status(
        StatusCode::REQUEST_TIMEOUT,
        Code::Timeout,
        format!("the body did not arrive within {} s", time.as_secs()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::post;
    use futures_util::stream;
    use std::convert::Infallible;
    use tower::ServiceExt;

    fn app() -> Router {
        let bounds = Bounds::requests(&ApiOptions {
            body_limit: 8,
            body_timeout: Duration::from_millis(200),
            request_timeout: Duration::from_millis(200),
            ..ApiOptions::default()
        });
        Router::new()
            .route(
                "/length",
                post(|body: axum::body::Bytes| async move { body.len().to_string() }),
            )
            .route("/never", post(std::future::pending::<()>))
            .layer(axum::middleware::from_fn_with_state(bounds, bounded))
    }

    async fn status(path: &str, body: Body) -> StatusCode {
        let request = Request::post(path).body(body).unwrap();
        app().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn each_limit_has_its_status() {
        let chunks = |count: usize| {
            Body::from_stream(stream::iter(
                (0..count).map(|_| Ok::<_, Infallible>("four")),
            ))
        };
        let never = Body::from_stream(stream::pending::<Result<String, Infallible>>());
        let broken =
            Body::from_stream(stream::iter([Err::<String, _>(std::io::Error::other("x"))]));
        assert_eq!(status("/length", Body::from("12345678")).await, 200);
        assert_eq!(status("/length", Body::from("123456789")).await, 413);
        assert_eq!(status("/length", chunks(2)).await, 200);
        assert_eq!(status("/length", chunks(3)).await, 413);
        assert_eq!(status("/length", broken).await, 400);
        assert_eq!(status("/length", never).await, 408);
        assert_eq!(status("/never", Body::empty()).await, 503);
    }

    #[tokio::test]
    async fn a_declared_length_is_refused_before_reading() {
        let request = Request::post("/length")
            .header(CONTENT_LENGTH, "9")
            .body(Body::from_stream(stream::pending::<
                Result<String, Infallible>,
            >()))
            .unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(5), app().oneshot(request));
        assert_eq!(answer.await.unwrap().unwrap().status(), 413);
    }
}
