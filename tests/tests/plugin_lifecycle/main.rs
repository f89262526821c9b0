//! The life of an installed plugin, from the command line: the same embedded and against a
//! server, with real components.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "../../../host/runtime/tests/guest/mod.rs"]
mod guest;

mod killed;
mod people;
mod runs;
mod site;
mod table;
mod terminal;
mod watch;
