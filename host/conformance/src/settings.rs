//! What a settings schema refuses.

use cofferdam_contract::manifest::Manifest;
use serde_json::{Map, Value, json};

/// A value of each type that JSON has, an object apart: a setting of that type may have any
/// shape.
fn values() -> [Value; 5] {
    [
        json!(null),
        json!(true),
        json!(7),
        json!("conformance kit"),
        json!([[7]]),
    ]
}

/// The settings that the schema describes.
fn described(manifest: &Manifest) -> Map<String, Value> {
    let properties = manifest.settings.get("properties");
    let properties = properties.and_then(Value::as_object);
    properties.cloned().unwrap_or_default()
}

/// Whether the schema takes this setting beside the others' defaults, as far as the setting
/// itself is concerned.
fn takes(manifest: &Manifest, name: &str, value: &Value) -> bool {
    let mut settings = Map::new();
    settings.insert(name.to_owned(), value.clone());
    manifest.settings(&settings).is_ok()
}

/// What of the manifest's settings is not described, and whether unknown ones are taken.
pub(crate) fn undescribed(manifest: &Manifest) -> Vec<String> {
    let mut found = Vec::new();
    for (name, schema) in described(manifest) {
        let description = schema.get("description").and_then(Value::as_str);
        if description.is_none_or(|text| text.trim().is_empty()) {
            found.push(format!("the setting `{name}` has no description"));
        }
    }
    if takes(manifest, "conformance-kit-unknown", &json!(true)) {
        found.push("a setting that nobody knows is taken".to_owned());
    }
    found
}

/// The settings that take values of every type.
pub(crate) fn untyped(manifest: &Manifest) -> Vec<String> {
    described(manifest)
        .keys()
        .filter(|name| values().iter().all(|value| takes(manifest, name, value)))
        .map(|name| format!("the setting `{name}` takes a value of any type"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(settings: &str) -> Manifest {
        let text = format!("id = \"a\"\nversion = \"0.1.0\"\nsummary = \"s\"\n{settings}");
        Manifest::parse(&text).unwrap()
    }

    #[test]
    fn what_a_schema_leaves_open_is_found() {
        let closed = "[settings]\ntype = \"object\"\nadditionalProperties = false\n";
        for (settings, described, typed) in [
            ("", 0, 0),
            (closed, 0, 0),
            ("[settings]\ntype = \"object\"\n", 1, 0),
            (
                &format!("{closed}[settings.properties.a]\ntype = \"string\"\n"),
                1,
                0,
            ),
            (
                &format!("{closed}[settings.properties.a]\ndescription = \"d\"\n"),
                0,
                1,
            ),
            (
                &format!(
                    "{closed}[settings.properties.a]\ndescription = \"d\"\nenum = [1, \"x\"]\n"
                ),
                0,
                0,
            ),
        ] {
            let manifest = manifest(settings);
            assert_eq!(undescribed(&manifest).len(), described, "{settings}");
            assert_eq!(untyped(&manifest).len(), typed, "{settings}");
        }
    }
}
