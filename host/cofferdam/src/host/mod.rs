//! The composition root: where the parts are put together into a host.

mod catalogue;
pub mod embedded;
pub mod grants;
mod natives;
mod plugins;
pub mod state;
pub mod tls;

pub use plugins::{load, plugin_folders};
