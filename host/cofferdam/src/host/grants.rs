//! Grants of the configuration: which interfaces a plugin holds, and how far each reaches.

use crate::config::Config;
use anyhow::{Context, Result};
use cofferdam_contract::grants::Granted;
use cofferdam_orchestrator::grants::{Grants, PluginGrants, Said};

/// Which interfaces each plugin was granted.
pub fn interfaces(config: &Config) -> Granted {
    let mut granted = Granted::nothing();
    for (id, plugin) in &config.plugins {
        grant(&mut granted, id, &plugin.grants);
    }
    granted
}

/// Which interfaces these grants are of.
pub fn of_plugin(id: &str, grants: &PluginGrants) -> Granted {
    let mut granted = Granted::nothing();
    grant(&mut granted, id, grants);
    granted
}

fn grant(granted: &mut Granted, id: &str, grants: &PluginGrants) {
    for (capability, said) in grants.said() {
        if said == Some(Said::Something) {
            granted.grant(id, capability);
        }
    }
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
