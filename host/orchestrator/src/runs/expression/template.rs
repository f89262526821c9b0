//! Texts and JSON with `${{ expressions }}` in them.

use super::scan::literal_length;
use super::{Expression, ExpressionError, LONGEST_TEXT, Names, References, Scope};
use serde_json::{Map, Value};

/// A JSON value whose texts may hold expressions. `$${{` stands for `${{` itself.
#[derive(Debug)]
pub enum Template {
    /// Nothing to evaluate.
    Literal(Value),
    /// A text that is one expression: the value keeps its type.
    Expression(Box<Expression>),
    /// A text with expressions in it.
    Text(Vec<Part>),
    /// A list.
    Array(Vec<Template>),
    /// A mapping, in the order of the file.
    Object(Vec<(String, Template)>),
}

/// A piece of a text.
#[derive(Debug)]
pub enum Part {
    /// As it stands.
    Literal(String),
    /// To be evaluated.
    Expression(Expression),
}

/// An expression that is wrong, and where in the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{error}", if path.is_empty() { String::new() } else { format!("at {path}: ") })]
pub struct TemplateError {
    /// The place, as `.args[0]`.
    pub path: String,
    /// What is wrong there.
    pub error: ExpressionError,
}

impl Template {
    /// Checks all expressions in a value.
    pub fn new(value: &Value, names: &Names<'_>) -> Result<Self, TemplateError> {
        Self::at(value, names, &mut String::new())
    }

    fn at(value: &Value, names: &Names<'_>, path: &mut String) -> Result<Self, TemplateError> {
        let depth = path.len();
        let template = match value {
            Value::String(text) if text.contains("${{") => {
                Self::text(text, names).map_err(|error| TemplateError {
                    path: path.clone(),
                    error,
                })?
            }
            Value::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{index}]"));
                    list.push(Self::at(item, names, path)?);
                    path.truncate(depth);
                }
                if list.iter().all(Self::is_literal) {
                    Self::Literal(value.clone())
                } else {
                    Self::Array(list)
                }
            }
            Value::Object(entries) => {
                let mut object = Vec::with_capacity(entries.len());
                for (key, item) in entries {
                    path.push('.');
                    path.push_str(key);
                    object.push((key.clone(), Self::at(item, names, path)?));
                    path.truncate(depth);
                }
                if object.iter().all(|(_, item)| item.is_literal()) {
                    Self::Literal(value.clone())
                } else {
                    Self::Object(object)
                }
            }
            literal => Self::Literal(literal.clone()),
        };
        Ok(template)
    }

    /// Whether nothing needs evaluating. A text with an escape was already unescaped into
    /// parts and is not.
    fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    fn text(text: &str, names: &Names<'_>) -> Result<Self, ExpressionError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            if let Some(before) = before.strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${{");
                rest = after;
                continue;
            }
            literal.push_str(before);
            let end = expression_end(after).ok_or_else(|| ExpressionError {
                expression: super::shortened(text),
                reason: "`${{` has no `}}`; write `$${{` for the characters themselves".to_owned(),
            })?;
            let (source, tail) = after.split_at(end);
            let expression = Expression::new(source, names)?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Expression(expression));
            rest = tail.strip_prefix("}}").unwrap_or(tail);
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if let [Part::Expression(_)] = parts.as_slice()
            && let Some(Part::Expression(expression)) = parts.pop()
        {
            return Ok(Self::Expression(Box::new(expression)));
        }
        Ok(Self::Text(parts))
    }

    /// The value now.
    pub fn resolve(&self, scope: &Scope) -> Result<Value, ExpressionError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Expression(expression) => expression.value(scope)?,
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Literal(literal) => text.push_str(literal),
                        Part::Expression(expression) => match expression.value(scope)? {
                            Value::String(value) => text.push_str(&value),
                            Value::Null => {
                                return Err(expression.error(
                                    "the value is null, which a text cannot hold (`… | default` is for values that are not there)".to_owned(),
                                ));
                            }
                            other => text.push_str(&other.to_string()),
                        },
                    }
                    if text.len() > LONGEST_TEXT {
                        return Err(ExpressionError {
                            expression: super::shortened(&text),
                            reason: format!(
                                "the text is longer than {LONGEST_TEXT} bytes; hand it over as a file"
                            ),
                        });
                    }
                }
                Value::String(text)
            }
            Self::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|item| item.resolve(scope))
                    .collect::<Result<_, _>>()?,
            ),
            Self::Object(entries) => {
                let mut object = Map::with_capacity(entries.len());
                for (key, item) in entries {
                    object.insert(key.clone(), item.resolve(scope)?);
                }
                Value::Object(object)
            }
        })
    }

    /// All inputs and steps it names.
    pub fn references(&self) -> References {
        let mut references = References::default();
        self.collect(&mut references);
        references
    }

    fn collect(&self, into: &mut References) {
        match self {
            Self::Literal(_) => {}
            Self::Expression(expression) => into.extend(expression.references()),
            Self::Text(parts) => {
                for part in parts {
                    if let Part::Expression(expression) = part {
                        into.extend(expression.references());
                    }
                }
            }
            Self::Array(items) => items.iter().for_each(|item| item.collect(into)),
            Self::Object(entries) => entries.iter().for_each(|(_, item)| item.collect(into)),
        }
    }
}

