//! One migration, stage by stage. [`run`] is the sequence; each stage is a module.

pub mod binding;
pub mod devices;
pub mod discover;
pub mod inspect;
pub mod open;
pub mod plan;
pub mod rehearse;
pub mod report;
pub mod request;
pub mod run;
pub mod verify;

pub use plan::Plan;
pub use report::Report;
pub use request::{Request, Target};
pub use run::{Rehearsed, plan, reproduce};
