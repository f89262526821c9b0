//! What is killed at any moment ends as if it had not been.
//!
//! `cargo xtask test` runs a sample of this; `cargo xtask soak` runs as many rounds as it
//! is told. What is random comes from one printed seed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod api;
mod chance;
mod host;
mod journal;
mod ledger;
mod migration;
mod moments;
mod steps;
mod storage;
mod verdict;
