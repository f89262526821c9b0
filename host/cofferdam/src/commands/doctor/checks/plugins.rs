//! The plugin folders and the grants.

use crate::commands::doctor::{Finding, Site};
use crate::host::{grants, plugin_folders};
use cofferdam_orchestrator::tool::Granted;
use cofferdam_runtime::PluginFolder;
use std::collections::BTreeSet;

/// Whether there are plugins, and which files are refused.
pub fn folders(site: &Site<'_>) -> Vec<Finding> {
    let folders = plugin_folders(site.global, &site.config);
    if folders.is_empty() {
        return vec![Finding::warning(
            "there is no plugin folder, so that no plugin is loaded",
            "name one with --plugins, COFFERDAM_PLUGINS or plugin-folders in the configuration",
        )];
    }
    let granted = grants::interfaces(&site.config);
    let found = PluginFolder::scan(&folders);
    let mut findings: Vec<Finding> = found
        .refused
        .iter()
        .map(|refused| {
            Finding::problem(
                format!("{} is refused: {}", refused.path.display(), refused.reason),
                "mend, replace or remove it; migrations do not begin while a file is refused",
            )
        })
        .collect();
    for file in &found.plugins {
        if let Err(reason) = file.inspection.check_grants(&granted) {
            findings.push(Finding::problem(
                format!("{} {reason}", file.path.display()),
                "grant it in the configuration, or take the plugin away",
            ));
        }
    }
    if found.plugins.is_empty() && found.refused.is_empty() {
        let places: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        findings.push(Finding::warning(
            format!("there are no plugins in {}", places.join(", ")),
            "`cargo xtask build-plugins` builds the first-party ones",
        ));
    }
    findings
}

/// Whether each grant can be used: its program is there, its patterns are patterns, and the
/// plugin is.
pub fn grants(site: &Site<'_>) -> Vec<Finding> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = PluginFolder::scan(&plugin_folders(site.global, &site.config));
    let known: BTreeSet<&str> = found
        .plugins
        .iter()
        .map(|file| file.inspection.manifest.id.as_str())
        .collect();
    let mut findings = Vec::new();
    for (id, plugin) in &site.config.plugins {
        if let Err(error) = Granted::check(id, &plugin.grants, &path) {
            findings.push(Finding::problem(
                error.to_string(),
                "install the program, or correct the grant in the configuration",
            ));
        }
        if !known.contains(id.as_str()) {
            findings.push(Finding::warning(
                format!("[plugins.{id}] is configured, and there is no such plugin"),
                "correct the id, or take the table away",
            ));
        }
    }
    findings
}
