//! Expressions: how a step is given inputs and what earlier steps put out.
//!
//! **Problem.** An author wants `${{ steps.build.outputs.image }}`; a host wants to know
//! before anything starts that the step exists and comes first, and that no expression
//! can run away or look at anything else.
//!
//! **Design.** The language is that of Jinja expressions, evaluated by minijinja with fuel
//! and strict undefined values. Only two names exist, `inputs` and `steps`, and each must
//! be followed by a literal name, so that [`scan`] finds every reference without running
//! anything. [`template`] puts expressions into texts and JSON; a text that is one
//! expression keeps the type of its value.
//!
//! **Limits.** No loops, assignments or functions; a few filters ([`FILTERS`]). An
//! expression is at most 4 KiB and may execute 20,000 instructions; a text that is made
//! is at most 1 MiB.

mod scan;
mod template;

pub use scan::Names;
pub use template::Template;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value as Dynamic};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::OnceLock;

/// The filters there are, beside the operators of Jinja.
pub const FILTERS: [&str; 8] = [
    "default", "join", "json", "length", "lower", "replace", "trim", "upper",
];
/// The tests there are (`x is defined`).
pub const TESTS: [&str; 3] = ["defined", "none", "undefined"];

const FUEL: u64 = 20_000;
const LONGEST_SOURCE: usize = 4 * 1024;
/// The longest text that a template may make, bytes.
pub const LONGEST_TEXT: usize = 1024 * 1024;

/// The inputs and steps that an expression names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Names of inputs.
    pub inputs: BTreeSet<String>,
    /// Ids of steps.
    pub steps: BTreeSet<String>,
}

impl References {
    /// Adds those of another expression.
    pub fn extend(&mut self, other: &Self) {
        self.inputs.extend(other.inputs.iter().cloned());
        self.steps.extend(other.steps.iter().cloned());
    }
}

/// What expressions can see while a run goes on. Values are converted once; clones share
/// them.
#[derive(Debug, Clone)]
pub struct Scope {
    inputs: Dynamic,
    steps: BTreeMap<String, Dynamic>,
}

impl Scope {
    /// A scope with the run's inputs and no outputs yet.
    pub fn new(inputs: &Value) -> Self {
        Self {
            inputs: Dynamic::from(Serde(inputs)),
            steps: BTreeMap::new(),
        }
    }

    /// Makes the outputs of a step visible. A skipped step has `{}`.
    pub fn set_outputs(&mut self, step: &str, outputs: &Value) {
        let outputs = Dynamic::from_pairs([("outputs", Dynamic::from(Serde(outputs)))]);
        self.steps.insert(step.to_owned(), outputs);
    }

    /// Forgets the outputs of a step that will run again.
    pub fn clear_outputs(&mut self, step: &str) {
        self.steps.remove(step);
    }

    fn root(&self, references: &References) -> Dynamic {
        let steps = references
            .steps
            .iter()
            .filter_map(|id| Some((id.clone(), self.steps.get(id)?.clone())));
        Dynamic::from_pairs([
            ("inputs", self.inputs.clone()),
            ("steps", Dynamic::from_pairs(steps)),
        ])
    }
}

/// An expression that cannot be used, or not now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{expression}`: {reason}")]
pub struct ExpressionError {
    /// The expression as written.
    pub expression: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// A checked expression.
pub struct Expression {
    source: String,
    code: minijinja::Expression<'static, 'static>,
    references: References,
}

impl Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        filters(&mut environment);
        environment
    })
}

