//! Durable runs, and migrations: from a machine's disks to disks that boot on the target.
//!
//! [`Orchestrator`] is a host over a state folder: [`runs`] follow workflow files and
//! survive that the host is killed, [`identity`] says who may do what, [`secrets`] are kept
//! for steps, [`grants`] say what plugins may do, [`tool`] runs granted programs, [`plugins`]
//! are installed, activated and watched. [`catalogue`] is where steps come from. The rest of
//! this page is about migrations, which are steps of runs.
//!
//! **Problem.** Making a foreign disk bootable means editing a stranger's file systems.
//! Tools that edit first and report afterwards leave a half-changed disk when they fail,
//! and ask for trust instead of showing what they will do.
//!
//! **Design.** A migration is planned, rehearsed, looked at, approved and then applied,
//! exactly as approved:
//! 1. a disk source says which files are the machine's disks;
//! 2. every disk gets a copy-on-write overlay, its file systems are mounted there
//!    (replaying journals into it), inspectors say what the guest is;
//! 3. fixers look at the guest and record edits; nothing is written ([`guest`]);
//! 4. the edits are carried out on a second overlay through the file-system plugin, a fresh
//!    read-only session compares the result with the plan, and the fixers run again and
//!    must have nothing left to do;
//! 5. the plan names the edits with their diffs, and everything it depends on
//!    ([`migration::plan`]);
//! 6. the rehearsed overlay itself is converted.
//!
//! All plugins are traits of `cofferdam-contract`; this crate does not know whether one
//! is a component, a native driver or a test double, and knows no file system, no boot
//! loader and no distribution.
//!
//! **Limits.** A migration is of one machine, whose operating system is on the disks given.

pub mod catalogue;
pub mod disks;
pub mod error;
pub mod filelock;
pub mod grants;
pub mod guest;
pub mod identity;
pub mod metrics;
pub mod migration;
pub mod observer;
pub mod paths;
pub mod plugins;
pub mod redact;
pub mod runs;
pub mod secrets;
pub mod service;
pub mod tool;

pub use catalogue::{
    BuiltInWorkflow, Catalogue, CatalogueError, NativeSteps, PluginInfo, ResolvedPlugin,
    StepReference,
};
pub use error::MigrateError;
pub use filelock::FileLock;
pub use identity::{Actor, Via};
pub use paths::StatePaths;
pub use plugins::{PluginRegistry, PluginsError};
pub use runs::{Notice, RunError, Runs, StartRun, WorkflowSource};
pub use service::{OpenError, Options, Orchestrator};
