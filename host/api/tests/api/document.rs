//! The OpenAPI document: kept in the tree, complete, and true.

use crate::support::Answer;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Checks answers against what the document says of them.
pub struct Checker {
    document: Value,
    /// The components, whose objects have no properties but those described.
    components: Value,
}

impl Checker {
    pub fn new() -> Self {
        let document = cofferdam_api::document();
        let mut components = document["components"].clone();
        for schema in components["schemas"].as_object_mut().unwrap().values_mut() {
            close(schema);
        }
        Self {
            document,
            components,
        }
    }

    /// What is wrong with this answer; none where it is as described.
    pub fn flaw(&self, method: &str, path: &str, answer: &Answer) -> Option<String> {
        let operation = &self.document["paths"][path][method.to_lowercase()];
        let status = answer.status.as_u16().to_string();
        let mut response = &operation["responses"][&status];
        if let Some(reference) = response["$ref"].as_str() {
            response = self.document.pointer(&reference[1..])?;
        }
        if response.is_null() {
            return Some(format!("status {status} is not described"));
        }
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            if answer.header(name).is_none() && name != "Retry-After" {
                return Some(format!("the header {name} is missing"));
            }
        }
        let Some(content) = response["content"].as_object() else {
            let empty = answer.body.is_empty();
            return (!empty).then(|| format!("status {status} has a body: {}", answer.text()));
        };
        let media = answer.header("content-type").unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default();
        let Some(described) = content.get(media) else {
            return Some(format!("media type {media:?} is not described"));
        };
        if !media.ends_with("json") {
            return None;
        }
        let mut schema = described["schema"].as_object().cloned().unwrap_or_default();
        schema.insert("components".to_owned(), self.components.clone());
        let validator = jsonschema::validator_for(&Value::Object(schema)).unwrap();
        let body = answer.json();
        let errors: Vec<String> = validator
            .iter_errors(&body)
            .map(|error| format!("{} at {}", error, error.instance_path))
            .collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }
}

/// Allows no properties but those that are described.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for value in object.values_mut() {
                close(value);
            }
            let closed = object.get("properties").is_some_and(Value::is_object)
                && object.get("type") == Some(&json!("object"));
            if closed && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn the_kept_document_is_the_programs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let now = cofferdam_api::document_text();
    if std::env::var("COFFERDAM_UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "docs/openapi.json is not what the program says; run this test with COFFERDAM_UPDATE_DOCS=1 and look at the difference"
    );
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                found.insert(reference.clone());
            }
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_document_is_whole() {
    let document = cofferdam_api::document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        let target = document.pointer(reference.strip_prefix('#').unwrap());
        assert!(target.is_some(), "{reference} leads nowhere");
    }
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            let role = operation["x-cofferdam-role"].as_str().unwrap_or_default();
            let known = ["public", "any", "read", "deploy", "admin"];
            assert!(known.contains(&role), "{name}: role {role:?}");
            let public = role == "public";
            assert_eq!(operation["security"] == json!([]), public, "{name}");
            assert!(operation["summary"].is_string(), "{name} has no summary");
            let responses: &Map<String, Value> = operation["responses"].as_object().unwrap();
            assert_eq!(responses.contains_key("401"), !public, "{name}");
            assert!(responses.contains_key("429"), "{name}");
            let has_body = operation.get("requestBody").is_some();
            assert_eq!(responses.contains_key("415"), has_body, "{name}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{name}: {parameter}");
                assert!(
                    !parameter["schema"].to_string().contains("null"),
                    "{name}: {parameter}"
                );
            }
        }
    }
}
