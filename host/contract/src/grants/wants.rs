//! What a component asks for beyond its world, and what a new version asks for more.
//!
//! A proposal's scope is compared key by key, and what cannot be shown to be narrower
//! counts as wider: a person looks at it once too often rather than once too seldom.

use super::{HTTP, SECRETS, TOOL, capability};
use crate::kinds::Kind;
use crate::manifest::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::{self, Display, Formatter};

/// One capability that a component wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// The capability, as the manifest names it (`cofferdam:tool/tool`, `wasi:http`).
    pub interface: String,
    /// Why it is needed, in the plugin's own words; empty where its manifest is silent.
    pub why: String,
    /// The scope that the plugin proposes: what belongs under `[plugins.ID.grants.KEY]`.
    pub grant: Map<String, Value>,
}

/// A capability that a version wants with another scope than the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Widened {
    /// The capability.
    pub interface: String,
    /// Why the new version needs it.
    pub why: String,
    /// The scope that the old version proposed.
    pub before: Map<String, Value>,
    /// The scope that the new version proposes.
    pub after: Map<String, Value>,
}

/// How what a version wants differs from what the one before wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Wanted only by the new version.
    pub added: Vec<Want>,
    /// Wanted by both, by the new one with a scope that is not within the old one's.
    pub widened: Vec<Widened>,
    /// Wanted only by the old version.
    pub dropped: Vec<Want>,
}

/// What a component with this manifest and these imports (with their versions) wants
/// beyond what belongs to the worlds, in the manifest's order; what it imports and does not
/// declare comes last. What it declares and does not import it could not use, and is left
/// out.
pub fn wants(manifest: &Manifest, imports: &[String]) -> Vec<Want> {
    let imported = |name: &str| imports.iter().any(|import| capability(import) == name);
    let mut wants: Vec<Want> = manifest
        .capabilities
        .iter()
        .filter(|wanted| imported(&wanted.name))
        .map(|wanted| Want {
            interface: wanted.name.clone(),
            why: wanted.why.clone(),
            grant: wanted.grant.clone(),
        })
        .collect();
    for import in imports {
        let belongs_to_a_world = Kind::ALL
            .iter()
            .any(|kind| kind.inherent_imports().contains(&import.as_str()));
        let name = capability(import);
        if !belongs_to_a_world && !wants.iter().any(|want| want.interface == name) {
            wants.push(Want {
                interface: name.to_owned(),
                why: String::new(),
                grant: Map::new(),
            });
        }
    }
    wants
}

/// How what a new version wants differs from what the old one wanted. Another reason for
/// the same scope is no difference.
pub fn difference(old: &[Want], new: &[Want]) -> Difference {
    let mut difference = Difference::default();
    for want in new {
        match old.iter().find(|other| other.interface == want.interface) {
            None => difference.added.push(want.clone()),
            Some(before) if !is_within(&want.interface, 0, &want.grant, &before.grant) => {
                difference.widened.push(Widened {
                    interface: want.interface.clone(),
                    why: want.why.clone(),
                    before: before.grant.clone(),
                    after: want.grant.clone(),
                });
            }
            Some(_) => {}
        }
    }
    let is_gone = |want: &&Want| !new.iter().any(|other| other.interface == want.interface);
    difference.dropped = old.iter().filter(is_gone).cloned().collect();
    difference
}

