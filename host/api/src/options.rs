//! What an operator can set about the API, with defaults that suit one host.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// A rate: `per_second` in the long run, `burst` at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second.
    pub per_second: NonZeroU32,
    /// Requests at once after a quiet time.
    pub burst: NonZeroU32,
}

impl Rate {
    /// A rate; zero counts as one.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            per_second: at_least_one(per_second),
            burst: at_least_one(burst),
        }
    }
}

/// Limits and roots of the API. Lengths are bytes.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Longest request body.
    pub body_limit: usize,
    /// How long a client may take to send its body.
    pub body_timeout: Duration,
    /// How long a request may take from its body to the beginning of its answer.
    pub request_timeout: Duration,
    /// Longest component that can be installed.
    pub upload_limit: usize,
    /// How long a client may take to send a component.
    pub upload_timeout: Duration,
    /// Components that are received at once, over all clients; each may take
    /// `upload_limit` of memory.
    pub max_uploads: usize,
    /// After how much silence an event stream sends a comment, or a WebSocket a ping.
    pub heartbeat: Duration,
    /// Event streams and WebSockets at once, over all clients.
    pub max_streams: usize,
    /// Event streams and WebSockets at once of one token.
    pub max_streams_per_token: usize,
    /// Longest WebSocket message of a client.
    pub websocket_message_limit: usize,
    /// A WebSocket whose client sent nothing, no pong either, for this long is closed.
    pub websocket_idle: Duration,
    /// Requests of one token.
    pub token_rate: Rate,
    /// Requests of one network address, known token or not.
    pub address_rate: Rate,
    /// Folders in which `disks` may open images. None: no image can be looked at.
    pub file_roots: Vec<PathBuf>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            body_limit: 1 << 20,
            body_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
            // What the runtime takes at most, see `cofferdam_runtime::MAX_COMPONENT_BYTES`.
            upload_limit: 64 << 20,
            upload_timeout: Duration::from_secs(300),
            max_uploads: 2,
            heartbeat: Duration::from_secs(15),
            max_streams: 4096,
            max_streams_per_token: 2048,
            websocket_message_limit: 64 << 10,
            websocket_idle: Duration::from_secs(60),
            token_rate: Rate::new(100, 200),
            address_rate: Rate::new(200, 400),
            file_roots: Vec::new(),
        }
    }
}
