//! The guest as plugins see it: file systems composed into one tree, and the edits planned
//! on it.
//!
//! **Problem.** A fixer must read the guest as it will be after the edits of those before
//! it, across mounts and links, while nothing is written; what it records must be
//! shown to a person and carried out later, once, on exactly what was read.
//!
//! **Design.** [`model`] holds inodes and directory entries over the mounted file
//! systems, copy-on-write: what nobody touched is read from the file system when asked
//! for, what an edit touched is kept in memory, by inode, so that a file with two names
//! shows its edit under both. [`resolve`] walks paths through it, following links inside
//! the guest and never out. [`edits`] turns a fixer's calls into [`Edit`]s on it.
//! [`content`] describes file content as pieces of old file and new bytes, so that
//! appending to a large file costs the bytes appended. [`change`] sums edits up per path
//! for people.
//!
//! **Limits.** New bytes stay in memory until the run ends. Paths longer than 4,096 bytes
//! and chains of more than 40 links are refused, as Linux does.

pub mod change;
pub mod content;
pub mod edits;
pub mod model;
pub mod note;
pub mod resolve;
pub mod trees;
pub mod view;

pub use change::PathChange;
pub use edits::{Edit, Operation};
pub use model::{Model, Mount};
pub use note::{Note, Notes};
pub use view::Planned;
