//! What a plugin's README says of its options is what its manifest says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_tests::plugin_sources;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use toml::Value;

/// An option's type, its allowed values, its default as JSON, and its meaning.
type Options = BTreeMap<String, (String, Vec<String>, String, String)>;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The settings of a manifest.
fn declared(manifest: &Value) -> Options {
    let properties = manifest
        .get("settings")
        .and_then(|settings| settings.get("properties"));
    let properties = properties.and_then(Value::as_table);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let values = schema.get("enum").and_then(Value::as_array);
            let values = values.into_iter().flatten().map(text).collect();
            let default = serde_json::to_string(&schema["default"]).unwrap();
            let meaning = text(&schema["description"]);
            (
                name.clone(),
                (text(&schema["type"]), values, default, meaning),
            )
        })
        .collect()
}

/// The rows of the table under the heading "Options".
fn documented(readme: &str) -> Options {
    let (_, section) = readme.split_once("\n## Options\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let options: Options = rows.map(row).collect();
    if options.is_empty() {
        let said = section.contains("None.") || section.contains("There are none.");
        assert!(said, "no option, and it is not said: {section}");
    }
    options
}

fn row(line: &str) -> (String, (String, Vec<String>, String, String)) {
    let cells: Vec<&str> = line
        .trim_matches('|')
        .splitn(4, '|')
        .map(str::trim)
        .collect();
    let bare = |cell: &str| cell.trim_matches('`').to_owned();
    let (kind, values) = cells[1].split_once(':').unwrap_or((cells[1], ""));
    let values = values.split(',').map(|value| bare(value.trim()));
    let values = values.filter(|value| !value.is_empty()).collect();
    // Text may stand without its quotes.
    let default = bare(cells[2]);
    let default = match serde_json::from_str::<serde_json::Value>(&default) {
        Ok(value) => value.to_string(),
        Err(_) => serde_json::to_string(&default).unwrap(),
    };
    (
        bare(cells[0]),
        (kind.to_owned(), values, default, cells[3].to_owned()),
    )
}

#[test]
fn the_option_table_of_each_readme_is_that_of_the_manifest() {
    for folder in plugin_sources() {
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let manifest: Value = toml::from_str(&read("plugin.toml")).unwrap();
        let mut declared = declared(&manifest);
        let documented = documented(&read("README.md"));
        for (name, (_, values, _, _)) in &mut declared {
            // A table may leave the values to the meaning.
            if documented
                .get(name)
                .is_some_and(|(_, shown, _, _)| shown.is_empty())
            {
                values.clear();
            }
        }
        assert_eq!(documented, declared, "{}", folder.display());
    }
}

#[test]
fn a_table_that_lies_would_be_found() {
    let readme = "# x\n\n## Options\n\n| option | type | default | meaning |\n|---|---|---|---|\n\
        | `mode` | string: `a`, `b` | `a` | What \\| how |\n\n## Limits\n";
    let options = documented(readme);
    let (kind, values, default, _) = &options["mode"];
    assert_eq!((kind.as_str(), default.as_str()), ("string", "\"a\""));
    assert_eq!(values, &["a", "b"]);
    assert!(std::panic::catch_unwind(|| documented("\n## Options\n\nsome\n")).is_err());
}

#[test]
fn every_plugin_has_what_a_plugin_has() {
    for folder in plugin_sources() {
        let shown = folder.display();
        for name in ["plugin.toml", "README.md"] {
            assert!(folder.join(name).is_file(), "{shown} has no {name}");
        }
        let code = folder.join("Cargo.toml").is_file()
            || fs::read_to_string(folder.join("plugin.toml"))
                .unwrap()
                .contains("[build]");
        assert!(code, "{shown} cannot be built");
        // What a file system does is held against e2fsck, not against a list of edits.
        if !folder.starts_with(cofferdam_tests::workspace().join("plugins/filesystems")) {
            assert!(has_cases(&folder), "{shown} has no cases");
        }
    }
}

fn has_cases(folder: &Path) -> bool {
    fs::read_dir(folder.join("cases")).is_ok_and(|mut cases| cases.next().is_some())
}
