//! `cofferdam.toml` and `--set`.
//!
//! The records here are the file's form; their doc comments are the descriptions in
//! `docs/cofferdam.schema.json`, which a test keeps in step. Keys that nobody knows are
//! refused with their line and the nearest name ([`check`]).

mod check;
mod registry;
mod server;

pub use registry::RegistryConfig;
pub use server::{ClientConfig, RateConfig, ServerConfig};

use anyhow::{Context, Result, anyhow, bail};
use cofferdam_contract::limits::{HostLimitOverrides, LimitOverrides};
use cofferdam_filters::FilterConfig;
use cofferdam_orchestrator::grants::PluginGrants;
use cofferdam_orchestrator::migration::request::GivenSettings;
use cofferdam_orchestrator::plugins::CrashPolicy;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "cofferdam.toml";

/// The configuration of a Cofferdam host and its command line. Relative paths are relative
/// to this file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(title = "cofferdam.toml")]
pub struct Config {
    /// Folders with plugins.
    pub plugin_folders: Vec<PathBuf>,
    /// Folder with the host's state: database, key, components, working folders.
    pub state: Option<PathBuf>,
    /// File with the 32-byte key of the secrets, mode 0600, instead of the state folder's.
    pub secret_key: Option<PathBuf>,
    /// The project that commands are about when none is named.
    pub project: Option<String>,
    /// How many steps may be at work at once, over all runs.
    pub max_steps: Option<usize>,
    /// What compiling a plugin may cost.
    pub limits: HostLimitOverrides,
    /// What `serve` does.
    pub server: ServerConfig,
    /// How commands reach a server.
    pub client: ClientConfig,
    /// How registries of plugins are asked, and who has to have signed what is in them.
    pub registry: RegistryConfig,
    /// By plugin id.
    pub plugins: BTreeMap<String, PluginConfig>,
}

/// What is configured for one plugin.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PluginConfig {
    /// Its settings; checked against its schema when it is used.
    pub settings: Map<String, Value>,
    /// What it may do beyond what its kind always may; a plugin that wants more is refused.
    pub grants: PluginGrants,
    /// What it may use, instead of what its manifest asks for, and what compiling it may cost,
    /// instead of what `limits` say for all.
    pub limits: LimitOverrides,
    /// What stands around its calls, nearest to the plugin first.
    pub filters: Vec<FilterConfig>,
    /// What is done when it crashes.
    pub crash: CrashPolicy,
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
        let mut config = Self::parse(&text)
            .with_context(|| format!("the configuration {} cannot be used", path.display()))?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self> {
        check::known_keys(text, &Self::schema())?;
        let config: Self = toml::from_str(text)?;
        config.check_limits()?;
        for (id, plugin) in &config.plugins {
            plugin
                .crash
                .check()
                .map_err(|reason| anyhow!("[plugins.{id}.crash]: {reason}"))?;
        }
        Ok(config)
    }

    fn check_limits(&self) -> Result<()> {
        self.limits
            .check()
            .map_err(|error| anyhow!("[limits] {}: {error}", error.key))?;
        for (id, plugin) in &self.plugins {
            plugin
                .limits
                .check()
                .map_err(|error| anyhow!("[plugins.{id}.limits] {}: {error}", error.key))?;
        }
        Ok(())
    }

    /// The operator's limits of plugins that have any, by id.
    pub fn plugin_limits(&self) -> BTreeMap<String, LimitOverrides> {
        let limits = self.plugins.iter();
        limits
            .map(|(id, plugin)| (id.clone(), plugin.limits))
            .collect()
    }

    /// What is done when plugins crash, by id.
    pub fn crash_policies(&self) -> BTreeMap<String, CrashPolicy> {
        let plugins = self.plugins.iter();
        plugins
            .map(|(id, plugin)| (id.clone(), plugin.crash))
            .collect()
    }

    /// What plugins were granted, by id.
    pub fn plugin_grants(&self) -> BTreeMap<String, PluginGrants> {
        let plugins = self.plugins.iter();
        plugins
            .map(|(id, plugin)| (id.clone(), plugin.grants.clone()))
            .collect()
    }

    /// The file's JSON Schema.
    pub fn schema() -> Value {
        schemars::schema_for!(Self).to_value()
    }

    fn resolve(&mut self, folder: &Path) {
        let server = &mut self.server;
        let client = &mut self.client;
        let paths = self
            .plugin_folders
            .iter_mut()
            .chain(&mut self.state)
            .chain(&mut self.secret_key)
            .chain(&mut server.tls_cert)
            .chain(&mut server.tls_key)
            .chain(&mut server.file_roots)
            .chain(&mut client.token_file)
            .chain(&mut client.ca)
            .chain(self.registry.paths_mut())
            .chain(
                self.plugins
                    .values_mut()
                    .flat_map(|plugin| &mut plugin.filters)
                    .filter_map(FilterConfig::path_mut),
            );
        for path in paths {
            *path = folder.join(&path);
        }
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
        let config = Config::parse("[plugins.fstab.settings]\nmode = \"all\"\nother = 1").unwrap();
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
    fn paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        std::fs::write(
            &file,
            "state = \"s\"\n[server]\nfile-roots = [\"/abs\", \"rel\"]\n[client]\nca = \"ca.pem\"\n\
             [[plugins.a.filters]]\nfilter = \"record\"\nfolder = \"r\"",
        )
        .unwrap();
        let config = Config::read(Some(&file)).unwrap();
        assert_eq!(config.state, Some(folder.path().join("s")));
        assert_eq!(
            config.server.file_roots,
            [PathBuf::from("/abs"), folder.path().join("rel")]
        );
        assert_eq!(config.client.ca, Some(folder.path().join("ca.pem")));
        let mut filters = config.plugins["a"].filters.clone();
        assert_eq!(filters[0].path_mut(), Some(&mut folder.path().join("r")));
    }

    #[test]
    fn limits_are_known_and_end_at_their_ceilings() {
        let config =
            Config::parse("[limits]\ncompile-wall-seconds = 20\n[plugins.a.limits]\nlog-kib = 0")
                .unwrap();
        assert_eq!(config.limits.compile_wall_seconds, Some(20));
        assert_eq!(config.plugin_limits()["a"].log_kib, Some(0));
        for (text, words) in [
            (
                "[plugins.a.limits]\nmemory-mib = 1025",
                "[plugins.a.limits] memory-mib: 1025 is not between 1 and 1024",
            ),
            (
                "[limits]\ncomponent-mib = 65",
                "[limits] component-mib: 65 is not between 1 and 64",
            ),
            ("[plugins.a.limits]\nmemory-mb = 1", "\"memory-mib\""),
            (
                "[plugins.a.limits]\ncompile-wall-seconds = 0",
                "[plugins.a.limits] compile-wall-seconds: 0 is not between 1 and 3600",
            ),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{words} in {error}");
        }
    }

    /// The published schema is the code's. To change it, run the test with
    /// `UPDATE_SCHEMAS=1` and look at the difference.
    #[test]
    fn the_published_schema_is_in_step() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cofferdam.schema.json");
        let now = format!(
            "{}\n",
            serde_json::to_string_pretty(&Config::schema()).unwrap()
        );
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::write(&file, &now).unwrap();
        }
        let published = std::fs::read_to_string(&file).unwrap();
        assert!(
            published == now,
            "docs/cofferdam.schema.json is not what the code says"
        );
    }
}
