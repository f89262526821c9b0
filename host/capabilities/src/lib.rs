//! What a plugin's imports do, one module for each interface that the host offers, and
//! the plugin kinds as components.
//!
//! **Problem.** The orchestrator offers services and calls plugins as traits of
//! `contract`; the runtime runs components and knows neither. Something has to stand
//! between a component's imports and the services, and between the traits and a
//! component's exports, and to trust neither side of the wall on the guest's.
//!
//! **Design.** Each interface's module implements the generated `Host` trait on [`Host`],
//! a view of the instance's state; the service behind it is kept in the state's
//! extensions. What `wit/` says of arguments (4 MiB a read, sizes, paths) is checked here,
//! so that no service has to. [`plugins`] has a component-backed implementation of each
//! trait in `contract::kinds`; what a component returns is checked there against what
//! `wit/` promises, and a breach is [`CallError::Nonsense`].
//!
//! **Limits.** Checks are of form: whether a directory that a file-system plugin lists is
//! really there, only reading the disk again could tell.
//!
//! [`CallError::Nonsense`]: cofferdam_contract::failure::CallError::Nonsense

mod arguments;
mod config;
mod context;
mod devices;
mod edits;
mod facts;
mod findings;
mod host;
mod http;
mod machine;
pub mod plugins;
mod reply;
mod secrets;
mod source_folder;
mod tool;
mod trees;
mod view;

pub use host::{Host, HostData};
pub use plugins::{LoadedPlugins, Steps, assemble, load_plugins, load_step};

use cofferdam_runtime::{Capability, Options, Runtime, StartError};
use std::sync::Arc;

/// Every capability that this host offers.
pub const ALL: [&dyn Capability; 14] = [
    &context::ContextCapability,
    &config::ConfigCapability,
    &source_folder::SourceFolderCapability,
    &machine::MachineCapability,
    &devices::DevicesCapability,
    &reply::ReplyCapability,
    &trees::TreesCapability,
    &findings::FindingsCapability,
    &view::ViewCapability,
    &facts::FactsCapability,
    &edits::EditsCapability,
    &secrets::SecretsCapability,
    &tool::ToolCapability,
    &http::HttpCapability,
];

/// A runtime whose plugins may import what their world has and what was granted to them.
pub fn runtime(options: &Options) -> Result<Arc<Runtime>, StartError> {
    Runtime::new(options, &ALL)
}
