//! What a plugin says of itself: `plugin.toml`, which travels inside the component as the
//! custom section `cofferdam:manifest`, less its `[build]` table.
//!
//! An unknown key is an error that names the nearest known one by the parser's own list:
//! a misspelt limit must not be silently no limit. Settings are a JSON Schema; defaults
//! in it are filled in by [`Manifest::settings`], so that plugins need none of their own.

pub use crate::limits::Limits;

use crate::kinds::Kind;
use crate::limits::OutOfRange;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

/// Name of the custom section that holds the manifest as TOML text.
pub const SECTION: &str = "cofferdam:manifest";

/// A manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Lower-case letters, digits and dashes, at most 64; unique among all plugins.
    pub id: String,
    /// A semantic version (SemVer 2.0.0).
    pub version: String,
    /// One sentence on what it does, in one line.
    pub summary: String,
    /// Its place among the plugins of its kind.
    #[serde(default, skip_serializing_if = "Order::is_empty")]
    pub order: Order,
    /// The limits it asks for; the host's defaults where it does not.
    #[serde(default)]
    pub limits: Limits,
    /// Capabilities wanted beyond those of its world, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<WantedCapability>,
    /// JSON Schema of its settings.
    #[serde(default = "no_settings")]
    pub settings: Value,
    /// How it is built; never embedded.
    #[serde(default, skip_serializing)]
    pub build: Option<Build>,
}

/// Place among the plugins of the same kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Ids that come earlier.
    #[serde(default)]
    pub after: Vec<String>,
    /// Ids that come later.
    #[serde(default)]
    pub before: Vec<String>,
}

impl Order {
    fn is_empty(&self) -> bool {
        self.after.is_empty() && self.before.is_empty()
    }
}

/// A capability that needs the operator's grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedCapability {
    /// The interface without its version (`cofferdam:tool/tool`), or `wasi:http`.
    pub name: String,
    /// Why it is needed, one sentence.
    pub why: String,
    /// The narrowest grant that it works with, or an example where that depends on its
    /// use: what belongs under `[plugins.ID.grants.KEY]` of `cofferdam.toml`. Only shown.
    pub grant: Map<String, Value>,
}

/// How to build a plugin: in a language that the host's tools know, or by a command of the
/// author's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The language, by the name that `cofferdam plugin new --lang` has for it.
    #[serde(default)]
    pub language: Option<String>,
    /// The world that the component is to export. Languages whose tools read it from the
    /// source need none; where it is given, the component is compared with it.
    #[serde(default)]
    pub world: Option<Kind>,
    /// Program and arguments, run in the plugin's folder. `{output}` is the component to
    /// write, `{wit}` the folder with the contract. Only where there is no language.
    #[serde(default)]
    pub command: Vec<String>,
}

/// The longest manifest, bytes.
const MOST_BYTES: usize = 64 << 10;

/// Keywords by which one part of a schema stands in the place of another. A few lines of
/// them make a schema that takes for ever to check anything against.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// Finds a reference in a schema.
fn reference(schema: &Value) -> Option<&'static str> {
    match schema {
        Value::Object(map) => REFERENCES
            .into_iter()
            .find(|keyword| map.contains_key(*keyword))
            .or_else(|| map.values().find_map(reference)),
        Value::Array(items) => items.iter().find_map(reference),
        _ => None,
    }
}

/// Whether a plugin can be called so.
pub fn is_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn no_settings() -> Value {
    serde_json::json!({ "type": "object", "additionalProperties": false })
}