fn filters(environment: &mut Environment<'static>) {
    use minijinja::{Error, ErrorKind};
    let refuse = |reason: String| Error::new(ErrorKind::InvalidOperation, reason);
    environment.add_filter(
        "default",
        |value: Dynamic, other: Dynamic| {
            if value.is_undefined() { other } else { value }
        },
    );
    environment.add_filter("lower", |text: String| text.to_lowercase());
    environment.add_filter("upper", |text: String| text.to_uppercase());
    environment.add_filter("trim", |text: String| text.trim().to_owned());
    environment.add_filter("replace", move |text: String, from: String, to: String| {
        let made = text.len() + text.matches(&from).count().saturating_mul(to.len());
        if made > LONGEST_TEXT {
            return Err(refuse(format!(
                "replace makes more than {LONGEST_TEXT} bytes"
            )));
        }
        Ok(text.replace(&from, &to))
    });
    environment.add_filter("length", move |value: Dynamic| {
        value
            .as_str()
            .map(|text| text.chars().count())
            .or_else(|| value.len())
            .ok_or_else(|| refuse(format!("a {} has no length", value.kind())))
    });
    environment.add_filter("json", move |value: Dynamic| {
        serde_json::to_string(&value).map_err(|error| refuse(error.to_string()))
    });
    environment.add_filter("join", move |value: Dynamic, between: String| {
        let mut joined = String::new();
        for (index, item) in value.try_iter()?.enumerate() {
            if index > 0 {
                joined.push_str(&between);
            }
            joined.push_str(&item.to_string());
            if joined.len() > LONGEST_TEXT {
                return Err(refuse(format!("join makes more than {LONGEST_TEXT} bytes")));
            }
        }
        Ok(joined)
    });
    environment.add_test("defined", |value: Dynamic| !value.is_undefined());
    environment.add_test("undefined", |value: Dynamic| value.is_undefined());
    environment.add_test("none", |value: Dynamic| value.is_none());
}

impl Expression {
    /// Checks an expression against the names there are.
    pub fn new(source: &str, names: &Names<'_>) -> Result<Self, ExpressionError> {
        let source = source.trim();
        let refuse = |reason: String| ExpressionError {
            expression: shortened(source),
            reason,
        };
        if source.is_empty() {
            return Err(refuse(
                "the expression is empty; name an input or an output".to_owned(),
            ));
        }
        if source.len() > LONGEST_SOURCE {
            return Err(refuse(format!(
                "longer than {LONGEST_SOURCE} bytes; move the work into a step"
            )));
        }
        let (rewritten, references) = scan::scan(source, names).map_err(refuse)?;
        let code = environment()
            .compile_expression_owned(rewritten)
            .map_err(|error| refuse(reason_of(&error)))?;
        let mut unknown: Vec<String> = code
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| name != "inputs" && name != "steps")
            .collect();
        unknown.sort();
        if let Some(name) = unknown.first() {
            return Err(refuse(format!(
                "`{name}` is not a name here; expressions reach `inputs.NAME` and `steps.ID.outputs` only (a key with a dash is written [\"a-b\"])"
            )));
        }
        Ok(Self {
            source: source.to_owned(),
            code,
            references,
        })
    }

    /// What it names.
    pub fn references(&self) -> &References {
        &self.references
    }

    fn dynamic(&self, scope: &Scope) -> Result<Dynamic, ExpressionError> {
        let value = self
            .code
            .eval(scope.root(&self.references))
            .map_err(|error| self.error(reason_of(&error)))?;
        if value.is_undefined() {
            return Err(self.error(
                "there is no such value; a step that was skipped has no outputs (`… | default(x)` gives one)"
                    .to_owned(),
            ));
        }
        Ok(value)
    }

    /// Its value, with its JSON type.
    pub fn value(&self, scope: &Scope) -> Result<Value, ExpressionError> {
        serde_json::to_value(self.dynamic(scope)?).map_err(|error| self.error(error.to_string()))
    }

    /// Whether it is true. Empty texts and lists, 0 and null are not.
    pub fn truth(&self, scope: &Scope) -> Result<bool, ExpressionError> {
        Ok(self.dynamic(scope)?.is_true())
    }

    fn error(&self, reason: String) -> ExpressionError {
        ExpressionError {
            expression: shortened(&self.source),
            reason,
        }
    }
}

