//! The WebSocket: events, log lines and progress of one run or of all.
//!
//! A client sends JSON texts: `authenticate` (where it could not set a header, as in a
//! browser), `subscribe`, `unsubscribe`. The server answers with JSON texts that name
//! their `type`; the [`Position`] in each event and log line is what to subscribe with
//! after a break. One subscription at a time; another replaces it.
//!
//! Close codes (RFC 6455 section 7.4.1): 1001 the host stops or a message was too long, 1003 a
//! binary message, 1007 not JSON, 1008 not authenticated or no longer allowed, 1011 the host failed.

use crate::auth::{self, Caller};
use crate::follow::{Follower, Item, Position, Progress, Selection};
use crate::problem::{Code, Problem};
use crate::serve::Closing;
use crate::state::ApiState;
use crate::streams::StreamSlot;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use cofferdam_store::{Event, LogLine};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// How long a client may take to authenticate.
const AUTHENTICATION: Duration = Duration::from_secs(10);

/// What a client sends.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClientMessage {
    /// The first message of a client that sent no Authorization header.
    Authenticate {
        /// The bearer token.
        token: String,
    },
    /// Replaces what is followed.
    Subscribe {
        /// One run; none for the events of all runs.
        #[serde(default)]
        run: Option<String>,
        /// One installed plugin, and no run.
        #[serde(default)]
        plugin: Option<String>,
        /// One project; none for all.
        #[serde(default)]
        project: Option<String>,
        /// Kinds of events; empty for all.
        #[serde(default)]
        kinds: Vec<String>,
        /// Begin after this.
        #[serde(default)]
        after: Position,
        /// Log lines too; needs a run.
        #[serde(default)]
        logs: bool,
        /// Progress too; needs a run.
        #[serde(default)]
        progress: bool,
    },
    /// Follow nothing any more.
    Unsubscribe,
}

/// What the server sends.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    /// The client is known.
    Authenticated {
        /// Its user.
        user: String,
    },
    /// The subscription holds.
    Subscribed,
    /// Nothing is followed any more.
    Unsubscribed,
    /// An entry of the journal.
    Event {
        /// The position after it.
        position: Position,
        /// The entry.
        event: Event,
    },
    /// A line of the log.
    Log {
        /// The position after it.
        position: Position,
        /// The line.
        line: LogLine,
    },
    /// How far a step is.
    Progress {
        /// How far.
        progress: Progress,
    },
    /// A message could not be obeyed.
    Error {
        /// Why.
        problem: Problem,
    },
}

/// What a connection begins with.
pub struct Session {
    /// Shared by all requests.
    pub state: ApiState,
    /// Who it is, where a header said so.
    pub caller: Option<Caller>,
    /// Where it comes from.
    pub address: Option<IpAddr>,
    /// When the server closes.
    pub closing: Option<Closing>,
}

/// Why a connection ends.
struct End(u16, String);

impl From<Problem> for End {
    fn from(problem: Problem) -> Self {
        match problem.code {
            Code::Denied | Code::Limit | Code::NotFound => Self(close_code::POLICY, problem.detail),
            Code::Unavailable => Self(close_code::AWAY, problem.detail),
            _ => Self(close_code::ERROR, problem.detail),
        }
    }
}

impl From<axum::Error> for End {
    fn from(error: axum::Error) -> Self {
        Self(close_code::AWAY, error.to_string())
    }
}

impl Session {
    /// Serves the connection to its end.
    pub async fn run(self, mut socket: WebSocket) {
        let End(code, reason) = match self.converse(&mut socket).await {
            Ok(()) => End(close_code::NORMAL, String::new()),
            Err(end) => end,
        };
        // A close frame's payload is at most 125 bytes (RFC 6455 section 5.5), two of them the code.
        let reason: String = reason.chars().take(30).collect();
        let close = Message::Close(Some(CloseFrame {
            code,
            reason: reason.into(),
        }));
        // The client may be gone.
        let _ = tokio::time::timeout(Duration::from_secs(5), socket.send(close)).await;
    }

