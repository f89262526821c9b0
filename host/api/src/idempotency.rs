//! `Idempotency-Key` on POST: a client that lost the answer asks again without doing it
//! twice (draft-ietf-httpapi-idempotency-key-header-06).
//!
//! The key is claimed in the store before the handler runs, and the answer is kept with
//! it for a day. The same key with the same request gets the same answer, marked with
//! `Idempotency-Replayed: true`; with another request 422; while the first is still being
//! answered 409. If the host was killed in between, the run that a claim names is
//! answered; otherwise the request is made again. Answers that say "try again" (429, 5xx) are not
//! kept, nor are bodies that hold a secret ([`Unrepeatable`]).

use crate::auth::Caller;
use crate::problem::{Code, PROBLEM_JSON, Problem};
use crate::state::ApiState;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cofferdam_store::{IdempotencyClaim, IdempotencyKey, KeptAnswer};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// The request's header.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header of an answer that was given before.
pub const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";
/// Longest key.
const KEY_LIMIT: usize = 255;

/// Request extension: the claimed key, for the handler that ties it to the run it starts.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The key, to be written down with the run.
    pub key: IdempotencyKey,
    /// The run that was made with it already, before the host was killed.
    pub made: Option<String>,
}

/// Response extension: the body holds something that is shown once and must not be kept.
/// The text says what a repetition is told.
#[derive(Debug, Clone)]
pub struct Unrepeatable(pub String);

/// Claimed keys whose answer is being made in this process.
#[derive(Default)]
pub struct InFlight(Mutex<HashSet<IdempotencyKey>>);

impl InFlight {
    fn enter<'a>(&'a self, key: &IdempotencyKey) -> Option<InFlightGuard<'a>> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.clone()).then(|| InFlightGuard {
            all: self,
            key: key.clone(),
        })
    }
}

struct InFlightGuard<'a> {
    all: &'a InFlight,
    key: IdempotencyKey,
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        let mut keys = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&self.key);
    }
}

/// Layer: see the module.
pub async fn idempotent(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    match attempt(&state, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn attempt(state: &ApiState, request: Request, next: Next) -> Result<Response, Problem> {
    let Some(name) = key(request.headers())? else {
        return Ok(next.run(request).await);
    };
    let Some(Caller(actor)) = request.extensions().get::<Caller>() else {
        return Ok(next.run(request).await);
    };
    let key = IdempotencyKey {
        actor: actor.user.clone(),
        key: name,
    };
    let Some(_guard) = state.in_flight.enter(&key) else {
        return Err(Problem::new(
            Code::Conflict,
            "a request with this Idempotency-Key is being answered now",
        )
        .retry_after(1));
    };
    let (mut parts, body) = request.into_parts();
    let route = format!("{} {}", parts.method, parts.uri);
    let body = body
        .collect()
        .await
        .map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?
        .to_bytes();
    let digest = hex::encode(Sha256::digest(&body));
    let store = &state.orchestrator.store;
    let made = match store.claim_request(&key, &route, &digest)? {
        IdempotencyClaim::Done(answer) => return replay(answer),
        IdempotencyClaim::Mismatch => {
            return Err(Problem::invalid(
                "this Idempotency-Key was used for another request; use a new key for a new request",
            ));
        }
        // Claimed by a process that is no more.
        IdempotencyClaim::InProgress { run, .. } => run,
        IdempotencyClaim::New => None,
    };
    parts.extensions.insert(Claimed {
        key: key.clone(),
        made,
    });
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    keep(state, &key, response).await
}

/// Writes the answer down, where it is one to repeat.
async fn keep(
    state: &ApiState,
    key: &IdempotencyKey,
    response: Response,
) -> Result<Response, Problem> {
    let store = &state.orchestrator.store;
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        store.release_request(key)?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map_err(|error| Problem::new(Code::Other, format!("the answer broke off: {error}")))?
        .to_bytes();
    let answer = match parts.extensions.get::<Unrepeatable>() {
        Some(Unrepeatable(text)) => {
            let told = Problem::new(Code::Conflict, text.clone());
            KeptAnswer {
                status: told.status,
                headers: [(CONTENT_TYPE.to_string(), PROBLEM_JSON.to_owned())].into(),
                body: serde_json::to_vec(&told).unwrap_or_default(),
            }
        }
        None => KeptAnswer {
            status: status.as_u16(),
            headers: kept_headers(&parts.headers),
            body: body.to_vec(),
        },
    };
    store.complete_request(key, &answer)?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// What of an answer's headers belongs to what it says, and not to its sending.
fn kept_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    [CONTENT_TYPE, LOCATION, ETAG]
        .into_iter()
        .filter_map(|name| {
            let value = headers.get(&name)?.to_str().ok()?.to_owned();
            Some((name.to_string(), value))
        })
        .collect()
}

fn replay(answer: KeptAnswer) -> Result<Response, Problem> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let response = response.body(Body::from(answer.body)).map_err(|error| {
        Problem::new(
            Code::Corrupt,
            format!("the kept answer is no answer: {error}"),
        )
    })?;
    Ok(replayed(response))
}

fn replayed(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The request's key, checked.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let fine = values.next().is_none();
    match value.to_str() {
        Ok(text)
            if fine
                && (1..=KEY_LIMIT).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Some(text.to_owned()))
        }
        _ => Err(Problem::bad_request(format!(
            "Idempotency-Key must be one text of 1 to {KEY_LIMIT} visible ASCII characters without spaces"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_visible() {
        for (value, fine) in [
            ("a", true),
            ("3f1c-9", true),
            ("", false),
            ("a b", false),
            (&"x".repeat(255), true),
            (&"x".repeat(256), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(value).unwrap());
            assert_eq!(key(&headers).is_ok(), fine, "{value:?}");
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_static("b"));
            assert!(key(&headers).is_err());
        }
        assert_eq!(key(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn a_key_is_answered_once_at_a_time() {
        let all = InFlight::default();
        let key = |name: &str| IdempotencyKey {
            actor: "anna".to_owned(),
            key: name.to_owned(),
        };
        let guard = all.enter(&key("a")).unwrap();
        assert!(all.enter(&key("a")).is_none());
        assert!(all.enter(&key("b")).is_some());
        drop(guard);
        assert!(all.enter(&key("a")).is_some());
    }
}
