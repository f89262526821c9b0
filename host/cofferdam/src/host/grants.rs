//! Grants of the configuration: which interfaces a plugin holds, and how far each reaches.

use crate::config::Config;
use anyhow::{Context, Result};
use cofferdam_contract::grants::{Granted, HTTP};
use cofferdam_orchestrator::grants::Grants;

/// The interface behind `[plugins.ID.grants.tool]`.
const TOOL: &str = "cofferdam:tool/tool";
/// The interface behind `[plugins.ID.grants.secrets]`.
const SECRETS: &str = "cofferdam:runtime/secrets";

/// Which interfaces each plugin was granted.
pub fn interfaces(config: &Config) -> Granted {
    let mut granted = Granted::nothing();
    for (id, plugin) in &config.plugins {
        if !plugin.grants.tool.is_empty() {
            granted.grant(id, TOOL);
        }
        if plugin.grants.secrets.is_some() {
            granted.grant(id, SECRETS);
        }
        if plugin.grants.http.is_some() {
            granted.grant(id, HTTP);
        }
    }
    granted
}

/// How far the grants reach: programs are looked for on the operator's PATH, now.
pub fn scopes(config: &Config) -> Result<Grants> {
    let grants = config
        .plugins
        .iter()
        .map(|(id, plugin)| (id.as_str(), &plugin.grants));
    Grants::check(grants, &std::env::var_os("PATH").unwrap_or_default())
        .context("the grants in the configuration cannot be used")
}
