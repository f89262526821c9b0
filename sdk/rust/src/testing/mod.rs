//! Doubles of the host, for a plugin's own tests: no WebAssembly, no disk, no root.
//!
//! **Design.** [`MemoryFiles`] is a small POSIX tree. [`MemoryGuest`] puts facts beside it
//! and applies each edit when it is recorded, so that later reads see it, as the host's
//! view does. [`Case`] loads a fixer's case folder (`case.toml`, `tree/`, `expected.json`)
//! and [`run_cases`] runs all of a plugin's. [`MemoryTrees`], [`DirectoryFolder`] and
//! [`MemoryDevice`] are the same for the other kinds.
//!
//! **Limits.** Permissions are kept and not enforced. Only one tree: a mount is a
//! directory like any other, except that renames and links do not cross it.

mod case;
mod context;
mod device;
mod edit;
mod files;
mod guest;
mod source;
mod trees;

pub use case::{Case, Facts, Outcome, Override, plugin_defaults, run_cases};
pub use context::MemoryContext;
pub use device::{FileDevice, MemoryDevice, session};
pub use edit::{Content, Edit, Note};
pub use files::MemoryFiles;
pub use guest::MemoryGuest;
pub use source::{DirectoryFolder, MemoryMachine, Nic};
pub use trees::{Findings, MemoryTrees};
