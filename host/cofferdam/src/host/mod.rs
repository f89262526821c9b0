//! The composition root: where the parts are put together into a host.

mod catalogue;
pub mod embedded;
mod filters;
pub mod grants;
mod installed;
mod listing;
pub mod live;
pub mod migrations;
mod natives;
mod plugins;
pub mod state;
pub mod tls;
mod unmatched;

pub use migrations::serving;
pub use plugins::{load, plugin_folders, runtime};
