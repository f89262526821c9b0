//! Installed plugins on the real engine, with components that are scripts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;
mod crashes;
mod grants;
mod lifecycle;
mod mending;
mod stages;
