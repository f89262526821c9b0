//! Inputs: what whoever starts a run gives, checked against what the file declares.

use super::file::{InputDefinition, InputType, WorkflowFile};
use crate::runs::nearest::did_you_mean;
use serde_json::{Map, Value};

/// Inputs that cannot be taken; all that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct InputError {
    /// At least one problem, each a sentence.
    pub problems: Vec<String>,
}

/// The inputs of a run: those given over the defaults, every declared one present, null
/// where there is neither. Files are still the paths given.
pub fn complete(file: &WorkflowFile, given: &Value) -> Result<Map<String, Value>, InputError> {
    let empty = Map::new();
    let given = match given {
        Value::Object(given) => given,
        Value::Null => &empty,
        other => {
            return Err(InputError {
                problems: vec![format!(
                    "inputs are a JSON object of names and values, not {}",
                    kind_of(other)
                )],
            });
        }
    };
    let mut problems: Vec<String> = given
        .keys()
        .filter(|name| !file.inputs.contains_key(*name))
        .map(|name| {
            format!(
                "there is no input `{name}`{}",
                did_you_mean(name, file.inputs.keys().map(String::as_str))
            )
        })
        .collect();
    let mut inputs = Map::new();
    for (name, definition) in &file.inputs {
        let value = match given.get(name).filter(|value| !value.is_null()) {
            Some(value) => value.clone(),
            None if definition.required => {
                problems.push(format!(
                    "the input `{name}` is required; give it as {}",
                    described(definition)
                ));
                continue;
            }
            None => definition.default.clone().unwrap_or(Value::Null),
        };
        match typed(definition.kind, value) {
            Ok(value) => {
                inputs.insert(name.clone(), value);
            }
            Err(value) => problems.push(format!(
                "the input `{name}` must be {}, not {}",
                described(definition),
                kind_of(&value)
            )),
        }
    }
    if problems.is_empty() {
        Ok(inputs)
    } else {
        Err(InputError { problems })
    }
}

/// The value as this type, or the value back when it is of another. Texts that are
/// numbers or booleans are taken as such, because command lines have nothing else.
pub fn typed(kind: InputType, value: Value) -> Result<Value, Value> {
    if value.is_null() {
        return Ok(value);
    }
    match (kind, &value) {
        (InputType::Json, _)
        | (InputType::String, Value::String(_))
        | (InputType::Boolean, Value::Bool(_))
        | (InputType::Number, Value::Number(_)) => Ok(value),
        (InputType::File, Value::String(path)) if !path.is_empty() => Ok(value),
        (InputType::Integer, Value::Number(number)) if !number.is_f64() => Ok(value),
        (InputType::Integer | InputType::Number | InputType::Boolean, Value::String(text)) => {
            let read = serde_json::from_str::<Value>(text.trim()).ok();
            match (kind, read) {
                (InputType::Integer, Some(Value::Number(number))) if !number.is_f64() => {
                    Ok(Value::Number(number))
                }
                (InputType::Number, Some(Value::Number(number))) => Ok(Value::Number(number)),
                (InputType::Boolean, Some(Value::Bool(flag))) => Ok(Value::Bool(flag)),
                _ => Err(value),
            }
        }
        _ => Err(value),
    }
}

fn described(definition: &InputDefinition) -> String {
    let kind = match definition.kind {
        InputType::String => "a text",
        InputType::Integer => "a whole number",
        InputType::Number => "a number",
        InputType::Boolean => "true or false",
        InputType::Json => "JSON",
        InputType::File => "the path of a file on the host",
    };
    match &definition.description {
        Some(text) => format!("{kind} ({text})"),
        None => kind.to_owned(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;
    use serde_json::json;

    const FILE: &str = "
name: x
inputs:
  disk: { type: file, required: true, description: the disk }
  size: { type: integer, default: 3 }
  rate: { type: number }
  loud: { type: boolean, default: false }
  more: { type: json }
  word: { type: string }
steps: []
";

    #[test]
    fn inputs_are_completed_and_typed() {
        let file = parse("w", FILE).unwrap();
        let cases = [
            (
                json!({"disk": "/d"}),
                Ok(
                    json!({"disk": "/d", "loud": false, "more": null, "rate": null, "size": 3, "word": null}),
                ),
            ),
            (
                json!({"disk": "/d", "size": "7", "loud": "true", "rate": "1.5", "more": [1], "word": "7"}),
                Ok(
                    json!({"disk": "/d", "loud": true, "more": [1], "rate": 1.5, "size": 7, "word": "7"}),
                ),
            ),
            (json!({}), Err("`disk` is required")),
            (
                json!({"disk": "/d", "size": 1.5}),
                Err("`size` must be a whole number, not a number"),
            ),
            (json!({"disk": "/d", "size": "many"}), Err("not a text")),
            (
                json!({"disk": "/d", "word": 7}),
                Err("`word` must be a text"),
            ),
            (json!({"disk": ""}), Err("`disk` must be the path")),
            (
                json!({"disk": "/d", "siz": 1}),
                Err("no input `siz` (did you mean `size`?)"),
            ),
            (json!([1]), Err("not a list")),
        ];
        for (given, expected) in cases {
            match (complete(&file, &given), expected) {
                (Ok(inputs), Ok(expected)) => assert_eq!(Value::Object(inputs), expected),
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{given}: {error}");
                }
                (result, _) => panic!("{given}: {result:?}"),
            }
        }
    }
}
