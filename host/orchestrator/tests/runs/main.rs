//! Runs on scripted steps: a native step that does what its input says, and a host over a
//! state folder of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends by a panic; its helpers do too"
)]

mod approval;
mod cancel;
mod common;
mod graph;
mod kill;
mod many;
mod parked;
mod programs;
mod retry;
mod secrets;
mod start;