fn reason_of(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

fn shortened(source: &str) -> String {
    const SHOWN: usize = 200;
    if source.chars().count() <= SHOWN {
        return source.to_owned();
    }
    let start: String = source.chars().take(SHOWN).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Names<'static> {
        Names::new(["size", "disk-name", "flag"], ["a", "b-c"])
    }

    fn scope() -> Scope {
        let mut scope =
            Scope::new(&json!({"size": 3, "disk-name": "sda", "flag": false, "other": 1}));
        scope.set_outputs(
            "a",
            &json!({"exit": 0, "lines": ["x", "y"], "big": 18_446_744_073_709_551_615_u64}),
        );
        scope.set_outputs("b-c", &json!({"exit-code": 4, "nested": {"z": 1.5}}));
        scope
    }

    #[test]
    fn values_keep_their_type() {
        let cases = [
            ("inputs.size", json!(3)),
            ("inputs.size + 1", json!(4)),
            ("inputs.disk-name", json!("sda")),
            ("inputs['disk-name']", json!("sda")),
            ("inputs.size-1", json!(2)),
            (
                "steps.a.outputs",
                json!({"exit": 0, "lines": ["x", "y"], "big": 18_446_744_073_709_551_615_u64}),
            ),
            ("steps.a.outputs.big", json!(18_446_744_073_709_551_615_u64)),
            ("steps.b-c.outputs.nested.z", json!(1.5)),
            ("steps.b-c.outputs['exit-code']", json!(4)),
            ("steps[\"b-c\"].outputs[\"exit-code\"]", json!(4)),
            ("steps.a.outputs.exit == 0 and not inputs.flag", json!(true)),
            ("'steps.zzz' ~ inputs.size", json!("steps.zzz3")),
            ("steps.a.outputs.lines | join(',')", json!("x,y")),
            ("steps.a.outputs.lines[1] | upper", json!("Y")),
            ("steps.a.outputs.none | default(7)", json!(7)),
            ("steps.a.outputs.none is defined", json!(false)),
            ("steps.a.outputs.exit is not none", json!(true)),
            ("inputs.size | json", json!("3")),
            ("steps.a.outputs.lines | length", json!(2)),
            ("{'a': inputs.size}", json!({"a": 3})),
            ("1 if inputs.flag else 2", json!(2)),
        ];
        for (source, expected) in cases {
            let expression = Expression::new(source, &names()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(expression.value(&scope()).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_runs() {
        let cases = [
            ("", "is empty"),
            ("inputs.sise", "did you mean `size`"),
            ("inputs", "must be followed by"),
            ("inputs[steps.a.outputs.exit]", "must be followed by"),
            ("steps.c.outputs.x", "no step `c`"),
            ("steps.a.exit", "`.outputs`"),
            ("steps", "must be followed by"),
            ("steps | length", "must be followed by"),
            ("env.HOME", "`env` is not a name here"),
            ("range(10)", "`range` is not a name here"),
            ("steps.b-c.outputs.exit-code", "`code` is not a name here"),
            ("inputs.size | shell", "no filter `shell`"),
            ("inputs.size | uper", "did you mean `upper`"),
            ("inputs.size is odd", "no test `odd`"),
            ("inputs.size +", "syntax error"),
            ("'open", "syntax error"),
        ];
        for (source, expected) in cases {
            let error = Expression::new(source, &names()).unwrap_err().to_string();
            assert!(error.contains(expected), "{source}: {error}");
        }
        let long = "1+".repeat(4000) + "1";
        assert!(Expression::new(&long, &names()).is_err());
    }

    #[test]
    fn what_goes_wrong_at_the_time_says_so() {
        let cases = [
            ("steps.a.outputs.missing", "no such value"),
            ("steps.a.outputs.missing.deeper", "undefined"),
            (
                "steps.a.outputs.missing == 1 or steps.a.outputs.missing.x",
                "undefined",
            ),
            ("inputs.size / 0", "unable to calculate"),
            ("'x' * 100000000000", "too large"),
            ("inputs.size | length", "has no length"),
        ];
        for (source, expected) in cases {
            let expression = Expression::new(source, &names()).unwrap();
            let error = expression.value(&scope()).unwrap_err().to_string();
            assert!(error.contains(expected), "{source}: {error}");
        }
    }

    #[test]
    fn references_are_found() {
        let expression = Expression::new(
            "steps.b-c.outputs.x ~ inputs['size'] ~ steps.a.outputs",
            &names(),
        )
        .unwrap();
        assert_eq!(
            expression.references(),
            &References {
                inputs: BTreeSet::from(["size".to_owned()]),
                steps: BTreeSet::from(["a".to_owned(), "b-c".to_owned()]),
            }
        );
    }
}
