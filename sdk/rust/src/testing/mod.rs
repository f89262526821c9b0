//! Doubles of the host, for a plugin's own tests: no WebAssembly, no disk, no root.
//!
//! **Design.** [`MemoryFiles`] is a small POSIX tree. [`MemoryGuest`] puts facts beside it
//! and applies each edit when it is recorded, so that later reads see it, as the host's
//! view does. [`Case`] loads a fixer's case folder (`case.toml`, `tree/`, `expected.json`)
//! and [`run_cases`] runs all of a plugin's ([`run_case_folders`] for any kind); [`MemoryStep`], [`StepCase`] and
//! [`run_step_cases`] do the same for workflow steps, [`MemoryTrees`], [`InspectorCase`] and
//! [`run_inspector_cases`] for inspectors, [`DirectoryFolder`], [`MemoryMachine`], [`SourceCase`]
//! and [`run_source_cases`] for disk sources. [`MemoryDevice`] is a device for file systems.
//!
//! **Limits.** Permissions are kept and not enforced. Only one tree: a mount is a
//! directory like any other, except that renames and links do not cross it.

mod case;
mod context;
mod device;
mod edit;
mod files;
mod folder;
mod guest;
mod inspector_case;
mod part;
mod source;
mod source_case;
mod step;
mod step_case;
mod trees;

pub use case::{Case, Facts, Outcome, Override, plugin_defaults, run_cases};
pub use context::MemoryContext;
pub use device::{FileDevice, MemoryDevice, session};
pub use edit::{Content, Edit, Note};
pub use files::MemoryFiles;
pub use folder::{case_folders, run_case_folders};
pub use guest::MemoryGuest;
pub use inspector_case::{CaseDevice, InspectorCase, InspectorOutcome, run_inspector_cases};
pub use part::Part;
pub use source::{DirectoryFolder, MemoryMachine, Nic};
pub use source_case::{GivenFile, SourceCase, SourceOutcome, run_source_cases};
pub use step::{Kept, MemoryStep};
pub use step_case::{StepCase, StepResult, run_step_cases};
pub use trees::{Findings, MemoryTrees};
