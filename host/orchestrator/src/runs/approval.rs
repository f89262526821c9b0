//! What an approval holds for: exactly what was looked at.
//!
//! The digest covers the step, its plugin's digest, its resolved input and its plan. It is
//! computed when approval is asked for, and again over what is about to be executed and
//! the recorded plan before each attempt: a record that was changed in between, or an
//! input that became another, is not what was approved.

use cofferdam_contract::types::StepPlan;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// A plan as it is recorded and shown.
pub fn plan_value(plan: &StepPlan, message: Option<&str>) -> Value {
    let changes: Vec<Value> = plan
        .changes
        .iter()
        .map(|change| {
            json!({
                "action": change.action,
                "subject": change.subject,
                "detail": change.detail,
            })
        })
        .collect();
    let mut value = Map::new();
    value.insert("summary".to_owned(), Value::String(plan.summary.clone()));
    if let Some(message) = message {
        value.insert("message".to_owned(), Value::String(message.to_owned()));
    }
    value.insert("changes".to_owned(), Value::Array(changes));
    Value::Object(value)
}

/// SHA-256, hexadecimal, of what is approved.
pub fn digest(step: &str, plugin: &str, input: &Value, plan: &Value) -> String {
    let covered = json!({ "step": step, "plugin": plugin, "input": input, "plan": plan });
    hex::encode(Sha256::digest(canonical(&covered)))
}

/// The JSON text of a value with the keys of every object in the order of their bytes and
/// no white space, so that equal values give equal texts.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Object(entries) => {
            let mut sorted: Vec<(&String, &Value)> = entries.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            text.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                write(item, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_texts() {
        let a: Value =
            serde_json::from_str(r#"{"b": [1, {"z": null, "a": "ü\n"}], "a": 1.5}"#).unwrap();
        let b: Value = serde_json::from_str(r#"{"a":1.5,"b":[1,{"a":"ü\n","z":null}]}"#).unwrap();
        assert_eq!(canonical(&a), r#"{"a":1.5,"b":[1,{"a":"ü\n","z":null}]}"#);
        assert_eq!(canonical(&a), canonical(&b));
    }

    #[test]
    fn every_part_counts() {
        let plan = plan_value(
            &StepPlan {
                summary: "x".to_owned(),
                changes: Vec::new(),
            },
            Some("look"),
        );
        let input = json!({"a": 1});
        let approved = digest("s", "d", &input, &plan);
        assert_eq!(approved.len(), 64);
        for other in [
            digest("t", "d", &input, &plan),
            digest("s", "e", &input, &plan),
            digest("s", "d", &json!({"a": 2}), &plan),
            digest("s", "d", &input, &json!({"summary": "y"})),
        ] {
            assert_ne!(approved, other);
        }
    }
}
