//! Whether a component keeps the contract of its world.
//!
//! **Problem.** An author learns from a trap in somebody's migration that the contract forbade
//! what the plugin does: that it plans its edits again on its own result, that it says nothing
//! when it fails, that it wants what it never uses.
//!
//! **Design.** The component runs in the real runtime, behind the real capabilities and within
//! its manifest's own limits. What stands behind the imports is data: the doubles of the Rust
//! SDK, whatever language the plugin is written in. A [`Scenario`] is one thing that a plugin is
//! given, ordinary or hostile, and its cases are scenarios too; an [`Observation`] is what came
//! of it. [`checks::CHECKS`] is the table of what is compared, with what an author has to change;
//! [`test`] runs them all, and [`Report`] is what it found.
//!
//! **Limits.** Passing shows that a plugin behaves as plugins have to, not that it does the
//! right thing: that is what its cases are for. File systems have no cases here, because what
//! they do is held against the tools of their own system.

pub mod checks;
mod convert;
mod examine;
mod host;
mod observe;
mod report;
mod scenario;
mod settings;
mod subject;

pub use examine::{KitError, test};
pub use observe::Observation;
pub use report::{Checked, Outcome, Report};
pub use scenario::Scenario;
