//! The client of the HTTP API: what every command that is about the host's state goes
//! through.
//!
//! **Problem.** The same command has to do the same, whether the host is this very program,
//! another process that holds the state folder, or a server far away. Three code paths
//! would differ after a month.
//!
//! **Design.** Every command is an API call. A [`Client`] asks through one of three
//! transports ([`transport`]): the API's router in this process, the Unix socket of the
//! host that holds the state folder, or HTTP(S) to a server. [`session`] chooses. Answers
//! are the API's JSON: with `--output json` they are printed as they came, and people get
//! what [`crate::render`] makes of them. Errors are the API's problem details
//! ([`problem`]).
//!
//! **Limits.** An answer that is not a stream is read whole, up to [`MAX_ANSWER`].

pub mod events;
pub mod input;
pub mod plugins;
pub mod problem;
pub mod runs;
pub mod session;
pub mod transport;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{HeaderName, Method, header};
use futures_util::StreamExt;
use problem::{ClientError, Problem};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use transport::{ByteStream, Reply, Transport};

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 64 << 20;

/// How many hosts may leave before what was asked of them is given up.
pub const MOST_HOSTS: u32 = 5;

/// The header that makes a POST safe to repeat (the IETF draft's name, which the API uses).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Where the API's version 1 is.
pub const API: &str = "/api/v1";

/// What a request carries.
#[derive(Debug, Clone)]
pub enum Content {
    /// JSON.
    Json(Value),
    /// A component, as it is in its file.
    Component(Bytes),
}

impl Content {
    /// Its media type and its bytes.
    pub fn encoded(self) -> (&'static str, Bytes) {
        match self {
            Self::Json(value) => ("application/json", Bytes::from(value.to_string())),
            Self::Component(bytes) => ("application/wasm", bytes),
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What is done.
    pub method: Method,
    /// The path, from the root, each segment escaped.
    pub path: String,
    /// The query's pairs, not escaped.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: Option<Content>,
    /// Further headers.
    pub headers: Vec<(HeaderName, String)>,
}

impl Ask {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            headers: Vec::new(),
        }
    }

    /// Reads.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Makes or does something.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        let mut ask = Self::new(Method::POST, path);
        ask.body = Some(Content::Json(body));
        ask
    }

    /// Hands a component over.
    pub fn upload(path: impl Into<String>, component: Bytes) -> Self {
        let mut ask = Self::new(Method::POST, path);
        ask.body = Some(Content::Component(component));
        ask
    }

    /// Sets something.
    pub fn put(path: impl Into<String>, body: Value) -> Self {
        let mut ask = Self::new(Method::PUT, path);
        ask.body = Some(Content::Json(body));
        ask
    }

    /// Takes something away.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a pair to the query, if there is a value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.query
            .extend(value.map(|value| (name.to_owned(), value.to_string())));
        self
    }

    /// Adds a header, if there is a value.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: Option<impl ToString>) -> Self {
        self.headers
            .extend(value.map(|value| (name, value.to_string())));
        self
    }
}

/// Finds the host again when the one that was asked has gone.
#[async_trait]
pub trait Reopen: Send + Sync {
    /// A way to the host that there is now.
    async fn reopen(&self) -> Result<Transport, ClientError>;
}

/// Asks one host's API.
#[derive(Clone)]
pub struct Client {
    transport: Arc<Mutex<Transport>>,
    reopen: Option<Arc<dyn Reopen>>,
}

impl Client {
    /// A client over this transport.
    pub fn new(transport: Transport) -> Self {
        Self {
            transport: Arc::new(Mutex::new(transport)),
            reopen: None,
        }
    }

    /// A client that looks for another host when the one behind a socket has gone.
    pub fn reopening(transport: Transport, reopen: Arc<dyn Reopen>) -> Self {
        Self {
            reopen: Some(reopen),
            ..Self::new(transport)
        }
    }