/// What is wrong with a manifest or with settings.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Not TOML, or an unknown, missing or mistyped key.
    #[error("the manifest cannot be read: {0}")]
    Toml(#[from] toml::de::Error),
    /// The manifest cannot be written as TOML.
    #[error("the manifest cannot be written: {0}")]
    Write(#[from] toml::ser::Error),
    /// A value is out of its range.
    #[error("the manifest's `{key}` is not acceptable: {reason}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A limit is out of its range.
    #[error("the manifest's `limits.{}` is not acceptable: {error}", error.key)]
    Limit {
        /// Which, and its range.
        error: OutOfRange,
    },
    /// The settings given do not fit the schema.
    #[error("settings of plugin {plugin}: {reason}")]
    Settings {
        /// Whose settings.
        plugin: String,
        /// What does not fit, and where.
        reason: String,
    },
}

impl Manifest {
    /// Reads a manifest and checks it.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MOST_BYTES {
            return Err(ManifestError::Value {
                key: "(all of it)",
                reason: format!("{} bytes are more than {MOST_BYTES}", text.len()),
            });
        }
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The text to embed.
    pub fn to_toml(&self) -> Result<String, ManifestError> {
        Ok(toml::to_string(self)?)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let refuse = |key, reason: String| Err(ManifestError::Value { key, reason });
        if !is_id(&self.id) {
            return refuse(
                "id",
                format!(
                    "{:?} must start with a lower-case letter and hold only a-z, 0-9 and -, at most 64",
                    self.id
                ),
            );
        }
        if let Err(error) = semver::Version::parse(&self.version) {
            return refuse(
                "version",
                format!(
                    "{:?} is not a semantic version like 1.2.3: {error}",
                    self.version
                ),
            );
        }
        if self.summary.trim().is_empty() {
            return refuse(
                "summary",
                "it is empty; say in one sentence what the plugin does".to_owned(),
            );
        }
        if self.summary.contains(char::is_control) {
            return refuse(
                "summary",
                "it has a line break or a control character; say it in one line".to_owned(),
            );
        }
        let order = [
            ("order.after", &self.order.after),
            ("order.before", &self.order.before),
        ];
        for (key, ids) in order {
            if let Some(other) = ids.iter().find(|id| !is_id(id)) {
                return refuse(key, format!("{other:?} is no plugin's id"));
            }
        }
        if let Err(error) = self.limits.check() {
            return Err(ManifestError::Limit { error });
        }
        if let Some(build) = &self.build
            && build.language.is_some() != build.command.is_empty()
        {
            return refuse(
                "build",
                "it has to have either a `language` or a `command` with a program".to_owned(),
            );
        }
        for (index, wanted) in self.capabilities.iter().enumerate() {
            let name = &wanted.name;
            let earlier = self.capabilities.iter().take(index);
            let reason = if !name.contains([':', '/']) || name.contains('@') {
                "a capability is named without its version, like `cofferdam:tool/tool`"
            } else if earlier.into_iter().any(|other| other.name == *name) {
                "it is there twice"
            } else if wanted.why.trim().is_empty() {
                "its `why` is empty; say in one sentence what it is needed for"
            } else if wanted.why.contains(char::is_control) {
                "its `why` has a line break or a control character; say it in one line"
            } else if wanted.grant.is_empty() {
                "its `grant` is empty; give the narrowest grant that the plugin works with"
            } else {
                continue;
            };
            return refuse("capabilities", format!("`{name}`: {reason}"));
        }
        if self.settings.get("type").and_then(Value::as_str) != Some("object") {
            return refuse(
                "settings",
                "the schema's `type` must be \"object\"".to_owned(),
            );
        }
        if let Some(keyword) = reference(&self.settings) {
            return refuse(
                "settings",
                format!("`{keyword}` is not supported; write out what it stands for"),
            );
        }
        if let Err(error) = jsonschema::validator_for(&self.settings) {
            return refuse("settings", format!("not a JSON Schema: {error}"));
        }
        self.settings(&Map::new()).map(|_| ())
    }

    /// The settings in force: `given` over the schema's defaults, checked.
    pub fn settings(&self, given: &Map<String, Value>) -> Result<Value, ManifestError> {
        let mut settings = Map::new();
        if let Some(properties) = self.settings.get("properties").and_then(Value::as_object) {
            for (name, schema) in properties {
                if let Some(default) = schema.get("default") {
                    settings.insert(name.clone(), default.clone());
                }
            }
        }
        for (name, value) in given {
            settings.insert(name.clone(), value.clone());
        }
        let settings = Value::Object(settings);
        let refuse = |reason: String| ManifestError::Settings {
            plugin: self.id.clone(),
            reason,
        };
        let validator =
            jsonschema::validator_for(&self.settings).map_err(|error| refuse(error.to_string()))?;
        if let Some(error) = validator.iter_errors(&settings).next() {
            let place = error.instance_path.to_string();
            let place = if place.is_empty() {
                String::new()
            } else {
                format!(" at {place}")
            };
            return Err(refuse(format!("{error}{place}; {}", self.known_settings())));
        }
        Ok(settings)
    }

    fn known_settings(&self) -> String {
        let names: Vec<&str> = self
            .settings
            .get("properties")
            .and_then(Value::as_object)
            .map(|properties| properties.keys().map(String::as_str).collect())
            .unwrap_or_default();
        if names.is_empty() {
            "this plugin has no settings".to_owned()
        } else {
            format!("its settings are {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        id = "fstab"
        version = "0.1.0"
        summary = "Stable names"
        [settings]
        type = "object"
        additionalProperties = false
        [settings.properties.mode]
        type = "string"
        enum = ["all", "noop"]
        default = "all"
        description = "what to change"
        [build]
        command = ["make"]
    "#;

    #[test]
    fn defaults_are_filled_in_and_build_is_not_embedded() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!(manifest.limits, Limits::default());
        assert_eq!(
            manifest.settings(&Map::new()).unwrap(),
            serde_json::json!({"mode": "all"})
        );
        let embedded = manifest.to_toml().unwrap();
        assert!(!embedded.contains("build"), "{embedded}");
        let again = Manifest::parse(&embedded).unwrap();
        assert_eq!(again.build, None);
        assert_eq!(again.settings, manifest.settings);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("id = \"Fstab\"", "lower-case letter"),
            ("version = \"1\"", "semantic version"),
            ("version = \"01.0.0\"", "leading zero"),
            ("version = \"1.0.0-a/b?c#d\"", "semantic version"),
            ("version = \"1.0.0-\"", "semantic version"),
            ("version = \"1.0.0-a..b\"", "semantic version"),
            ("version = \"1.0.0+a+b\"", "semantic version"),
            ("version = \"1.0.0-a\\u001b[2J\"", "semantic version"),
            ("version = \"1.0.0\\n\"", "semantic version"),
            ("summary = \"\"", "it is empty"),
            ("summary = \"a\\nb\"", "say it in one line"),
            ("summary = \"a\\u009b2J\"", "say it in one line"),
            ("[order]\nafter = [\"Grub\"]", "`order.after`"),
            ("[order]\nbefore = [\"a\", \"b\\nc\"]", "`order.before`"),
            ("sumary = \"x\"", "unknown field `sumary`"),
            ("[limits]\nmemory-mib = 0", "between 1 and"),
            (
                "[build]\ncommand = []",
                "either a `language` or a `command`",
            ),
            (
                "[build]\nlanguage = \"rust\"\ncommand = [\"make\"]",
                "either a `language` or a `command`",
            ),
            (
                "[build]\nlanguage = \"rust\"\nworld = \"fixr\"",
                "unknown variant `fixr`, expected one of `disk-source`",
            ),
            ("[limits]\nmemory = 1", "unknown field `memory`"),
            (
                "[[capabilities]]\nname = \"tool\"\nwhy = \"w\"\ngrant.x.program = \"x\"",
                "without its version",
            ),
            (
                "[[capabilities]]\nname = \"cofferdam:tool/tool\"\nwhy = \"w\"",
                "missing field `grant`",
            ),
            (
                "[[capabilities]]\nname = \"cofferdam:tool/tool\"\nwhy = \"a\\nb\"\ngrant.x.program = \"x\"",
                "say it in one line",
            ),
            (
                "[[capabilities]]\nname = \"cofferdam:tool/tool\"\nwhy = \"w\"\ngrant = {}",
                "the narrowest grant",
            ),
            ("[settings]\ntype = \"string\"", "must be \"object\""),
            (
                "[settings]\ntype = \"object\"\nrequired = 3",
                "not a JSON Schema",
            ),
            (
                "[settings]\ntype = \"object\"\n[[settings.allOf]]\n\"$ref\" = \"#\"",
                "`$ref` is not supported",
            ),
        ];
        for (line, expected) in cases {
            let key = line.split(['=', '\n']).next().unwrap().trim();
            let base = ["id = \"x\"", "version = \"0.1.0\"", "summary = \"s\""];
            let text: Vec<&str> = base
                .into_iter()
                .filter(|other| !other.starts_with(key))
                .chain([line])
                .collect();
            let error = Manifest::parse(&text.join("\n")).unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn a_manifest_is_not_a_book() {
        let long = format!("{GOOD}\n# {}", "x".repeat(MOST_BYTES));
        let error = Manifest::parse(&long).unwrap_err().to_string();
        assert!(error.contains("are more than"), "{error}");
    }

    #[test]
    fn settings_are_checked_against_the_schema() {
        let manifest = Manifest::parse(GOOD).unwrap();
        for (given, expected) in [
            (serde_json::json!({"mode": "some"}), "/mode"),
            (serde_json::json!({"mood": "all"}), "its settings are mode"),
        ] {
            let error = manifest
                .settings(given.as_object().unwrap())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
