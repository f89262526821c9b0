//! The composition root: where the parts are put together into a host.

mod catalogue;
pub mod embedded;
mod filters;
pub mod grants;
pub mod migrations;
mod natives;
mod plugins;
pub mod state;
pub mod tls;

pub use plugins::{load_granted, plugin_folders, runtime};
