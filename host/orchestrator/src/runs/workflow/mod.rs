//! The workflow file: what a person writes to have something done.
//!
//! **Problem.** A misspelt key in a file that drives disks must never be silently no key,
//! and the author has to learn where the mistake is and what was probably meant.
//!
//! **Design.** The file is YAML 1.2 ([`file`] has its records), read under a budget so
//! that a hostile file costs a bounded amount of memory and time ([`parse`]). The same
//! records give the published JSON Schema ([`schema`]), so the two cannot disagree.
//! [`compile`] then checks what a schema cannot say: names, expressions, cycles.
//!
//! **Limits.** A file has at most 256 KiB and 1 to 500 steps. Anchors and aliases work;
//! merge keys, several documents and non-finite numbers are refused.

pub mod compile;
pub mod file;
pub mod input;
pub mod located;
pub mod parse;
pub mod period;
pub mod schema;

pub use compile::{CompiledStep, CompiledWorkflow};
pub use file::{Approval, InputDefinition, InputType, Retry, StepDefinition, WorkflowFile};
pub use located::{Located, Place};
pub use parse::WorkflowError;
pub use period::Period;
