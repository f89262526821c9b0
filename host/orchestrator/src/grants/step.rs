//! `trust: none`: a step that runs with the grants named on it and nothing else.
//!
//! What it names only narrows: a call has to be allowed by the operator's grant and by the
//! step's. What can be seen to go beyond the operator's grant is refused before the run
//! starts; of two patterns for arguments that cannot be seen, and both are asked.

use super::{Granted, HttpGrant, HttpScope, SecretsGrant};
use crate::tool::grant::NarrowedTool;
use crate::tool::pattern::Whole;
use cofferdam_contract::types::{Error, ErrorCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a step is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Not at all: it gets what its `grants` name, as far as the operator granted it to the
    /// plugin, and nothing else.
    None,
}

/// What a step with `trust: none` gets of what the operator granted to its plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct StepGrants {
    /// Programs, by the name that the plugin uses, and how their grants are narrowed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tool: BTreeMap<String, NarrowedTool>,
    /// Secrets of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<SecretsGrant>,
    /// HTTP requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpGrant>,
}

/// [`StepGrants`], checked. Programs are narrowed in place.
#[derive(Debug, Clone)]
pub(super) struct StepScope {
    step: String,
    secrets: Vec<Whole>,
    http: Option<HttpScope>,
}

impl StepScope {
    pub(super) fn denied(&self, what: &str, key: &str) -> Error {
        Error::new(
            ErrorCode::Denied,
            format!(
                "the step {} has `trust: none` and its `grants` do not name {what}",
                self.step
            ),
        )
        .with_hint(format!(
            "if the step is to have it, add it under `grants.{key}` of the step in the workflow"
        ))
    }

    pub(super) fn secret(&self, name: &str) -> Result<(), Error> {
        if self.secrets.iter().any(|pattern| pattern.matches(name)) {
            return Ok(());
        }
        Err(self.denied(&format!("the secret `{name}`"), "secrets"))
    }

    pub(super) fn http(&self) -> Result<&HttpScope, Error> {
        let found = self.http.as_ref();
        found.ok_or_else(|| self.denied("HTTP requests", "http"))
    }
}

impl StepGrants {
    /// What is wrong with them whatever the operator granted, for people.
    ///
    /// # Errors
    /// The first flaw, and what to write.
    pub fn check(&self) -> Result<(), String> {
        for (name, tool) in &self.tool {
            tool.patterns()
                .map_err(|flaw| format!("`tool.{name}`: {flaw}"))?;
        }
        self.scope("").map(|_| ())
    }

    fn scope(&self, step: &str) -> Result<StepScope, String> {
        let secrets = self.secrets.as_ref().map(|grant| {
            let patterns = grant.patterns();
            patterns.map_err(|flaw| format!("`secrets`: {flaw}"))
        });
        let http = self.http.as_ref().filter(|grant| !grant.is_nothing());
        let http = http.map(|grant| {
            HttpScope::check(
                &format!("the step {step}"),
                &format!("`grants.http` of the step {step}"),
                grant,
            )
            .map_err(|flaw| format!("`http`: {flaw}"))
        });
        Ok(StepScope {
            step: step.to_owned(),
            secrets: secrets.transpose()?.unwrap_or_default(),
            http: http.transpose()?,
        })
    }
}

impl Granted {
    /// What the step `step` gets that is not trusted and names `grants`: nothing that was
    /// not granted to the plugin, and of that only what is named.
    ///
    /// # Errors
    /// What `grants` name beyond what the plugin was granted, for people.
    pub fn narrowed(&self, step: &str, grants: &StepGrants) -> Result<Self, String> {
        let scope = grants.scope(step)?;
        let mut tools = BTreeMap::new();
        for (name, narrowing) in &grants.tool {
            let tool = self.tools.get(name).ok_or_else(|| {
                format!("`tool.{name}` names a program that was not granted to the plugin {}; `grants` can only narrow what [plugins.{}.grants] allow", self.plugin, self.plugin)
            })?;
            let narrowed = tool.narrowed(narrowing);
            let narrowed = narrowed.map_err(|flaw| format!("`tool.{name}`: {flaw}"))?;
            tools.insert(name.clone(), narrowed);
        }
        for name in grants.secrets.iter().flat_map(|grant| &grant.names) {
            // A `*` in the name is matched only by one in the grant: what the grant's stands
            // for, it stands for as well.
            if !self.secrets.iter().any(|pattern| pattern.matches(name)) {
                return Err(format!(
                    "`secrets` has {name:?}, which was not granted to the plugin {}; `grants` can only narrow what [plugins.{}.grants.secrets] allows",
                    self.plugin, self.plugin
                ));
            }
        }
        if let Some(http) = &scope.http {
            let own = self.outbound().map_err(|error| error.message)?;
            own.covers(http).map_err(|flaw| format!("`http`: {flaw}"))?;
        }
        Ok(Self {
            plugin: self.plugin.clone(),
            tools,
            secrets: self.secrets.clone(),
            http: self.http.clone(),
            step: Some(scope),
        })
    }
}