/// What is left of `granted`, which the operator of a version that proposed `before` for an
/// interface gave it, for a version that proposes `after`, which is within that: without what
/// `before` has and `after` has not, and with the restrictions that `after` adds. What the
/// operator wrote beyond the proposal stays. Empty where no name or host is left.
pub fn narrowed(
    interface: &str,
    granted: &Map<String, Value>,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Map<String, Value> {
    let left = narrowed_table(interface, 0, granted, before, after);
    let is_empty = |key: &str| {
        let list = left.get(key).and_then(Value::as_array);
        list.is_some_and(Vec::is_empty)
    };
    match interface {
        HTTP if is_empty("hosts") => Map::new(),
        SECRETS if is_empty("names") => Map::new(),
        _ => left,
    }
}

fn narrowed_table(
    interface: &str,
    depth: usize,
    granted: &Map<String, Value>,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Map<String, Value> {
    let mut left = Map::new();
    for (key, value) in granted {
        let value = match (before.get(key), after.get(key)) {
            (Some(_), None) => continue,
            (Some(before), Some(after)) => narrowed_value(interface, depth, value, before, after),
            (None, _) => value.clone(),
        };
        left.insert(key.clone(), value);
    }
    for key in Keys::at(interface, depth).restrictions {
        if let Some(added) = after.get(*key).filter(|_| !left.contains_key(*key)) {
            left.insert((*key).to_owned(), added.clone());
        }
    }
    left
}

fn narrowed_value(
    interface: &str,
    depth: usize,
    granted: &Value,
    before: &Value,
    after: &Value,
) -> Value {
    match (granted, before, after) {
        (Value::Object(granted), Value::Object(before), Value::Object(after)) => {
            let depth = depth.saturating_add(1);
            Value::Object(narrowed_table(interface, depth, granted, before, after))
        }
        (Value::Array(granted), Value::Array(before), Value::Array(after)) => {
            let kept = |item: &&Value| !before.contains(item) || after.contains(item);
            Value::Array(granted.iter().filter(kept).cloned().collect())
        }
        (Value::Bool(true), Value::Bool(true), Value::Bool(false)) => Value::Bool(false),
        _ => granted.clone(),
    }
}

impl Difference {
    /// Whether the new version wants nothing that the old one did not want.
    pub fn wants_no_more(&self) -> bool {
        self.added.is_empty() && self.widened.is_empty()
    }
}

/// A line for each capability, `+` for what is added, `~` for what is widened and `-` for
/// what is dropped; below the first two the reason and the scopes, as JSON.
impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for want in &self.added {
            writeln!(f, "+ {}: {}", want.interface, reason(&want.why))?;
            writeln!(f, "    proposed: {}", scope(&want.grant))?;
        }
        for widened in &self.widened {
            writeln!(f, "~ {}: {}", widened.interface, reason(&widened.why))?;
            writeln!(f, "    before:   {}", scope(&widened.before))?;
            writeln!(f, "    proposed: {}", scope(&widened.after))?;
        }
        for want in &self.dropped {
            writeln!(f, "- {}", want.interface)?;
        }
        Ok(())
    }
}

fn reason(why: &str) -> &str {
    if why.is_empty() {
        "(the plugin does not say why)"
    } else {
        why
    }
}

fn scope(grant: &Map<String, Value>) -> String {
    serde_json::to_string(grant).unwrap_or_default()
}

/// What the absence of a key means at one place of a scope. Elsewhere names are somebody's
/// own: programs and variables may be called as a key is.
#[derive(Default)]
struct Keys {
    /// Allow something by being there: leaving one out narrows a scope.
    allowances: &'static [&'static str],
    /// Restrict by being there: adding one narrows a scope.
    restrictions: &'static [&'static str],
}

