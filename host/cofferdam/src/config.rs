//! `cofferdam.toml` and `--set`.

use anyhow::{Context, Result, bail};
use cofferdam_orchestrator::migration::request::GivenSettings;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "cofferdam.toml";

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Folders with plugins; relative ones are relative to the file.
    pub plugin_folders: Vec<PathBuf>,
    /// By plugin id.
    pub plugins: BTreeMap<String, PluginConfig>,
}

/// What is configured for one plugin.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PluginConfig {
    /// Its settings; checked against its schema when it is used.
    pub settings: Map<String, Value>,
}

impl Config {
    /// Reads the file named, or `cofferdam.toml` where there is one.
    pub fn read(named: Option<&Path>) -> Result<Self> {
        let path = match named {
            Some(path) => path,
            None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        let mut config: Self = toml::from_str(&text)
            .with_context(|| format!("the configuration {} cannot be used", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for plugins in &mut config.plugin_folders {
            *plugins = folder.join(&plugins);
        }
        Ok(config)
    }

    /// The settings given here and by `--set`, which wins.
    pub fn settings(&self, set: &[String]) -> Result<GivenSettings> {
        let mut given: GivenSettings = self
            .plugins
            .iter()
            .filter(|(_, plugin)| !plugin.settings.is_empty())
            .map(|(id, plugin)| (id.clone(), plugin.settings.clone()))
            .collect();
        for text in set {
            let Some((id, key, value)) = split(text) else {
                bail!("--set {text:?} is not ID.KEY=VALUE, as in --set fstab.mode=noop");
            };
            let value =
                serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            given
                .entry(id.to_owned())
                .or_default()
                .insert(key.to_owned(), value);
        }
        Ok(given)
    }
}

fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (place, value) = text.split_once('=')?;
    let (id, key) = place.split_once('.')?;
    (!id.is_empty() && !key.is_empty()).then_some((id, key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_wins_over_the_file_and_takes_json_or_text() {
        let config: Config =
            toml::from_str("[plugins.fstab.settings]\nmode = \"all\"\nother = 1").unwrap();
        let set = ["fstab.mode=noop", "grub.deep=true", "grub.text=a=b"].map(str::to_owned);
        let given = config.settings(&set).unwrap();
        assert_eq!(
            serde_json::to_value(given).unwrap(),
            serde_json::json!({
                "fstab": {"mode": "noop", "other": 1},
                "grub": {"deep": true, "text": "a=b"},
            })
        );
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for text in ["fstab", "fstab.mode", "fstab=noop", ".mode=x", "fstab.=x"] {
            let error = Config::default().settings(&[text.to_owned()]).unwrap_err();
            assert!(error.to_string().contains("ID.KEY=VALUE"), "{text}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = toml::from_str::<Config>("plugin-folder = []").unwrap_err();
        assert!(error.to_string().contains("plugin-folders"), "{error}");
    }
}
