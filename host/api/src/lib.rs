//! The HTTP API: every function of the host, for programs and for the command line.
//!
//! **Problem.** Runs outlive the process that asked for them, and several people and
//! programs ask. They need one door that checks who they are, takes no more than it can
//! bear, says in one way what went wrong, and lets them follow what happens without
//! missing anything.
//!
//! **Design.** [`router`] is the whole API as an axum router over the orchestrator's
//! facade; the command line calls the same router in process. Layers, from the outside:
//! log and metrics, problem documents for everything that fails, panics, the rate of the
//! address, the token and its rate, the body and its limits, idempotency keys, entity
//! tags. What an actor may do is decided by the facade; a route that fits no role does
//! not exist. Events are read from the store by id ([`follow`]), so that a stream is
//! resumed without gap or repetition and a slow reader costs no memory. [`serve()`] brings
//! the router to sockets. The OpenAPI document ([`document`]) is made from the handlers
//! and checked in the tests against what they answer.
//!
//! **Limits.** HTTP/1.1; one host; no browser sessions, so no cookies and no CORS.

mod access;
pub mod auth;
mod etag;
mod events;
mod extract;
mod failure;
mod follow;
mod idempotency;
mod limits;
mod moment;
mod observe;
mod openapi;
mod options;
mod paging;
mod problem;
mod rate;
mod readiness;
pub mod routes;
pub mod serve;
mod state;
mod streams;
mod upload;
mod websocket;

pub use auth::LocalActor;
pub use follow::{Position, Progress};
pub use options::{ApiOptions, Rate};
pub use problem::{Code, PROBLEM_JSON, Problem};
pub use serve::{ListenOptions, Listeners, ServeError, ServeOptions, TlsFiles, serve};
pub use websocket::{ClientMessage, ServerMessage};

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use cofferdam_orchestrator::Orchestrator;
use limits::Bounds;
use serde_json::Value;
use state::ApiState;
use std::sync::Arc;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The whole API. Requests from the network need a token; a request that carries a
/// [`LocalActor`] extension is the owner's.
pub fn router(orchestrator: Arc<Orchestrator>, options: ApiOptions) -> Router {
    let Parts {
        open,
        usual,
        uploads,
        document,
    } = parts();
    let state = ApiState::new(orchestrator, options, Bytes::from(text(&document)));
    let protected = [
        (usual, Bounds::requests(&state.options)),
        (uploads, Bounds::uploads(&state.options)),
    ]
    .map(|(routes, bounds)| {
        routes
            .route_layer(from_fn(etag::conditional))
            .route_layer(from_fn_with_state(state.clone(), idempotency::idempotent))
            .route_layer(from_fn_with_state(bounds, limits::bounded))
            // The extractors' own, 2 MiB, would be a second limit that nobody set.
            .route_layer(DefaultBodyLimit::disable())
    });
    let [usual, uploads] = protected;
    // Before a byte of a component is read.
    let uploads = uploads.route_layer(from_fn_with_state(state.clone(), upload::admitted));
    let protected = usual
        .merge(uploads)
        .route_layer(from_fn_with_state(state.clone(), auth::authenticated));
    let docs = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    open.merge(protected)
        .merge(docs)
        .layer(from_fn_with_state(state.clone(), auth::limit_addresses))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(problem::normalise))
        .layer(from_fn_with_state(state.clone(), observe::observed))
        .with_state(state)
}

/// The OpenAPI 3.1 document, as `/openapi.json` has it.
pub fn document() -> Value {
    parts().document
}

/// The document as text, with a line end, as it is kept in `docs/openapi.json`.
pub fn document_text() -> String {
    text(&document())
}

fn text(document: &Value) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

/// The routes by what they need in front of them, and what all say of themselves.
struct Parts {
    /// They authenticate themselves or not at all.
    open: Router<ApiState>,
    /// Their body is JSON or nothing, and their answer is there soon.
    usual: Router<ApiState>,
    /// Their body is a component.
    uploads: Router<ApiState>,
    document: Value,
}

fn parts() -> Parts {
    let (usual, mut described) = OpenApiRouter::with_openapi(openapi::Base::openapi())
        .merge(routes::runs::router())
        .merge(routes::approvals::router())
        .merge(routes::workflows::router())
        .merge(routes::events::router())
        .merge(routes::plugins::router())
        .merge(routes::disks::router())
        .merge(routes::secrets::router())
        .merge(routes::whoami::router())
        .merge(routes::users::router())
        .merge(routes::tokens::router())
        .merge(routes::grants::router())
        .merge(routes::audit::router())
        .merge(routes::meta::metrics_router())
        .split_for_parts();
    let (uploads, of_uploads) = routes::plugins::upload_router().split_for_parts();
    let (open, of_open) = OpenApiRouter::new()
        .merge(routes::events::websocket_router())
        .merge(routes::meta::router())
        .split_for_parts();
    for more in [of_uploads, of_open] {
        described.merge(more);
    }
    Parts {
        open,
        usual,
        uploads,
        document: openapi::complete(described),
    }
}
