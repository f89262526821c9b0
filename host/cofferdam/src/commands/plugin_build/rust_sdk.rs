//! The Rust SDK as a project outside this repository has it.
//!
//! In the repository its manifest inherits versions from the workspace's. A project gets them
//! written out, and the workspace's Cargo.lock, so that it is built with the versions that the
//! SDK is tested with; cargo strikes out of it what a project does not use.

use crate::commands::plugin_new::{ProjectFile, VENDORED, vendored};
use anyhow::{Context, Result};
use toml::{Table, Value};

const WORKSPACE: &str = include_str!("../../../../../Cargo.toml");
const LOCK: &str = include_str!("../../../../../Cargo.lock");

/// The files beside a template's.
pub fn files() -> Result<Vec<ProjectFile>> {
    let manifest = format!("{VENDORED}/Cargo.toml");
    let mut files = vendored("rust");
    for (path, content) in &mut files {
        if *path == manifest {
            let text = std::str::from_utf8(content).context("the SDK's Cargo.toml is no text")?;
            *content = standalone(text, WORKSPACE)?.into_bytes();
        }
    }
    files.push(("Cargo.lock".to_owned(), LOCK.as_bytes().to_vec()));
    Ok(files)
}

/// A manifest that says itself what it inherits from the workspace's, without what only the
/// workspace needs of it: lints and its own tests.
fn standalone(manifest: &str, workspace: &str) -> Result<String> {
    let mut manifest: Table = manifest
        .parse()
        .context("the SDK's Cargo.toml is no TOML")?;
    let workspace: Table = workspace.parse().context("the Cargo.toml is no TOML")?;
    let inherited = |table: &str| {
        let workspace = workspace.get("workspace");
        let found = workspace.and_then(|workspace| workspace.get(table));
        found.and_then(Value::as_table).cloned().unwrap_or_default()
    };
    let (package, dependencies) = (inherited("package"), inherited("dependencies"));
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    if let Some(Value::Table(own)) = manifest.get_mut("package") {
        inherit(own, &package)?;
    }
    if let Some(Value::Table(own)) = manifest.get_mut("dependencies") {
        inherit(own, &dependencies)?;
    }
    let targets = manifest.get_mut("target").and_then(Value::as_table_mut);
    for (_, target) in targets.into_iter().flatten() {
        if let Some(Value::Table(own)) = target.get_mut("dependencies") {
            inherit(own, &dependencies)?;
        }
    }
    toml::to_string(&manifest).context("the SDK's Cargo.toml cannot be written")
}

/// Replaces each value that is inherited; features are those of both.
fn inherit(own: &mut Table, from: &Table) -> Result<()> {
    for (key, value) in own.iter_mut() {
        let Some(wanted) = value
            .as_table()
            .filter(|table| table.contains_key("workspace"))
        else {
            continue;
        };
        let found = from
            .get(key)
            .with_context(|| format!("the workspace says nothing of {key}"))?;
        let features = wanted.get("features").and_then(Value::as_array).cloned();
        let mut result = found.clone();
        if let Some(features) = features {
            let mut table = match result {
                Value::Table(table) => table,
                version => Table::from_iter([("version".to_owned(), version)]),
            };
            let mut all = match table.remove("features") {
                Some(Value::Array(all)) => all,
                _ => Vec::new(),
            };
            all.extend(features);
            table.insert("features".to_owned(), Value::Array(all));
            result = Value::Table(table);
        }
        *value = result;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inherited_is_written_out() {
        let manifest = r#"
            [package]
            name = "a"
            edition.workspace = true
            [lints]
            workspace = true
            [dependencies]
            one.workspace = true
            two = { workspace = true, features = ["y"] }
            three = "3"
            [target.'cfg(unix)'.dependencies]
            two.workspace = true
            [dev-dependencies]
            none.workspace = true
        "#;
        let workspace = r#"
            [workspace.package]
            edition = "2024"
            [workspace.dependencies]
            one = "1"
            two = { version = "2", features = ["x"] }
        "#;
        let expected: Table = r#"
            [package]
            name = "a"
            edition = "2024"
            [dependencies]
            one = "1"
            two = { version = "2", features = ["x", "y"] }
            three = "3"
            [target.'cfg(unix)'.dependencies]
            two = { version = "2", features = ["x"] }
        "#
        .parse()
        .unwrap();
        let written: Table = standalone(manifest, workspace).unwrap().parse().unwrap();
        assert_eq!(written, expected);
        let error = standalone("[dependencies]\nfour.workspace = true", workspace);
        assert!(error.unwrap_err().to_string().contains("four"));
    }

    #[test]
    fn the_sdk_inherits_nothing_in_a_project() {
        let files = files().unwrap();
        let text = |path: &str| {
            let (_, content) = files.iter().find(|(name, _)| name == path).unwrap();
            String::from_utf8(content.clone()).unwrap()
        };
        let manifest = text("vendor/cofferdam-sdk/Cargo.toml");
        assert!(!manifest.contains("workspace"), "{manifest}");
        assert!(manifest.contains("wit-bindgen"), "{manifest}");
        assert!(text("vendor/cofferdam-sdk/wit/plugin/plugin.wit").contains("world fixer"));
        assert!(text("Cargo.lock").contains("wit-bindgen"));
        assert!(!files.iter().any(|(path, _)| path.contains("template")));
    }
}