    async fn converse(self, socket: &mut WebSocket) -> Result<(), End> {
        let closing = self.closing.clone();
        let closed = async move {
            match &closing {
                Some(closing) => closing.begun().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = closed => Err(End(close_code::AWAY, "the host is stopping".to_owned())),
            ended = self.serve(socket) => ended,
        }
    }

    async fn serve(self, socket: &mut WebSocket) -> Result<(), End> {
        let caller = match self.caller.clone() {
            Some(caller) => caller,
            None => self.authenticate(socket).await?,
        };
        let _slot: StreamSlot = self.state.streams.take(&caller.0)?;
        let _counted = self.state.orchestrator.metrics.subscriber();
        let mut follower: Option<Follower> = None;
        let mut heard = Instant::now();
        let mut heartbeat = tokio::time::interval(self.state.options.heartbeat);
        heartbeat.tick().await;
        loop {
            let next = async {
                match &mut follower {
                    Some(follower) => follower.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                item = next => send(socket, &item?.into()).await?,
                message = socket.recv() => {
                    heard = Instant::now();
                    let Some(message) = message else { return Ok(()) };
                    match message? {
                        Message::Text(text) => {
                            let answer = match self.obey(&caller, &mut follower, &text)? {
                                Ok(answer) => answer,
                                Err(problem) => ServerMessage::Error { problem },
                            };
                            send(socket, &answer).await?;
                        }
                        Message::Binary(_) => {
                            return Err(End(close_code::UNSUPPORTED, "send JSON texts".to_owned()));
                        }
                        Message::Close(_) => return Ok(()),
                        // Pings are answered by the protocol's implementation.
                        Message::Ping(_) | Message::Pong(_) => {}
                    }
                }
                _ = heartbeat.tick() => {
                    if heard.elapsed() > self.state.options.websocket_idle {
                        return Err(End(close_code::AWAY, "no pong came".to_owned()));
                    }
                    // Also ends connections that follow nothing, once the token is revoked.
                    self.state.orchestrator.identity.roles(&caller.0).map_err(Problem::from)?;
                    socket.send(Message::Ping(Default::default())).await?;
                }
            }
        }
    }

    async fn authenticate(&self, socket: &mut WebSocket) -> Result<Caller, End> {
        let late = || End(close_code::POLICY, "not authenticated".to_owned());
        let first = tokio::time::timeout(AUTHENTICATION, socket.recv());
        let Some(Ok(Message::Text(text))) = first.await.map_err(|_| late())? else {
            return Err(late());
        };
        let Ok(ClientMessage::Authenticate { token }) = serde_json::from_str(&text) else {
            return Err(late());
        };
        let actor = auth::verify(&self.state, token, self.address).await?;
        let user = actor.user.clone();
        send(socket, &ServerMessage::Authenticated { user }).await?;
        Ok(Caller(actor))
    }

    /// What to answer; the outer error ends the connection.
    fn obey(
        &self,
        caller: &Caller,
        follower: &mut Option<Follower>,
        text: &str,
    ) -> Result<Result<ServerMessage, Problem>, End> {
        let message: ClientMessage = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) if error.is_syntax() || error.is_eof() => {
                return Err(End(close_code::INVALID, "not JSON".to_owned()));
            }
            Err(error) => return Ok(Err(Problem::bad_request(error.to_string()))),
        };
        Ok(match message {
            ClientMessage::Authenticate { .. } => Err(Problem::new(
                Code::Conflict,
                "this connection is authenticated already",
            )),
            ClientMessage::Subscribe {
                run: None,
                logs,
                progress,
                ..
            } if logs || progress => Err(Problem::invalid(
                "log lines and progress are followed of one run; name it in `run`",
            )),
            ClientMessage::Subscribe {
                run,
                plugin,
                project,
                kinds,
                after,
                logs,
                progress,
            } => {
                let selection = Selection {
                    run,
                    plugin,
                    project,
                    kinds,
                    logs,
                    progress,
                };
                Follower::new(self.state.clone(), caller.clone(), selection, after).map(|new| {
                    *follower = Some(new);
                    ServerMessage::Subscribed
                })
            }
            ClientMessage::Unsubscribe => {
                *follower = None;
                Ok(ServerMessage::Unsubscribed)
            }
        })
    }
}

impl From<Item> for ServerMessage {
    fn from(item: Item) -> Self {
        match item {
            Item::Event(event, position) => Self::Event { position, event },
            Item::Log(line, position) => Self::Log { position, line },
            Item::Progress(progress) => Self::Progress { progress },
        }
    }
}

async fn send(socket: &mut WebSocket, message: &ServerMessage) -> Result<(), End> {
    let text = serde_json::to_string(message)
        .map_err(|error| End(close_code::ERROR, error.to_string()))?;
    Ok(socket.send(Message::Text(text.into())).await?)
}
