//! Runs plugin components: load, inspect, limit, cache.
//!
//! **Problem.** A plugin is code that nobody here has read. It must be recognised without
//! being run, compiled once, started in microseconds, stopped at every limit, and when it
//! misbehaves the answer must name it; while the host and its other plugins go on.
//!
//! **Design.**
//! - [`inspect`] reads a file's sections and says what it is; nothing of it runs.
//!   [`PluginFolder`] does that for folders, and keeps what was refused with the reason.
//! - [`engine`] has the one function that configures wasmtime, so that what one process
//!   compiled another loads. [`compiler`] compiles in a child process under limits;
//!   [`cache`] keeps what it made, by digest and under the host's own key.
//! - [`Runtime`] owns the engine, the threads that guests run on, and one linker for each
//!   kind of plugin, which holds exactly the imports of that kind's world. A capability
//!   is added from outside ([`Capability`]); this crate names none.
//! - [`PluginCode`] is one plugin, compiled at its first use. [`Session`] is one instance
//!   of it: its own memory and [`State`]. A call runs on the guest threads, metered
//!   ([`meter`]), limited ([`limiter`]) and timed; a call that did not end well takes its
//!   instance with it.
//!
//! **Limits.** CPU time is looked at when the epoch ticks (1 ms) and between polls, so a
//! call may overrun by a tick, or by one uninterruptible step: a host function, or a bulk
//! memory instruction, which the memory limit bounds. Epochs do not interrupt host code:
//! capabilities bound their own work.

mod artifact;
pub mod cache;
mod capability;
mod code;
pub mod compiler;
mod egress;
mod embed;
pub mod engine;
mod error;
mod fair;
mod folder;
mod guest_threads;
mod inspect;
pub mod limiter;
mod log_budget;
pub mod meter;
mod queue;
mod random;
mod runtime;
mod session;
mod slots;
mod state;
mod thread_clock;
mod ticker;
mod turns;
mod verdict;
mod wasi;
mod watched;

pub use capability::Capability;
pub use code::PluginCode;
pub use egress::{EgressBudget, EgressSpent};
pub use embed::embed_manifest;
pub use error::{LoadError, StartError};
pub use folder::{PluginFile, PluginFolder, RefusedFile};
pub use inspect::{Inspection, MAX_COMPONENT_BYTES, inspect};
pub use runtime::{Options, Runtime};
pub use session::{GuestFuture, Session};
pub use state::{Extensions, State};
pub use verdict::{HostFailure, Misbehaviour};
