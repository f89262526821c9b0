//! The orchestrator on native doubles: a file system that keeps its tree as JSON on the
//! device it is given, a disk source, an inspector, and fixers that are closures.
//!
//! The double's state lives on the device bytes alone, so that a rehearsal on a second
//! overlay and a fresh session see what was committed there and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends by a panic; its helpers do too"
)]

mod common;
mod edits;
mod lies;
mod migration;
mod output;
mod resolve;
mod steps;
