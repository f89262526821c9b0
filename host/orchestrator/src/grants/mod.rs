//! What the operator grants to plugins in `cofferdam.toml`, its check at load, and how a
//! step of a workflow narrows it.
//!
//! ```toml
//! [plugins.boot-test.grants.tool.qemu]   # programs, see `tool::grant`
//! program = "qemu-system-x86_64"
//!
//! [plugins.deploy.grants.secrets]        # secrets of the run's project
//! names = ["db-*"]
//!
//! [plugins.notify.grants.http]           # requests, see `http`
//! hosts = ["chat.example.org"]
//! ```
//!
//! An empty table grants nothing, whatever was granted at an installation; one that is not
//! there leaves that as it is.
//!
//! **Problem.** Deny by default is only as good as the way out of it: whoever is refused
//! has to learn which grant is missing, and whoever grants has to see at once what cannot
//! be meant.
//!
//! **Design.** [`PluginGrants`] is the file's form; [`Granted`] what one plugin holds,
//! checked once when the host starts, and asked at each call. A step with `trust: none`
//! names what it needs ([`StepGrants`]) and gets a [`Granted`] that allows what both the
//! operator and the step allow.
//!
//! **Limits.** Grants are read when the host starts. Which capabilities a component holds
//! at all is decided before it is loaded, see `cofferdam_contract::grants`.

pub mod address;
mod error;
pub mod http;
mod step;

pub use error::GrantError;
pub(crate) use error::{READ_AT_START, one_line, quoted};
pub use http::{HttpGrant, HttpScheme, HttpScope};
pub use step::{StepGrants, Trust};

use crate::tool::grant::{GrantedTool, ToolGrant, check_tool};
use crate::tool::pattern::Whole;
use cofferdam_contract::grants::{HTTP, SECRETS, TOOL};
use cofferdam_contract::services::{Outbound, OutboundRequest};
use cofferdam_contract::types::{Error, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::IpAddr;
use std::sync::Arc;

/// `[plugins.ID.grants]`: what one plugin may do beside what its kind always may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PluginGrants {
    /// Programs, by the name that the plugin uses. An empty table grants none, whatever was
    /// granted at an installation.
    pub tool: Option<BTreeMap<String, ToolGrant>>,
    /// Secrets of the project. An empty table grants none, whatever was granted at an
    /// installation.
    pub secrets: Option<SecretsGrant>,
    /// HTTP requests. An empty table grants none, whatever was granted at an installation.
    pub http: Option<HttpGrant>,
}

/// `[plugins.ID.grants.secrets]`: which secrets of the project a plugin may read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SecretsGrant {
    /// Names of secrets; `*` stands for any characters. Without any nothing is granted.
    #[schemars(inner(length(min = 1)))]
    pub names: Vec<String>,
}

impl PluginGrants {
    /// What the tables say of each capability: none where there is no table.
    pub fn said(&self) -> [(&'static str, Option<Said>); 3] {
        let said = |nothing: Option<bool>| {
            nothing.map(|nothing| match nothing {
                true => Said::Nothing,
                false => Said::Something,
            })
        };
        let tool = self.tool.as_ref().map(BTreeMap::is_empty);
        let secrets = self.secrets.as_ref().map(SecretsGrant::is_nothing);
        let http = self.http.as_ref().map(HttpGrant::is_nothing);
        [
            (TOOL, said(tool)),
            (SECRETS, said(secrets)),
            (HTTP, said(http)),
        ]
    }
}

/// What a table of grants says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It is empty: nothing is granted.
    Nothing,
    /// Something is.
    Something,
}

impl SecretsGrant {
    /// Whether it is an empty table.
    pub fn is_nothing(&self) -> bool {
        self.names.is_empty()
    }

    /// Its names, as patterns.
    ///
    /// # Errors
    /// What is wrong with them and what to write, for people.
    fn patterns(&self) -> Result<Vec<Whole>, String> {
        let pattern = |name: &String| {
            if name.is_empty() {
                return Err(
                    "`names` has an empty one, which no secret has; write a secret's, or `*` for any characters"
                        .to_owned(),
                );
            }
            Whole::glob(name).map_err(|error| format!("`names` has {name:?}: {}", one_line(&error)))
        };
        self.names.iter().map(pattern).collect()
    }
}

/// What one plugin was granted, checked.
#[derive(Debug, Clone, Default)]
pub struct Granted {
    plugin: String,
    tools: BTreeMap<String, GrantedTool>,
    secrets: Vec<Whole>,
    http: Option<HttpScope>,
    /// What the step that it runs in allows of that; all, where the step is trusted.
    step: Option<step::StepScope>,
}

