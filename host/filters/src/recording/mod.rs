//! A recorded call: everything that crossed the boundary between host and plugin, in order.
//!
//! **The file** is lines of JSON, so that people can look into it:
//! 1. `{"cofferdam-recording":1,"made-by":…}`;
//! 2. the blocks: contents that were read or written, each once, by their sha256, as text where
//!    they are short and text, else as base64;
//! 3. `{"call":…}`: the plugin with its digest, the function and what it was given (settings,
//!    time, input or facts);
//! 4. `{"ask":…,"answer":…}`: each use of a service, in the order in which they began, with what
//!    the service answered; contents by digest;
//! 5. `{"end":…}`: what came of the call;
//! 6. `{"sha256":…}` over all bytes before.
//!
//! One call, one file: it is written beside its place and gets its name when it is whole.
//!
//! **Limits.** The digest finds damage, it proves no origin: a recording is data from whoever
//! gives it, and replaying it has no effect outside. Progress is not recorded.

mod ask;
mod block;
mod clean;
mod error;
mod model;
mod read;
mod wire;
mod write;

pub(crate) use ask::{
    Ask, ContextAsk, EditsAsk, FindingsAsk, HttpAsk, SecretsAsk, ToolAsk, TreesAsk, ViewAsk,
};
pub(crate) use block::Block;
pub(crate) use clean::Cleaner;
pub(crate) use model::{End, Ended, Entry, Exchange, Header, Returned};
pub(crate) use wire::{Answer, Wire, answer_of};
pub(crate) use write::{Sink, sweep};

pub use error::RecordingError;
pub use model::{RecordedPlugin, Recording};

/// The version of the file's form.
const FORMAT: u32 = 1;

/// What recordings' names end with.
pub const EXTENSION: &str = "recording";

/// The most bytes of a recording. A fixer that rewrites initrds carries some hundred MiB.
const MOST_BYTES: u64 = 1 << 30;

/// The most uses of services in one recording.
pub(crate) const MOST_EXCHANGES: usize = 1_000_000;
