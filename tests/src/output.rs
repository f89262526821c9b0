//! The published schemas of what commands print.

use crate::{Ran, read_json, workspace};
use serde_json::Value;

/// Checks what the command of this name prints with `--output json`; `error` is what all
/// print that fail.
///
/// # Panics
/// If there is no such schema.
#[must_use]
pub fn validator(name: &str) -> jsonschema::Validator {
    let docs = workspace().join("docs");
    let output = read_json(&docs.join("cli-output.schema.json"));
    let api = read_json(&docs.join("openapi.json"));
    let resource = |value| jsonschema::Resource::from_contents(value).unwrap();
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .with_resource("cofferdam:/cli-output.schema.json", resource(output))
        .with_resource("cofferdam:/openapi.json", resource(api))
        .build(&serde_json::json!({
            "$id": "cofferdam:/check",
            "$ref": format!("cofferdam:/cli-output.schema.json#/$defs/{}", name.replace(' ', "%20")),
        }))
        .unwrap()
}

impl Ran {
    /// The JSON that the command of this name printed, which has to be what is published.
    ///
    /// # Panics
    /// If it is something else.
    #[must_use]
    pub fn json_of(&self, name: &str) -> Value {
        let value = self.json();
        checked(name, value)
    }

    /// The JSON that a command printed, as [`Ran::json_of`], or for `error` as [`Ran::problem`].
    ///
    /// # Panics
    /// If it is something else.
    #[must_use]
    pub fn printed(&self, name: &str) -> Value {
        match name {
            "error" => self.problem(),
            name => self.json_of(name),
        }
    }

    /// The problem that a command printed which was to print JSON and failed.
    ///
    /// # Panics
    /// If the last line of its errors is none.
    #[must_use]
    pub fn problem(&self) -> Value {
        // Stages and the like are told before.
        let line = self.stderr.lines().last().unwrap_or_default();
        let value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}\n{}", self.stderr));
        let value = checked("error", value);
        let code = self.code.map(Value::from);
        assert_eq!(value.get("exit_code"), code.as_ref(), "{value:#}");
        value
    }
}

fn checked(name: &str, value: Value) -> Value {
    if let Err(error) = validator(name).validate(&value) {
        panic!("{error} at {}\n{value:#}", error.instance_path);
    }
    value
}
