//! `/api/v1/events` and `/api/v1/ws`: what happens, over all runs.

use crate::auth::{self, Caller};
use crate::events;
use crate::extract::Query;
use crate::follow::{Follower, Selection};
use crate::problem::{Code, Problem};
use crate::serve::Closing;
use crate::state::ApiState;
use crate::websocket::Session;
use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The route below the authenticating layer.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(all_events))
}

/// The route that authenticates itself, because a browser cannot set a header for it.
pub fn websocket_router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(websocket))
}

/// Where a stream of all runs begins and what it shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Begin after the event of this id; the header `Last-Event-ID` comes before it.
    #[param(pattern = r"^[0-9]{1,18}$")]
    after: Option<String>,
    /// Of this project.
    project: Option<String>,
    /// Of this installed plugin, of no run.
    plugin: Option<String>,
    /// Of this kind; one that ends in a dot means all that begin so.
    kind: Option<String>,
    /// False: end with what is there already.
    follow: Option<bool>,
}

/// Follow all runs
///
/// A stream of server-sent events of the projects that the caller may read: `id` to go on
/// from, `event` the kind, `data` the event as JSON. Who may read all projects is shown what
/// happens to installed plugins too (`plugin.stage` and its kin).
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event received", pattern = r"^[0-9]{1,18}$"),
    ),
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream")),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("list")), ("x-cofferdam-stream" = json!(true))),
)]
async fn all_events(
    State(state): State<ApiState>,
    caller: Caller,
    closing: Option<Extension<Closing>>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let position = events::position(&headers, query.after.as_deref())?;
    let selection = Selection {
        project: query.project,
        plugin: query.plugin,
        kinds: query.kind.into_iter().collect(),
        ..Selection::default()
    };
    let slot = state.streams.take(&caller.0)?;
    let follower = Follower::new(state.clone(), caller, selection, position)?;
    let closing = closing.map(|Extension(closing)| closing);
    Ok(events::response(
        &state,
        follower,
        slot,
        closing,
        query.follow.unwrap_or(true),
    ))
}

/// Follow runs over a WebSocket
///
/// Messages are JSON texts: `ClientMessage` from the client, `ServerMessage` from the
/// server. The token is sent as header or in the first message.
#[utoipa::path(
    get, path = "/api/v1/ws", tag = "events",
    responses(
        (status = 101, description = "The connection is a WebSocket now (RFC 6455)"),
        (status = 426, description = "The request asks for no WebSocket", body = Problem, content_type = "application/problem+json"),
    ),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("list")), ("x-cofferdam-stream" = json!(true))),
)]
async fn websocket(State(state): State<ApiState>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let asks_upgrade = parts.headers.contains_key(UPGRADE);
    let caller = if asks_upgrade
        && !parts.headers.contains_key(AUTHORIZATION)
        && parts.extensions.get::<auth::LocalActor>().is_none()
    {
        None
    } else {
        let actor = auth::identify(&state, &parts.headers, &parts.extensions).await?;
        Some(Caller(actor))
    };
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let text = rejection.body_text();
            let problem =
                Problem::with_status(StatusCode::UPGRADE_REQUIRED, Code::Unsupported, text);
            let mut response = problem.into_response();
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            return Ok(response);
        }
    };
    let session = Session {
        address: auth::address(&parts.extensions),
        closing: parts.extensions.remove::<Closing>(),
        caller,
        state,
    };
    let limit = session.state.options.websocket_message_limit;
    Ok(upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(|socket| session.run(socket)))
}
