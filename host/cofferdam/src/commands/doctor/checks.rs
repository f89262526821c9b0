//! The checks, in the order of what depends on what.

mod client;
mod kept;
mod plugins;
mod server;
mod state;
mod system;

use super::{Finding, Site};

/// The file `cofferdam.toml`.
pub const CONFIGURATION: &str = "configuration";

/// Every check's name.
pub const NAMES: [&str; 12] = [
    CONFIGURATION,
    "state folder",
    "secret key",
    "database",
    "components",
    "host",
    "plugins",
    "grants",
    "disk space",
    "address space",
    "server",
    "client",
];

/// Everything that is found.
pub async fn all(site: &Site<'_>) -> Vec<(&'static str, Finding)> {
    let mut findings = Vec::new();
    let mut found = |check: &'static str, more: Vec<Finding>| {
        findings.extend(more.into_iter().map(|finding| (check, finding)));
    };
    found("state folder", state::folder(site));
    found("secret key", state::secret_key(site));
    found("secret key", kept::secrets(site));
    found("database", state::database(site));
    found("components", kept::components(site));
    let (holder, more) = state::host(site).await;
    found("host", more);
    found("plugins", plugins::folders(site));
    found("grants", plugins::grants(site));
    found("disk space", system::disk_space(site));
    found("address space", system::address_space());
    found("server", server::listen(site, holder).await);
    found("client", client::server(site).await);
    findings
}
