//! Runs: their making, their changes, and how they are read.

mod advance;
mod approvals;
mod artifacts;
mod control;
mod create;
mod list;
mod read;
mod transition;

pub(crate) use approvals::one_more;
pub(crate) use control::release_steps;
pub(crate) use create::unless_duplicate;