/// Where the `}}` is that ends the expression: not one in a literal, nor one that closes
/// a mapping.
fn expression_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut index = 0;
    while let Some(rest) = text.get(index..) {
        let c = rest.chars().next()?;
        match c {
            '"' | '\'' => {
                index += literal_length(rest, c);
                continue;
            }
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' if rest.starts_with("}}") => return Some(index),
            _ => {}
        }
        index += c.len_utf8();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scope() -> Scope {
        let mut scope = Scope::new(&json!({"size": 3, "none": null, "name": "ü"}));
        scope.set_outputs("a", &json!({"y": {"k": [1, 2]}}));
        scope
    }

    #[test]
    fn texts_and_trees_are_resolved() {
        let names = Names::new(["size", "none", "name"], ["a"]);
        let cases = [
            (json!("plain"), json!("plain")),
            (json!("${{ inputs.size }}"), json!(3)),
            (json!(" ${{ inputs.size }}"), json!(" 3")),
            (
                json!("${{inputs.name}}-${{ inputs.size + 1 }}!"),
                json!("ü-4!"),
            ),
            (json!("$${{ inputs.size }}"), json!("${{ inputs.size }}")),
            (json!("${{ '}}' ~ inputs.size }}"), json!("}}3")),
            (
                json!("${{ {'a': {'b': inputs.size}} }}"),
                json!({"a": {"b": 3}}),
            ),
            (json!("${{ inputs.none }}"), json!(null)),
            (
                json!({"args": ["x", "${{ steps.a.outputs.y.k[1] }}"], "n": 1, "deep": {"z": "${{ steps.a.outputs.y }}"}}),
                json!({"args": ["x", 2], "n": 1, "deep": {"z": {"k": [1, 2]}}}),
            ),
            (
                json!("k=${{ steps.a.outputs.y }}"),
                json!("k={\"k\":[1,2]}"),
            ),
        ];
        for (value, expected) in cases {
            let template = Template::new(&value, &names).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(template.resolve(&scope()).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn the_place_of_a_mistake_is_named() {
        let names = Names::new(["size"], ["a"]);
        let cases = [
            (
                json!({"args": ["x", "${{ inputs.siz }}"]}),
                "at .args[1]: `inputs.siz`",
            ),
            (json!("${{ inputs.size"), "has no `}}`"),
            (json!("${{ }}"), "is empty"),
        ];
        for (value, expected) in cases {
            let error = Template::new(&value, &names).unwrap_err().to_string();
            assert!(error.contains(expected), "{value}: {error}");
        }
        let null = Template::new(&json!("x${{ inputs.none }}"), &Names::new(["none"], [])).unwrap();
        assert!(
            null.resolve(&scope())
                .unwrap_err()
                .to_string()
                .contains("null")
        );
    }

    #[test]
    fn references_of_a_tree_are_found() {
        let names = Names::new(["size"], ["a"]);
        let value = json!({"x": ["${{ inputs.size }}", "b ${{ steps.a.outputs.y }}"]});
        let references = Template::new(&value, &names).unwrap().references();
        assert!(references.inputs.contains("size") && references.steps.contains("a"));
    }
}
