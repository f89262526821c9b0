//! What a version may do: the configuration's tables, and what was granted at its
//! installation for the interfaces that these leave out.

use super::view::Approval;
use crate::grants::{Granted, PluginGrants, Said};
use crate::tool::pattern::Whole;
use cofferdam_contract::grants::{self, Difference, Want};
use serde_json::{Map, Value};

/// A configuration's tables as JSON. One that is there and empty says nothing of this, and
/// is empty here too.
fn tables(configured: Option<&PluginGrants>) -> Result<Map<String, Value>, String> {
    let value = serde_json::to_value(configured).map_err(|error| error.to_string())?;
    let (Value::Object(mut tables), Some(configured)) = (value, configured) else {
        return Ok(Map::new());
    };
    tables.retain(|_, table| !table.is_null());
    for (capability, said) in configured.said() {
        if said == Some(Said::Nothing) {
            tables.insert(
                grants::key(capability).to_owned(),
                Value::Object(Map::new()),
            );
        }
    }
    Ok(tables)
}

fn says_something(table: &Value) -> bool {
    match table {
        Value::Null => false,
        Value::Object(keys) => !keys.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// The grants in force: a table of the configuration wins over what was granted to the
/// installation, for its interface.
///
/// # Errors
/// What was granted to the installation is not what a grant looks like.
pub(super) fn effective(
    configured: Option<&PluginGrants>,
    approved: &Map<String, Value>,
) -> Result<PluginGrants, String> {
    let mut tables = tables(configured)?;
    for (key, table) in approved {
        if !tables.contains_key(key) {
            tables.insert(key.clone(), table.clone());
        }
    }
    serde_json::from_value(Value::Object(tables)).map_err(|error| error.to_string())
}

/// How far the grants in force reach, checked: programs are looked for on the operator's
/// PATH.
///
/// # Errors
/// Why they cannot be used.
pub(super) fn scopes(
    plugin: &str,
    configured: Option<&PluginGrants>,
    approved: &Map<String, Value>,
) -> Result<Granted, String> {
    let grants = effective(configured, approved)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    Granted::check(plugin, &grants, &path).map_err(|error| error.to_string())
}

/// What a version wants, and who granted it what.
pub(super) struct Claim<'a> {
    /// What it wants.
    pub(super) wants: &'a [Want],
    /// The configuration's tables.
    pub(super) configured: Option<&'a PluginGrants>,
    /// What the active version wants, and what was granted to it.
    pub(super) active: Option<(&'a [Want], &'a Map<String, Value>)>,
}

/// What is granted to a version, and what is missing.
pub(super) struct Settled {
    /// By the keys of `[plugins.ID.grants]`, without what the configuration grants.
    pub(super) approved: Map<String, Value>,
    /// What nobody granted.
    pub(super) missing: Difference,
    /// What the configuration's tables leave out of the wishes that they are for.
    pub(super) left_out: Vec<Want>,
}

impl Claim<'_> {
    /// Which of the wishes are granted: by the configuration, by `approval`, or because the
    /// active version was granted the same.
    ///
    /// # Errors
    /// The approval is for something that is not wanted.
    pub(super) fn settle(&self, approval: &Approval) -> Result<Settled, String> {
        let configured = tables(self.configured)?;
        let nothing = Map::new();
        let (old, inherited) = self.active.unwrap_or((&[], &nothing));
        let more = grants::difference(old, self.wants);
        let mut settled = Settled {
            approved: Map::new(),
            missing: Difference::default(),
            left_out: Vec::new(),
        };
        for want in self.wants {
            let key = grants::key(&want.interface);
            if let Some(table) = configured.get(key) {
                settled.left_out.extend(left_out(want, table));
                continue;
            }
            let added = more.added.iter().find(|a| a.interface == want.interface);
            let widened = more.widened.iter().find(|w| w.interface == want.interface);
            let same = added.is_none() && widened.is_none();
            let proposed = Value::Object(want.grant.clone());
            let table = match approval {
                Approval::Given(given) if given.contains_key(key) => given.get(key).cloned(),
                Approval::Proposed if says_something(&proposed) => Some(proposed),
                _ if same => kept(inherited.get(key), old, want),
                _ => None,
            };
            match table.filter(says_something) {
                Some(table) => {
                    settled.approved.insert(key.to_owned(), table);
                }
                None => match widened {
                    Some(widened) => settled.missing.widened.push(widened.clone()),
                    None => settled.missing.added.push(want.clone()),
                },
            }
        }
        if let Approval::Given(given) = approval {
            let wanted = |key: &&String| {
                let mut wants = self.wants.iter();
                !wants.any(|want| grants::key(&want.interface) == key.as_str())
            };
            if let Some(key) = given.keys().find(wanted) {
                return Err(format!(
                    "`{key}` is granted, and the plugin does not want it; leave it out"
                ));
            }
        }
        Ok(settled)
    }
}

