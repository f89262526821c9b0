//! Server-sent events (WHATWG HTML section 9.2): events, and log lines where asked for.
//!
//! Each event's `id` is the [`Position`] after it, so that a browser's own reconnection
//! (`Last-Event-ID`) goes on where it broke off. The `event` field is the journal's kind
//! (`run.started`), or `log`; the data is the record as JSON. A silent stream gets a
//! comment now and then, so that proxies and clients know it lives.

use crate::follow::{Follower, Item, Position};
use crate::problem::Problem;
use crate::serve::Closing;
use crate::state::ApiState;
use crate::streams::StreamSlot;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::convert::Infallible;

/// Where to begin: the header of a reconnection, else the query, else the first.
pub fn position(headers: &HeaderMap, after: Option<&str>) -> Result<Position, Problem> {
    match headers.get("last-event-id") {
        Some(id) => id
            .to_str()
            .map_err(|_| Problem::bad_request("Last-Event-ID is not ASCII"))?
            .trim()
            .parse(),
        None => after.map_or(Ok(Position::default()), str::parse),
    }
}

/// The answer that hands out what `follower` sees; ends, where `follow` is false, with
/// what is there already.
pub fn response(
    state: &ApiState,
    follower: Follower,
    slot: StreamSlot,
    closing: Option<Closing>,
    follow: bool,
) -> Response {
    let counted = state.orchestrator.metrics.subscriber();
    let source = Source {
        follower,
        closing,
        follow,
        _held: (slot, counted),
    };
    let events = stream::unfold(source, |mut source| async move {
        let event = source.next().await?;
        Some((Ok::<_, Infallible>(event), source))
    });
    let keep_alive = KeepAlive::new()
        .interval(state.options.heartbeat)
        .text("still here");
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // Says to nginx and its kin that this must not be collected first.
    response.headers_mut().insert(
        "x-accel-buffering",
        axum::http::HeaderValue::from_static("no"),
    );
    response
}

struct Source<H> {
    follower: Follower,
    closing: Option<Closing>,
    follow: bool,
    _held: H,
}

impl<H> Source<H> {
    async fn next(&mut self) -> Option<Event> {
        let item = if self.follow {
            let closing = self.closing.clone();
            let closed = async {
                match &closing {
                    Some(closing) => closing.begun().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = closed => return None,
                item = self.follower.next() => item,
            }
        } else {
            self.follower.next_ready()?
        };
        match item {
            Ok(item) => rendered(item),
            // The caller may see no more: the stream ends, and coming back is refused.
            Err(problem) => {
                tracing::debug!(%problem, "an event stream ends");
                None
            }
        }
    }
}

fn rendered(item: Item) -> Option<Event> {
    let (kind, data, position) = match item {
        Item::Event(event, position) => (
            event.kind.clone(),
            serde_json::to_string(&event),
            Some(position),
        ),
        Item::Log(line, position) => (
            "log".to_owned(),
            serde_json::to_string(&line),
            Some(position),
        ),
        // Without an id: a reconnection goes on after what is kept.
        Item::Progress(progress) => (
            "progress".to_owned(),
            serde_json::to_string(&progress),
            None,
        ),
    };
    let event = Event::default().event(kind).data(data.ok()?);
    Some(match position {
        Some(position) => event.id(position.to_string()),
        None => event,
    })
}
