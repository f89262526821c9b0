//! The API over real runs with native steps.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests stop at the first thing that is not as it should be"
)]

mod artifacts;
mod document;
mod events;
mod fuzz;
mod idempotency;
mod identity;
mod limits;
mod lists;
mod plugins;
mod problems;
mod roles;
mod serving;
mod support;
mod websocket;
