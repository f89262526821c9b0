//! The API over real runs with native steps.

mod document;
mod events;
mod fuzz;
mod idempotency;
mod identity;
mod limits;
mod lists;
mod problems;
mod roles;
mod serving;
mod support;
mod websocket;
