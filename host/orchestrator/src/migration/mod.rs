//! One migration, stage by stage. [`run`] is the sequence up to a rehearsed plan, and
//! [`apply`] what follows; each stage is a module.

pub mod apply;
pub mod binding;
mod clock;
pub mod devices;
pub mod discover;
pub mod inspect;
pub mod open;
pub mod output;
pub mod plan;
pub mod rehearse;
pub mod report;
pub mod request;
pub mod run;
pub mod steps;
pub mod verify;

pub use apply::apply;
pub use output::Output;
pub use plan::Plan;
pub use report::Report;
pub use request::{Request, Target};
pub use run::{Rehearsed, plan, reproduce};
