//! Who is asking, for every request below `/api/v1` and for `/metrics`.
//!
//! From the network: a bearer token (RFC 6750 section 2.1), looked up for each request,
//! so that revoking it or changing a role takes effect with the next one. From the
//! owner of the host: a [`LocalActor`] request extension, which cannot be sent over HTTP.
//! What an actor may do is decided by the orchestrator's facade, not here.

use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cofferdam_orchestrator::identity::{Actor, IdentityError, Via};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Request extension: the caller is the user who runs the host. Set by whoever calls the
/// router in process, and by [`serve`](crate::serve()) for connections over the Unix
/// socket. Extensions are not part of HTTP: no client can send one.
#[derive(Debug, Clone)]
pub struct LocalActor(Arc<str>);

impl LocalActor {
    /// Somebody local called `user`; `local` where no name is known.
    pub fn new(user: Option<String>) -> Self {
        Self(user.as_deref().unwrap_or("local").into())
    }
}

/// Request extension: where a connection from the network comes from.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// The authenticated actor, for handlers.
#[derive(Debug, Clone)]
pub struct Caller(pub Actor);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Missing where a route was left out of the layer: then nobody may enter.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::unauthenticated("this request carries no token"))
    }
}

/// The address that a request came from; none for local callers.
pub fn address(extensions: &Extensions) -> Option<IpAddr> {
    extensions
        .get::<PeerAddress>()
        .map(|address| address.0.ip().to_canonical())
}

/// Layer: counts requests by address, before anything else is done for them.
pub async fn limit_addresses(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(address) = address(request.extensions())
        && let Err(problem) = state.rates.check_address(address)
    {
        return problem.into_response();
    }
    next.run(request).await
}

/// Layer: lets only known callers through, each at its rate.
pub async fn authenticated(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    match identify(&state, request.headers(), request.extensions()).await {
        Ok(actor) => {
            request.extensions_mut().insert(Caller(actor));
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Who sent a request with these headers.
pub async fn identify(
    state: &ApiState,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Actor, Problem> {
    if let Some(local) = extensions.get::<LocalActor>() {
        return Ok(Actor::local(local.0.to_string()));
    }
    let token = bearer(headers)?
        .ok_or_else(|| Problem::unauthenticated("this request carries no token"))?;
    verify(state, token.to_owned(), address(extensions)).await
}

/// Who holds `token`, within the token's rate.
pub async fn verify(
    state: &ApiState,
    token: String,
    address: Option<IpAddr>,
) -> Result<Actor, Problem> {
    let orchestrator = &state.orchestrator;
    let found = orchestrator.identity.authenticate(&token, address).await;
    orchestrator.metrics.authentication(match &found {
        Ok(_) => "ok",
        Err(IdentityError::Unauthenticated) => "refused",
        Err(IdentityError::TooManyFailures { .. }) => "held-up",
        Err(_) => "failed",
    });
    let actor = found?;
    if let Via::Token(id) = &actor.via {
        state.rates.check_token(id)?;
    }
    Ok(actor)
}

/// The token in `Authorization: Bearer TOKEN`; none where the header is missing.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let malformed =
        || Problem::unauthenticated("the Authorization header is not `Bearer TOKEN`, once");
    if values.next().is_some() {
        return Err(malformed());
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or_else(malformed)?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(malformed());
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_one_bearer_token_counts() {
        for (values, token) in [
            (&[][..], Ok(None)),
            (&["Bearer abc"][..], Ok(Some("abc"))),
            (&["bearer abc"][..], Ok(Some("abc"))),
            (&["BEARER   abc "][..], Ok(Some("abc"))),
            (&["Basic abc"][..], Err(())),
            (&["Bearer"][..], Err(())),
            (&["Bearer "][..], Err(())),
            (&["Bearer\u{e9} x"][..], Err(())),
            (&["Bearer abc", "Bearer abc"][..], Err(())),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append(AUTHORIZATION, value);
            }
            assert_eq!(bearer(&headers).map_err(|_| ()), token, "{values:?}");
        }
    }
}
