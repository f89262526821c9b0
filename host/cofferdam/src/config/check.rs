//! Keys that nobody knows, found before the file is read as records: so that the message
//! can say where, and what was probably meant.

use anyhow::{Result, bail};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// Refuses the first key that the schema does not know. What is no TOML, or has values of
/// the wrong type, is left to the reader that comes after.
pub fn known_keys(text: &str, schema: &Value) -> Result<()> {
    let Ok(table) = DeTable::parse(text) else {
        return Ok(());
    };
    Walk { text, root: schema }.table(table.get_ref(), schema, "")
}

struct Walk<'a> {
    text: &'a str,
    root: &'a Value,
}

impl Walk<'_> {
    fn table(&self, table: &DeTable<'_>, schema: &Value, place: &str) -> Result<()> {
        let schema = self.follow(schema);
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (key, value) in table {
            let name: &str = key.get_ref();
            let known = properties.and_then(|properties| properties.get(name));
            let next = match (known, others) {
                (Some(known), _) => known,
                (None, Some(others)) if *others != Value::Bool(false) => others,
                (None, None) => continue,
                (None, Some(_)) => {
                    let names = properties.into_iter().flat_map(|known| known.keys());
                    bail!(
                        "line {}: unknown key {name:?}{}{}",
                        self.line(key.span().start),
                        if place.is_empty() {
                            String::new()
                        } else {
                            format!(" in [{place}]")
                        },
                        meant(name, names.map(String::as_str)),
                    );
                }
            };
            let inner = match place {
                "" => name.to_owned(),
                place => format!("{place}.{name}"),
            };
            self.value(value.get_ref(), next, &inner)?;
        }
        Ok(())
    }

    fn value(&self, value: &DeValue<'_>, schema: &Value, place: &str) -> Result<()> {
        match value {
            DeValue::Table(table) => self.table(table, self.chosen(table, schema), place),
            DeValue::Array(items) => {
                let schema = self.follow(schema).get("items").unwrap_or(&Value::Null);
                items
                    .iter()
                    .try_for_each(|item| self.value(item.get_ref(), schema, place))
            }
            _ => Ok(()),
        }
    }

    /// Of schemas that a tag tells apart, the one that the table's tag names.
    fn chosen<'s>(&'s self, table: &DeTable<'_>, schema: &'s Value) -> &'s Value {
        let schema = self.follow(schema);
        let fits = |choice: &&Value| {
            let properties = choice.get("properties").and_then(Value::as_object);
            properties.into_iter().flatten().any(|(name, property)| {
                let given = table
                    .get(name.as_str())
                    .and_then(|it| it.get_ref().as_str());
                given.is_some() && property.get("const").and_then(Value::as_str) == given
            })
        };
        let choices = schema.get("oneOf").and_then(Value::as_array);
        choices
            .and_then(|choices| choices.iter().find(fits))
            .unwrap_or(schema)
    }

    /// The schema behind references and `T or null`.
    fn follow<'s>(&'s self, schema: &'s Value) -> &'s Value {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let pointer = reference.trim_start_matches('#');
            return self
                .root
                .pointer(pointer)
                .map_or(schema, |target| self.follow(target));
        }
        let some = |choices: &'s Value| {
            choices
                .as_array()?
                .iter()
                .find(|choice| choice.get("type") != Some(&Value::from("null")))
        };
        schema
            .get("anyOf")
            .and_then(some)
            .map_or(schema, |choice| self.follow(choice))
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }
}

fn meant<'k>(given: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    let nearest = known
        .clone()
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, name)) => format!("; did you mean {name:?}?"),
        None => {
            let names: Vec<&str> = known.collect();
            format!("; known are {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn unknown_keys_are_named_with_line_place_and_the_nearest() {
        for (text, words) in [
            (
                "plugin-folder = []",
                vec!["line 1", "did you mean \"plugin-folders\"?"],
            ),
            (
                "\n[server]\nlisten = []\ntls_cert = \"x\"",
                vec!["line 4", "[server]", "\"tls-cert\""],
            ),
            (
                "[server.token-rate]\nper-second = 1\nbrust = 2",
                vec!["line 3", "[server.token-rate]", "\"burst\""],
            ),
            (
                "[plugins.fstab]\nsetings = {}",
                vec!["line 2", "[plugins.fstab]", "\"settings\""],
            ),
            (
                "[[plugins.a.filters]]\nfilter = \"log\"\n[[plugins.a.filters]]\nfilter = \"delay\"\nfixd-ms = 1",
                vec!["line 5", "[plugins.a.filters]", "\"fixed-ms\""],
            ),
            ("zzz = 1", vec!["known are", "plugin-folders, state"]),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{word} in {error}");
            }
        }
    }

    #[test]
    fn what_a_plugin_may_be_told_is_not_known_here() {
        Config::parse("[plugins.any.settings.deep]\nanything = [{ at = \"all\" }]").unwrap();
    }

    #[test]
    fn wrong_types_are_left_to_the_reader() {
        for text in ["server = 1", "plugins = [1]", "not toml"] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }
}
