//! Programs under their supervisors: real processes, killed for real.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: what is not as expected ends them, in their helpers too"
)]

mod common;
mod confinement;
mod durability;
mod ends;
mod files;
mod secrets;
mod stopping;
