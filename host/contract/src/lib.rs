//! The contract between the host and its plugins: the only place both sides meet.
//!
//! **Problem.** The orchestrator has to work with file systems, inspectors and fixers
//! without knowing whether one is a sandboxed component, a native driver or a test
//! double; the runtime has to run components without knowing what a migration is.
//!
//! **Design.** [`bindings`] holds the records and interfaces generated from `wit/`.
//! [`types`] gives the records their short names. [`services`] has one trait for each
//! interface that the host offers (what an import does), [`kinds`] one trait for each
//! kind of plugin (what an export does), in terms of those records and services.
//! [`manifest`] is what a plugin says of itself, [`order`] the sequence that follows from
//! it, [`limits`] how much it may use, [`grants`] what an operator allows it, [`failure`]
//! how a call can end badly.
//!
//! **Limits.** No I/O and no policy here. A record or trait changes only with `wit/`.

pub mod bindings;
pub mod failure;
pub mod grants;
pub mod kinds;
pub mod limits;
pub mod manifest;
pub mod order;
pub mod services;
pub mod types;