/// The part of a wish that a table of the configuration does not grant: programs by their
/// names, secrets and hosts as its patterns match. How far a program that both name may be
/// used is the operator's, and not compared.
fn left_out(want: &Want, table: &Value) -> Option<Want> {
    let covers = |pattern: &Value, item: &Value| {
        let matches = |pattern: &str, item: &str| {
            Whole::glob(pattern).is_ok_and(|pattern| pattern.matches(item))
        };
        let texts = pattern.as_str().zip(item.as_str());
        texts.is_some_and(|(pattern, item)| matches(pattern, item))
    };
    let mut grant = Map::new();
    for (key, wanted) in &want.grant {
        match (wanted, table.get(key)) {
            (Value::Object(_), None) => {
                grant.insert(key.clone(), wanted.clone());
            }
            (Value::Array(items), Some(Value::Array(patterns)))
                if matches!(key.as_str(), "names" | "hosts") =>
            {
                let mut left = items.clone();
                left.retain(|item| !patterns.iter().any(|pattern| covers(pattern, item)));
                if !left.is_empty() {
                    grant.insert(key.clone(), Value::Array(left));
                }
            }
            _ => {}
        }
    }
    let partly = (!grant.is_empty()).then(|| Want {
        grant,
        ..want.clone()
    });
    partly.or_else(|| (!says_something(table)).then(|| want.clone()))
}

/// What is left of a table that the active version was granted, for one that wants no more.
fn kept(inherited: Option<&Value>, old: &[Want], want: &Want) -> Option<Value> {
    let before = old.iter().find(|old| old.interface == want.interface)?;
    let granted = inherited?.as_object()?;
    let left = grants::narrowed(&want.interface, granted, &before.grant, &want.grant);
    Some(Value::Object(left))
}

