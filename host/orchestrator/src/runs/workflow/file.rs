//! The records of a workflow file, as they are written.

use super::located::Located;
use super::period::Period;
use crate::grants::{StepGrants, Trust};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// A workflow: steps that depend on one another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WorkflowFile {
    /// Its name: lower-case letters, digits, dashes and underscores, at most 64.
    pub name: Located<String>,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What whoever starts it gives.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Located<InputDefinition>>,
    /// The steps, in any order; `needs` and expressions say what comes first.
    #[schemars(length(min = 1, max = 500))]
    pub steps: Vec<StepDefinition>,
    /// What the run gives back: texts with `${{ }}`, or any JSON holding such texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Located<Value>>,
}

/// Of what type an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InputType {
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// Any JSON value.
    Json,
    /// A file on the host, below a folder that the operator opened for runs.
    File,
}

impl InputType {
    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Json => "json",
            Self::File => "file",
        }
    }
}

/// One input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InputDefinition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: InputType,
    /// Whether a run without it is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// What it is when it is not given; null without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StepDefinition {
    /// Its name, unique in the file: lower-case letters, digits, dashes and underscores,
    /// at most 64, beginning with a letter.
    pub id: Located<String>,
    /// The plugin that carries it out, `ID` or `ID@VERSION`.
    pub uses: Located<String>,
    /// What the plugin is given: a mapping whose texts may hold `${{ }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Located<Value>>,
    /// Steps that come first, beside those that its expressions name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Located<String>>,
    /// An expression; the step is skipped when it is not true.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<Located<String>>,
    /// What happens after an error that may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Located<Retry>>,
    /// The longest that one attempt may take; the step and what it started are stopped
    /// then. No limit without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Located<Period>>,
    /// Whether the run waits until someone has approved what the step would change.
    #[serde(default, skip_serializing_if = "Approval::is_unneeded")]
    pub approval: Approval,
    /// Whether the step's compensation is called when the run fails or is cancelled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compensate: bool,
    /// `none` for a step that gets the capabilities named in its `grants` and nothing else.
    /// Without it the step gets all that the operator granted to its plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// With `trust: none`: which of the operator's grants the step gets, and how far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Located<StepGrants>>,
}

/// When and how often a step is tried again. Only errors that may pass are: `unavailable`,
/// `timeout`, `locked`, and those that say when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Retry {
    /// Attempts in all, the first included, 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// How long to wait before the second.
    pub delay: Period,
    /// By how much each wait is longer than the one before, 1 to 10.
    #[schemars(range(min = 1.0, max = 10.0))]
    pub factor: f64,
    /// The longest wait.
    pub max_delay: Period,
    /// By which share of itself a wait is made shorter or longer at random, 0 to 1, so that
    /// many runs do not all come back at once.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 1,
            delay: Period(Duration::from_secs(1)),
            factor: 2.0,
            max_delay: Period(Duration::from_secs(60)),
            jitter: 0.2,
        }
    }
}

/// Whether a step waits for someone's approval.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Approval {
    /// It does not: no key, or `approval: false`.
    #[default]
    Unneeded,
    /// It does.
    Needed {
        /// What the approver is told, beside the plan.
        message: Option<String>,
    },
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ApprovalRecord {
    /// What the approver is told, beside the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Approval {
    /// Whether nobody has to approve.
    pub fn is_unneeded(&self) -> bool {
        matches!(self, Self::Unneeded)
    }
}

impl Serialize for Approval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unneeded => serializer.serialize_bool(false),
            Self::Needed { message: None } => serializer.serialize_bool(true),
            Self::Needed { message } => ApprovalRecord {
                message: message.clone(),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Approval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not an untagged enum: that would forget which key was unknown, and where.
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Approval;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or a mapping with `message`")
            }

            fn visit_bool<E: serde::de::Error>(self, needed: bool) -> Result<Approval, E> {
                Ok(if needed {
                    Approval::Needed { message: None }
                } else {
                    Approval::Unneeded
                })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Approval, A::Error> {
                let record = ApprovalRecord::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Approval::Needed {
                    message: record.message,
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Approval {
    fn schema_name() -> Cow<'static, str> {
        "Approval".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let record = generator.subschema_for::<ApprovalRecord>();
        json_schema!({
            "description": "True, or what the approver is told beside the plan.",
            "anyOf": [{ "type": "boolean" }, record]
        })
    }
}
