//! The published schemas of what commands print.

use crate::{read_json, workspace};

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