impl Keys {
    /// Those of the tables that lie `depth` tables deep in the scope of an interface.
    fn at(interface: &str, depth: usize) -> Self {
        match (interface, depth) {
            (HTTP, 0) => Self {
                allowances: &["hosts", "addresses"],
                restrictions: &["methods", "paths"],
            },
            (SECRETS, 0) => Self {
                allowances: &["names"],
                ..Self::default()
            },
            (TOOL, 1) => Self {
                allowances: &["arguments", "environment", "network"],
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

/// Whether all that `new` allows is shown to be allowed by `old`: scopes of an interface, or
/// tables that lie `depth` tables deep in them.
fn is_within(
    interface: &str,
    depth: usize,
    new: &Map<String, Value>,
    old: &Map<String, Value>,
) -> bool {
    let keys = Keys::at(interface, depth);
    let narrower = |(key, value): (&String, &Value)| match old.get(key) {
        Some(before) => is_value_within(interface, depth, value, before),
        None => keys.restrictions.contains(&key.as_str()),
    };
    let kept_or_narrower = |(key, before): (&String, &Value)| {
        new.contains_key(key) || before.is_object() || keys.allowances.contains(&key.as_str())
    };
    new.iter().all(narrower) && old.iter().all(kept_or_narrower)
}

fn is_value_within(interface: &str, depth: usize, new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            is_within(interface, depth.saturating_add(1), new, old)
        }
        (Value::Array(new), Value::Array(old)) => new.iter().all(|item| old.contains(item)),
        (Value::Bool(new), Value::Bool(old)) => *old || !*new,
        (new, old) => new == old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn want(interface: &str, grant: &Value) -> Want {
        Want {
            interface: interface.to_owned(),
            why: "a reason".to_owned(),
            grant: grant.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn what_is_imported_beyond_the_world_is_wanted() {
        let manifest = Manifest::parse(
            r#"
            id = "notify"
            version = "1.0.0"
            summary = "Tells people"
            [[capabilities]]
            name = "wasi:http"
            why = "it posts to the chat"
            grant = { hosts = ["chat.example.org"] }
            [[capabilities]]
            name = "cofferdam:runtime/secrets"
            why = "never imported"
            grant = { names = ["a"] }
            "#,
        )
        .unwrap();
        let imports = [
            "cofferdam:runtime/context@0.1.0",
            "wasi:http/types@0.2.3",
            "wasi:http/outgoing-handler@0.2.3",
            "cofferdam:tool/tool@0.1.0",
        ]
        .map(str::to_owned);
        let wants = wants(&manifest, &imports);
        let names: Vec<&str> = wants.iter().map(|want| want.interface.as_str()).collect();
        assert_eq!(names, ["wasi:http", "cofferdam:tool/tool"]);
        assert_eq!(wants[0].why, "it posts to the chat");
        assert_eq!(wants[0].grant["hosts"], json!(["chat.example.org"]));
        assert!(wants[1].why.is_empty());
    }

    #[test]
    fn scopes_widen_unless_they_are_shown_to_be_within() {
        let http = [
            (json!({"hosts": ["a", "b"]}), json!({"hosts": ["a"]}), false),
            (json!({"hosts": ["a"]}), json!({"hosts": ["a", "b"]}), true),
            (json!({"hosts": ["a"]}), json!({"hosts": "a"}), true),
            (
                json!({"hosts": ["a"], "paths": ["/v1"]}),
                json!({"hosts": ["a"]}),
                true,
            ),
            (
                json!({"hosts": ["a"]}),
                json!({"hosts": ["a"], "paths": ["/v1"]}),
                false,
            ),
            (
                json!({"hosts": ["a"]}),
                json!({"hosts": ["a"], "ports": [22]}),
                true,
            ),
            (
                json!({"hosts": ["a"], "addresses": ["127.0.0.1"]}),
                json!({"hosts": ["a"]}),
                false,
            ),
        ];
        let secrets = [
            (json!({"names": ["a"]}), json!({}), false),
            (json!({"names": ["a"]}), json!({"names": ["a", "b"]}), true),
            (
                json!({"names": ["a"]}),
                json!({"names": ["a"], "paths": ["b"]}),
                true,
            ),
        ];
        let tool = |grant: Value| json!({ "qemu": grant });
        let variables =
            |environment: Value| json!({ "qemu": { "program": "q", "environment": environment } });
        let tools = [
            (
                tool(json!({"program": "q", "arguments": ["-m"]})),
                tool(json!({"program": "q"})),
                false,
            ),
            (
                tool(json!({"program": "q"})),
                tool(json!({"program": "sh"})),
                true,
            ),
            (
                tool(json!({"program": "q", "network": false})),
                tool(json!({"program": "q", "network": true})),
                true,
            ),
            (
                tool(json!({"program": "q", "timeout": "1m"})),
                tool(json!({"program": "q"})),
                true,
            ),
            (
                tool(json!({"program": "q"})),
                json!({"qemu": {"program": "q"}, "sh": {"program": "sh"}}),
                true,
            ),
            (tool(json!({"program": "q"})), json!({}), false),
            // Programs and variables whose names are keys elsewhere.
            (
                json!({}),
                json!({"methods": {"program": "sh", "arguments": [".*"]}}),
                true,
            ),
            (
                tool(json!({"program": "q"})),
                json!({"qemu": {"program": "q"}, "paths": {"program": "sh"}}),
                true,
            ),
            (
                tool(json!({"program": "q"})),
                tool(json!({"program": "q", "paths": ["/"]})),
                true,
            ),
            (variables(json!({})), variables(json!({"paths": "/"})), true),
            (variables(json!({"names": "a"})), variables(json!({})), true),
        ];
        let cases = [(HTTP, &http[..]), (SECRETS, &secrets), (TOOL, &tools)];
        for (interface, scopes) in cases {
            for (old, new, is_wider) in scopes {
                let found = difference(&[want(interface, old)], &[want(interface, new)]);
                assert_eq!(!found.widened.is_empty(), *is_wider, "{old} {new}");
                assert_eq!(found.wants_no_more(), !is_wider, "{old} {new}");
            }
        }
    }

    #[test]
    fn a_difference_says_what_came_and_what_went() {
        let old = [
            want("cofferdam:tool/tool", &json!({"q": {"program": "q"}})),
            want("wasi:http", &json!({"hosts": ["a"]})),
        ];
        let new = [
            want("wasi:http", &json!({"hosts": ["b"]})),
            want("cofferdam:runtime/secrets", &json!({"names": ["n"]})),
        ];
        let text = difference(&old, &new).to_string();
        assert_eq!(
            text,
            "+ cofferdam:runtime/secrets: a reason\n    proposed: {\"names\":[\"n\"]}\n\
             ~ wasi:http: a reason\n    before:   {\"hosts\":[\"a\"]}\n    proposed: {\"hosts\":[\"b\"]}\n\
             - cofferdam:tool/tool\n"
        );
        let mut same = new.clone();
        same[0].why = "another".to_owned();
        assert_eq!(difference(&new, &same), Difference::default());
    }

    #[test]
    fn what_is_wanted_no_more_is_granted_no_more() {
        let sh = json!({ "program": "sh", "arguments": ["-c"] });
        let echo = json!({ "program": "echo" });
        // The interface, what was granted, what was and what is proposed, what is left.
        let cases = [
            (
                TOOL,
                json!({"echo": echo, "sh": sh}),
                json!({"echo": echo, "sh": sh}),
                json!({"echo": echo}),
                json!({"echo": echo}),
            ),
            // The operator granted less than was proposed, and less than is.
            (
                TOOL,
                json!({"echo": echo}),
                json!({"echo": echo, "sh": sh}),
                json!({"echo": echo, "sh": sh}),
                json!({"echo": echo}),
            ),
            (
                TOOL,
                json!({"sh": sh}),
                json!({"echo": echo, "sh": sh}),
                json!({"echo": echo}),
                json!({}),
            ),
            (
                TOOL,
                json!({"q": {"program": "q", "arguments": ["-m", "-x"], "network": true}}),
                json!({"q": {"program": "q", "arguments": ["-m", "-x"], "network": true}}),
                json!({"q": {"program": "q", "arguments": ["-m"], "network": false}}),
                json!({"q": {"program": "q", "arguments": ["-m"], "network": false}}),
            ),
            (
                TOOL,
                json!({"q": {"program": "q", "arguments": ["-m"]}}),
                json!({"q": {"program": "q", "arguments": ["-m"]}}),
                json!({"q": {"program": "q"}}),
                json!({"q": {"program": "q"}}),
            ),
            // In the operator's own words.
            (
                SECRETS,
                json!({"names": ["db-*", "b"], "more": 1}),
                json!({"names": ["db-a", "b"]}),
                json!({"names": ["db-a"]}),
                json!({"names": ["db-*"], "more": 1}),
            ),
            (
                SECRETS,
                json!({"names": ["b"]}),
                json!({"names": ["a", "b"]}),
                json!({"names": ["a"]}),
                json!({}),
            ),
            (
                HTTP,
                json!({"hosts": ["a"]}),
                json!({"hosts": ["a"]}),
                json!({"hosts": ["a"], "paths": ["/v1"]}),
                json!({"hosts": ["a"], "paths": ["/v1"]}),
            ),
            (
                HTTP,
                json!({"hosts": ["a"], "paths": ["/v1/x"]}),
                json!({"hosts": ["a"]}),
                json!({"hosts": ["a"], "paths": ["/v1"]}),
                json!({"hosts": ["a"], "paths": ["/v1/x"]}),
            ),
            // A program of such a name is no restriction, and nobody granted it.
            (
                TOOL,
                json!({"sh": sh}),
                json!({"sh": sh}),
                json!({"sh": sh, "paths": echo}),
                json!({"sh": sh}),
            ),
        ];
        for (interface, granted, before, after, expected) in cases {
            let [granted, before, after] =
                [granted, before, after].map(|value| value.as_object().unwrap().clone());
            let left = Value::Object(narrowed(interface, &granted, &before, &after));
            assert_eq!(left, expected, "{before:?} to {after:?}");
        }
    }
}
