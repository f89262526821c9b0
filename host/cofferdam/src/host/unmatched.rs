//! Tables `[plugins.ID]` that do nothing, because no plugin is called so, and grants to plugins
//! that cannot use any: what the operator wrote was meant for another id.

use crate::config::Config;
use cofferdam_contract::kinds::Kind;
use cofferdam_orchestrator::catalogue::{PluginInfo, RefusedPlugin};
use cofferdam_orchestrator::grants::PluginGrants;
use cofferdam_orchestrator::runs::nearest::did_you_mean;
use std::collections::BTreeMap;

/// Plugins by id, with their kind where it is known.
pub type Known = BTreeMap<String, Option<Kind>>;

/// The ids that a configuration may be about: of what is listed, of what is in the folders and
/// cannot be used, and of every installed version.
pub fn known(
    listed: Vec<PluginInfo>,
    refused: Vec<RefusedPlugin>,
    installed: impl IntoIterator<Item = (String, Option<Kind>)>,
) -> Known {
    let refused = refused.into_iter().filter_map(|refused| {
        let name = refused.file.file_stem()?.to_str()?.to_owned();
        Some((name, None))
    });
    let listed = listed.into_iter();
    refused
        .chain(installed)
        .chain(listed.map(|plugin| (plugin.id, Some(plugin.kind))))
        .collect()
}

/// Says in the log, a line each, which tables of the configuration nobody will use.
pub fn tell(config: &Config, known: &Known) {
    for warning in warnings(config, known) {
        tracing::warn!("{warning}");
    }
}

fn warnings(config: &Config, known: &Known) -> Vec<String> {
    let tables = config.plugins.iter();
    tables
        .filter_map(|(id, plugin)| match known.get(id) {
            None => Some(format!(
                "[plugins.{id}] is configured, and no plugin of that id is in the plugin folders or installed{}",
                did_you_mean(id, known.keys().map(String::as_str))
            )),
            Some(Some(kind))
                if kind.grantable_imports().is_empty() && plugin.grants != PluginGrants::default() =>
            {
                Some(format!(
                    "[plugins.{id}.grants] grants nothing: {id} is a {kind}, and no {kind} can use a grant"
                ))
            }
            Some(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_nobody_are_told_with_the_nearest_id() {
        let known: Known = [
            ("fstab", Some(Kind::Fixer)),
            ("command", Some(Kind::WorkflowStep)),
            ("damaged", None),
        ]
        .map(|(id, kind)| (id.to_owned(), kind))
        .into();
        for (text, expected) in [
            ("[plugins.fstb.limits]\ncpu-ms = 9", Some("`fstab`?")),
            (
                "[plugins.xyz.crash]\npolicy = 'retry'",
                Some("[plugins.xyz]"),
            ),
            ("[plugins.fstab.limits]\ncpu-ms = 9", None),
            (
                "[plugins.fstab.grants.secrets]\nnames = ['a']",
                Some("fstab is a fixer"),
            ),
            ("[plugins.command.grants.secrets]\nnames = ['a']", None),
            ("[plugins.damaged.grants.secrets]\nnames = ['a']", None),
        ] {
            let config: Config = toml::from_str(text).unwrap();
            let said = warnings(&config, &known);
            assert_eq!(said.len(), usize::from(expected.is_some()), "{said:?}");
            for (warning, words) in said.iter().zip(expected) {
                assert!(warning.contains(words), "{warning}");
            }
        }
    }
}