impl Granted {
    /// Checks the grants of `plugin`; programs are looked for in the folders of `path`.
    ///
    /// # Errors
    /// The first grant that cannot be used.
    pub fn check(plugin: &str, grants: &PluginGrants, path: &OsStr) -> Result<Self, GrantError> {
        let mut tools = BTreeMap::new();
        for (name, grant) in grants.tool.iter().flatten() {
            tools.insert(name.clone(), check_tool(plugin, name, grant, path)?);
        }
        let secrets = grants.secrets.as_ref().map(|grant| {
            grant.patterns().map_err(|reason| GrantError::Secrets {
                plugin: plugin.to_owned(),
                reason,
            })
        });
        let http = grants.http.as_ref().filter(|grant| !grant.is_nothing());
        let http = http.map(|grant| {
            HttpScope::check(
                &format!("the plugin {plugin}"),
                &format!("[plugins.{plugin}.grants.http]"),
                grant,
            )
            .map_err(|reason| GrantError::Http {
                plugin: plugin.to_owned(),
                reason,
            })
        });
        Ok(Self {
            plugin: plugin.to_owned(),
            tools,
            secrets: secrets.transpose()?.unwrap_or_default(),
            http: http.transpose()?,
            step: None,
        })
    }

    /// Nothing granted.
    pub fn nothing(plugin: &str) -> Self {
        Self {
            plugin: plugin.to_owned(),
            ..Self::default()
        }
    }

    /// The granted programs by their names.
    pub fn tools(&self) -> &BTreeMap<String, GrantedTool> {
        &self.tools
    }

    /// The program called `name`, or `denied` with what would have to be written.
    ///
    /// # Errors
    /// `denied`.
    pub fn tool(&self, name: &str) -> Result<&GrantedTool, Error> {
        let found = self.tools.get(name);
        found.ok_or_else(|| match &self.step {
            Some(step) => step.denied(&format!("the program `{name}`"), "tool"),
            None => Error::new(
                ErrorCode::Denied,
                format!("the plugin {} was not granted a program `{name}`", self.plugin),
            )
            .with_hint(format!(
                "the operator grants it in cofferdam.toml: [plugins.{}.grants.tool.{name}] with `program` and `arguments`{READ_AT_START}",
                self.plugin
            )),
        })
    }

    /// Whether the plugin may read the secret called `name`. It says nothing of whether the
    /// secret exists.
    ///
    /// # Errors
    /// `denied`, with what would have to be written.
    pub fn secret(&self, name: &str) -> Result<(), Error> {
        if !self.secrets.iter().any(|pattern| pattern.matches(name)) {
            return Err(Error::new(
                ErrorCode::Denied,
                format!("the plugin {} was not granted the secret `{name}`", self.plugin),
            )
            .with_hint(format!(
                "the operator grants it in cofferdam.toml: [plugins.{}.grants.secrets] with `names = [{}]`{READ_AT_START}",
                self.plugin,
                quoted(name)
            )));
        }
        self.step.as_ref().map_or(Ok(()), |step| step.secret(name))
    }

    /// The plugin's id.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    fn outbound(&self) -> Result<&HttpScope, Error> {
        self.http.as_ref().ok_or_else(|| {
            Error::new(
                ErrorCode::Denied,
                format!("the plugin {} was not granted HTTP requests", self.plugin),
            )
            .with_hint(format!(
                "the operator grants them in cofferdam.toml: [plugins.{}.grants.http] with `hosts`{READ_AT_START}",
                self.plugin
            ))
        })
    }
}

impl Outbound for Granted {
    fn request(&self, request: &OutboundRequest) -> Result<(), Error> {
        self.outbound()?.request(request)?;
        let step = self.step.as_ref();
        step.map_or(Ok(()), |step| step.http()?.request(request))
    }

    fn address(&self, host: &str, address: IpAddr) -> Result<(), Error> {
        self.outbound()?.address(host, address)?;
        let step = self.step.as_ref();
        step.map_or(Ok(()), |step| step.http()?.address(host, address))
    }
}

/// The grants of every plugin, checked once when the host starts.
#[derive(Debug, Clone, Default)]
pub struct Grants(BTreeMap<String, Arc<Granted>>);

impl Grants {
    /// Checks the grants by plugin id; programs are looked for in the folders of `path`
    /// (the operator's PATH).
    ///
    /// # Errors
    /// The first grant that cannot be used.
    pub fn check<'a>(
        grants: impl IntoIterator<Item = (&'a str, &'a PluginGrants)>,
        path: &OsStr,
    ) -> Result<Self, GrantError> {
        grants
            .into_iter()
            .map(|(plugin, grants)| {
                let granted = Granted::check(plugin, grants, path)?;
                Ok((plugin.to_owned(), Arc::new(granted)))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What `plugin` was granted, which may be nothing.
    pub fn of(&self, plugin: &str) -> Arc<Granted> {
        match self.0.get(plugin) {
            Some(granted) => Arc::clone(granted),
            None => Arc::new(Granted::nothing(plugin)),
        }
    }
}

#[cfg(test)]
mod tests;
