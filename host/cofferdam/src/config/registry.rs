//! Registries of plugins.

use anyhow::{Context, Result};
use cofferdam_registry::policy::{Policy, PolicyConfig, SourceRule};
use cofferdam_registry::{ClientSettings, Credentials};
use cofferdam_runtime::MAX_COMPONENT_BYTES;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

/// How registries of plugins are asked, and who has to have signed what is in them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RegistryConfig {
    /// Registries on this machine (`127.0.0.1:5000`) that are asked without TLS.
    pub plain_http: Vec<String>,
    /// File with names and passwords, as `docker login` writes it; without it
    /// `config.json` in the folder DOCKER_CONFIG, else in `.docker` of the user's folder.
    pub credentials: Option<PathBuf>,
    /// File with the certificates (PEM) that registries' may be signed by, instead of the
    /// system's.
    pub ca: Option<PathBuf>,
    /// How long one request may take, answer included; 300 without it.
    pub timeout_seconds: Option<NonZeroU64>,
    /// Files with public keys (PEM, ECDSA P-256), by the names that rules use.
    pub keys: BTreeMap<String, PathBuf>,
    /// Who has to have signed what comes from where. Of what no rule is about, nothing is
    /// taken.
    pub sources: Vec<SourceRule>,
}

impl RegistryConfig {
    /// Its paths.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.credentials
            .iter_mut()
            .chain(&mut self.ca)
            .chain(self.keys.values_mut())
    }

    /// How a client asks, and `plain` too without TLS.
    pub fn client(&self, plain: Option<&str>) -> Result<ClientSettings> {
        let mut settings = ClientSettings::new(MAX_COMPONENT_BYTES);
        settings.plain_http.clone_from(&self.plain_http);
        settings.plain_http.extend(plain.map(str::to_owned));
        if let Some(seconds) = self.timeout_seconds {
            settings.timeout = Duration::from_secs(seconds.get());
        }
        if let Some(file) = self.credentials.clone().or_else(dockers_file) {
            settings.credentials = Credentials::read(&file)?;
        }
        if let Some(file) = &self.ca {
            let pem = std::fs::read(file)
                .with_context(|| format!("cannot read the certificates {}", file.display()))?;
            settings.ca = Some(pem);
        }
        Ok(settings)
    }

    /// Who has to have signed what.
    pub fn policy(&self) -> Result<Policy> {
        let policy = Policy::load(&PolicyConfig {
            keys: self.keys.clone(),
            sources: self.sources.clone(),
        })?;
        Ok(policy)
    }
}

/// Where `docker login` keeps credentials.
fn dockers_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let docker = folder("DOCKER_CONFIG").map(PathBuf::from);
    let home = || folder("HOME").map(|home| PathBuf::from(home).join(".docker"));
    docker
        .or_else(home)
        .map(|folder| folder.join("config.json"))
}