/// The lines of `cofferdam.toml` that grant what is missing as the plugin proposes.
pub(super) fn lines(plugin: &str, missing: &Difference) -> String {
    let added = missing
        .added
        .iter()
        .map(|want| (&want.interface, &want.grant));
    let widened = missing
        .widened
        .iter()
        .map(|widened| (&widened.interface, &widened.after));
    added
        .chain(widened)
        .map(|(interface, grant)| {
            grants::lines(plugin, interface, grant)
                .unwrap_or_else(|error| format!("# {interface} cannot be written: {error}\n"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_contract::grants::{HTTP, SECRETS, TOOL};
    use cofferdam_contract::services::{Outbound as _, OutboundRequest};
    use serde_json::json;

    fn want(interface: &str, grant: &Value) -> Want {
        Want {
            interface: interface.to_owned(),
            why: "a reason".to_owned(),
            grant: object(grant),
        }
    }

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn secrets(names: &[&str]) -> Value {
        json!({ "names": names })
    }

    #[test]
    fn wishes_are_granted_by_whoever_may() {
        let configured: PluginGrants =
            serde_json::from_value(json!({ "secrets": { "names": ["db-*"] } })).unwrap();
        let wants_a = [want(SECRETS, &secrets(&["a"]))];
        let wants_ab = [want(SECRETS, &secrets(&["a", "b"]))];
        let granted_a = object(&json!({ "secrets": secrets(&["a"]) }));
        let given = |names: &[&str]| Approval::Given(object(&json!({ "secrets": secrets(names) })));
        type Case<'a> = (
            &'a [Want],
            Option<&'a PluginGrants>,
            Option<(&'a [Want], &'a Map<String, Value>)>,
            Approval,
            // What is approved in the end, or what is missing.
            Result<Value, (usize, usize)>,
        );
        let granted_ab = object(&json!({ "secrets": secrets(&["a", "b"]) }));
        let cases: [Case; 11] = [
            (&[], None, None, Approval::Nothing, Ok(json!({}))),
            (&wants_a, None, None, Approval::Nothing, Err((1, 0))),
            (
                &wants_a,
                Some(&configured),
                None,
                Approval::Nothing,
                Ok(json!({})),
            ),
            (
                &wants_a,
                None,
                None,
                Approval::Proposed,
                Ok(json!({ "secrets": secrets(&["a"]) })),
            ),
            (
                &wants_a,
                None,
                Some((&wants_a, &granted_a)),
                Approval::Nothing,
                Ok(json!({ "secrets": secrets(&["a"]) })),
            ),
            (
                &wants_ab,
                None,
                Some((&wants_a, &granted_a)),
                Approval::Nothing,
                Err((0, 1)),
            ),
            (
                &wants_ab,
                None,
                Some((&wants_a, &granted_a)),
                Approval::Proposed,
                Ok(json!({ "secrets": secrets(&["a", "b"]) })),
            ),
            (
                &wants_a,
                None,
                Some((&wants_a, &granted_a)),
                given(&["c"]),
                Ok(json!({ "secrets": secrets(&["c"]) })),
            ),
            // It wants less than the one before.
            (
                &wants_a,
                None,
                Some((&wants_ab, &granted_ab)),
                Approval::Nothing,
                Ok(json!({ "secrets": secrets(&["a"]) })),
            ),
            (
                &wants_ab,
                None,
                Some((&wants_ab, &granted_a)),
                Approval::Proposed,
                Ok(json!({ "secrets": secrets(&["a", "b"]) })),
            ),
            // The one before was granted by the configuration, which is silent now.
            (
                &wants_a,
                None,
                Some((&wants_a, &Map::new())),
                Approval::Nothing,
                Err((1, 0)),
            ),
        ];
        for (number, (wants, configured, active, approval, expected)) in
            cases.into_iter().enumerate()
        {
            let claim = Claim {
                wants,
                configured,
                active,
            };
            let settled = claim.settle(&approval).unwrap();
            let missing = (settled.missing.added.len(), settled.missing.widened.len());
            match expected {
                Ok(approved) => {
                    assert_eq!(Value::Object(settled.approved), approved, "{number}");
                    assert_eq!(missing, (0, 0), "{number}");
                }
                Err(expected) => assert_eq!(missing, expected, "{number}"),
            }
        }
    }

    #[test]
    fn a_grant_of_what_nobody_wants_is_a_mistake() {
        let claim = Claim {
            wants: &[want(TOOL, &json!({}))],
            configured: None,
            active: None,
        };
        let approval = Approval::Given(object(&json!({ "secrets": secrets(&["a"]) })));
        let error = claim.settle(&approval).err().unwrap();
        assert!(error.contains("`secrets`"), "{error}");
        // A plugin that proposes nothing cannot be granted its proposal.
        let settled = claim.settle(&Approval::Proposed).unwrap();
        assert_eq!(settled.missing.added.len(), 1);
        assert!(lines("x", &settled.missing).contains("[plugins.x.grants.tool]"));
    }

    #[test]
    fn what_the_configuration_leaves_out_is_told() {
        let tools = json!({ "echo": { "program": "echo" }, "sh": { "program": "sh" } });
        let names = secrets(&["db-a", "b"]);
        let hosts = json!({ "hosts": ["a.test"] });
        // What is wanted, the configuration, what it leaves out.
        let cases = [
            (
                TOOL,
                &tools,
                "[tool.echo]\nprogram = \"echo\"",
                json!({ "sh": { "program": "sh" } }),
            ),
            (TOOL, &tools, "[tool]", tools.clone()),
            (SECRETS, &names, "[secrets]", names.clone()),
            (HTTP, &hosts, "[http]", hosts.clone()),
            (
                SECRETS,
                &names,
                "secrets = { names = [\"db-*\"] }",
                secrets(&["b"]),
            ),
            (
                SECRETS,
                &names,
                "secrets = { names = [\"*\"] }",
                Value::Null,
            ),
            // Nobody is told what the configuration does not speak of: it is missing.
            (SECRETS, &names, "[tool]", Value::Null),
        ];
        for (interface, grant, text, expected) in cases {
            let configured: PluginGrants = toml::from_str(text).unwrap();
            let claim = Claim {
                wants: &[want(interface, grant)],
                configured: Some(&configured),
                active: None,
            };
            let settled = claim.settle(&Approval::Nothing).unwrap();
            let left = settled.left_out.first();
            let left = left.map_or(Value::Null, |want| Value::Object(want.grant.clone()));
            assert_eq!(left, expected, "{interface} {text}");
        }
        // A plugin that proposes nothing is left without as well.
        for (interface, text) in [(TOOL, "[tool]"), (SECRETS, "[secrets]"), (HTTP, "[http]")] {
            let configured: PluginGrants = toml::from_str(text).unwrap();
            let claim = Claim {
                wants: &[want(interface, &json!({}))],
                configured: Some(&configured),
                active: None,
            };
            let settled = claim.settle(&Approval::Nothing).unwrap();
            assert_eq!(settled.left_out.len(), 1, "{text}");
        }
    }

    #[test]
    fn a_table_of_the_configuration_wins() {
        let configured: PluginGrants =
            serde_json::from_value(json!({ "secrets": { "names": ["x"] } })).unwrap();
        let tool = json!({ "sh": { "program": "sh" } });
        let approved = object(&json!({ "secrets": secrets(&["y"]), "tool": tool }));
        let grants = effective(Some(&configured), &approved).unwrap();
        assert_eq!(grants.secrets.unwrap().names, ["x"]);
        assert_eq!(grants.tool.unwrap()["sh"].program, "sh");
        for text in ["[tool]", "tool = {}"] {
            let configured: PluginGrants = toml::from_str(text).unwrap();
            let grants = effective(Some(&configured), &approved).unwrap();
            assert!(grants.tool.unwrap().is_empty(), "{text}");
            assert_eq!(grants.secrets.unwrap().names, ["y"], "{text}");
        }
        let approved = object(&json!({
            "secrets": secrets(&["y"]),
            "tool": { "sh": { "program": "sh" } },
            "http": { "hosts": ["a.test"] },
        }));
        let all = scopes("p", None, &approved).unwrap();
        let request = OutboundRequest {
            method: "GET".to_owned(),
            scheme: "https".to_owned(),
            host: "a.test".to_owned(),
            port: 443,
            path: "/".to_owned(),
        };
        let held = |granted: &Granted| {
            [
                granted.tool("sh").is_ok(),
                granted.secret("y").is_ok(),
                granted.request(&request).is_ok(),
            ]
        };
        assert_eq!(held(&all), [true; 3]);
        for (text, expected) in [
            ("[tool]", [false, true, true]),
            ("[secrets]", [true, false, true]),
            ("[secrets]\nnames = []", [true, false, true]),
            ("[http]", [true, true, false]),
            ("[http]\nhosts = []", [true, true, false]),
            ("[tool]\n[secrets]\n[http]", [false; 3]),
        ] {
            let configured: PluginGrants = toml::from_str(text).unwrap();
            let left = scopes("p", Some(&configured), &approved).unwrap();
            assert_eq!(held(&left), expected, "{text}");
        }
        let configured: PluginGrants = toml::from_str("[http]\nports = [443]").unwrap();
        let error = scopes("p", Some(&configured), &approved).unwrap_err();
        assert!(error.contains("`hosts` is empty"), "{error}");
        assert!(effective(None, &object(&json!({ "unknown": {} }))).is_err());
    }
}
