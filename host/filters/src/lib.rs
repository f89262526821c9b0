//! Filters around plugin calls: record, replay, delay, error, rate, log.
//!
//! **Problem.** What went wrong in a call to a plugin has to be looked at elsewhere, without
//! the disk, the cluster or the secrets it happened with; and what a host does when a plugin
//! is slow, fails or is called too often has to be tried out before it happens.
//!
//! **Design.** A filter is a decorator over a trait of `contract::kinds`, made from data
//! ([`FilterConfig`], a list for each plugin, nearest to the plugin first). [`Filters`] puts
//! them around plugins: each stands in front of what was wrapped before it.
//! - `delay`, `error`, `rate` and `log` need to know of a call only its name and how it ended;
//!   they are the same code for all kinds ([`around`]).
//! - `record` also wraps the services that a call is given, and writes everything that
//!   crossed the boundary into one file ([`recording`]).
//! - `replay` stands in for a plugin and answers from recordings; [`replay()`] goes the other
//!   way and runs a plugin against a recording, which takes the place of the host. In both, the
//!   first difference is an error that names it ([`Divergence`]).
//!
//! **Limits.** Recordings are of fixers, inspectors and workflow steps: a call of those is a
//! whole. A disk source's and a file system's are not. What a plugin learns without a service
//! is not in a recording: the time that a call has left and, for steps, WASI's clocks and
//! random bytes, and answers to HTTP requests.

pub mod around;
mod chance;
mod clock;
mod code;
pub mod config;
mod error;
mod filters;
mod record;
pub mod recording;
pub mod replay;
mod services;

pub use config::FilterConfig;
pub use error::FilterError;
pub use filters::{Filters, Redact};
pub use recording::{RecordedPlugin, Recording, RecordingError};
pub use replay::{Divergence, ReplayError, Subject, Verdict, replay};
