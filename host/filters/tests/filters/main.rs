//! Filters around plugins that are test doubles: what the traits promise, without components.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod configured;
mod damage;
mod disks;
mod doubles;
mod fixers;
mod secrets;
mod stacking;
mod steps;