    fn transport(&self) -> Transport {
        self.transport
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether the host's files are this process's files: paths may then be relative to the
    /// current folder.
    pub fn is_local(&self) -> bool {
        self.transport().is_local()
    }

    /// Whether the host is another process, which goes on when this one ends.
    pub fn outlives_us(&self) -> bool {
        self.transport().outlives_us()
    }

    /// Asks, and asks the next host where the request did not reach the one before, or where
    /// that left without an answer and asking twice does no harm.
    async fn send(&self, ask: Ask) -> Result<Reply, ClientError> {
        let mut left = 0;
        loop {
            let reply = self.transport().send(ask.clone()).await;
            let (Err(error), Some(reopen)) = (&reply, &self.reopen) else {
                return reply;
            };
            let again = match error {
                ClientError::NobodyListens { .. } => true,
                ClientError::Unreachable { .. } => ask.method == Method::GET,
                _ => false,
            };
            if !again || left == MOST_HOSTS {
                return reply;
            }
            left += 1;
            let transport = reopen.reopen().await?;
            *self
                .transport
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = transport;
        }
    }

    /// The answer's JSON, or null where there is none.
    pub async fn ask(&self, ask: Ask) -> Result<Value, ClientError> {
        let body = self.bytes(ask).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| self.nonsense(error.to_string()))
    }

    /// The answer as a value of this type.
    pub async fn ask_for<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, ClientError> {
        let answer = self.ask(ask).await?;
        self.typed(answer)
    }

    /// An answer's JSON as a value of this type.
    pub fn typed<T: DeserializeOwned>(&self, answer: Value) -> Result<T, ClientError> {
        serde_json::from_value(answer).map_err(|error| self.nonsense(error.to_string()))
    }

    /// The answer as a stream of bytes, for events.
    pub async fn stream(&self, ask: Ask) -> Result<ByteStream, ClientError> {
        let reply = self
            .send(ask.header(header::ACCEPT, Some("text/event-stream")))
            .await?;
        if reply.status.is_success() {
            return Ok(reply.body);
        }
        let body = self.collect(reply.body).await?;
        Err(Problem::read(reply.status, &body).into())
    }

    /// The answer's bytes.
    pub async fn bytes(&self, ask: Ask) -> Result<Vec<u8>, ClientError> {
        let reply = self.send(ask).await?;
        let body = self.collect(reply.body).await?;
        if reply.status.is_success() {
            return Ok(body);
        }
        Err(Problem::read(reply.status, &body).into())
    }

    async fn collect(&self, mut body: ByteStream) -> Result<Vec<u8>, ClientError> {
        let mut collected = Vec::new();
        while let Some(part) = body.next().await {
            let part = part.map_err(|reason| ClientError::Interrupted {
                host: self.transport().to_string(),
                reason,
            })?;
            if collected.len() + part.len() > MAX_ANSWER {
                return Err(self.nonsense(format!("it is larger than {MAX_ANSWER} bytes")));
            }
            collected.extend_from_slice(&part);
        }
        Ok(collected)
    }

    fn nonsense(&self, reason: String) -> ClientError {
        ClientError::Nonsense {
            host: self.transport().to_string(),
            reason,
        }
    }
}

/// A path under [`API`] of these segments, each escaped.
pub fn path(segments: &[&str]) -> String {
    let mut path = API.to_owned();
    for segment in segments {
        path.push('/');
        for byte in segment.bytes() {
            // RFC 3986 section 2.3: what never needs an escape.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    path
}

/// A query's text (RFC 3986 section 3.4), each pair escaped.
pub(crate) fn query(pairs: &[(String, String)]) -> String {
    let escaped = |text: &str| path(&[text]).split_off(API.len() + 1);
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(
            path(&["secrets", "../a?b=c#d e/%41"]),
            "/api/v1/secrets/..%2Fa%3Fb%3Dc%23d%20e%2F%2541"
        );
        assert_eq!(
            query(&[("since".into(), "a+b&c=ä".into())]),
            "since=a%2Bb%26c%3D%C3%A4"
        );
    }
}
