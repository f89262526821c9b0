//! `cofferdam plugin new`: a small project that builds and passes its tests at once.
//!
//! **Design.** A template is a folder `sdk/LANGUAGE/template/WORLD` of plain files with the
//! placeholders `{{name}}`, `{{snake}}` and `{{pascal}}` in contents and names. The program
//! carries all of them ([`carried`]), and the SDKs: a project gets its SDK's sources in
//! `vendor/cofferdam-sdk`, of the very contract that the program speaks, and so needs nothing
//! but its language's own tools and package registry.
//!
//! **Limits.** Nothing is overwritten: the project's folder has to be new.

pub mod carried;
mod name;

use self::name::Name;
use super::plugin_build::languages::{self, Language};
use crate::cli::{NewPlugin, Output};
use crate::render::{json, sayln};
use anyhow::{Context, Result, bail};
use cofferdam_orchestrator::runs::nearest::did_you_mean;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where a project has its SDK.
pub const VENDORED: &str = "vendor/cofferdam-sdk";

/// A file of a project: its path from there, and its content.
pub type ProjectFile = (String, Vec<u8>);

#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    world: &'a str,
    language: &'a str,
    folder: String,
    files: Vec<String>,
    /// The commands that come next, in their order.
    next: Vec<String>,
}

/// Makes a project.
pub fn run(command: &NewPlugin, output: Output) -> Result<ExitCode> {
    let name = Name::parse(&command.name)?;
    let language = languages::find(&command.language)?;
    let mut files = template(language, &command.world, &name)?;
    files.extend(language.project()?);
    let folder = command
        .folder
        .clone()
        .unwrap_or_else(|| PathBuf::from(&name.kebab));
    write(&folder, &files)?;
    let next = vec![
        format!("cd {}", folder.display()),
        language.unit_tests().to_owned(),
        "cofferdam plugin build".to_owned(),
        format!("cofferdam plugin test {}.wasm", name.kebab),
    ];
    if output == Output::Json {
        json(&Made {
            name: &name.kebab,
            world: &command.world,
            language: language.name(),
            folder: folder.display().to_string(),
            files: files.into_iter().map(|(path, _)| path).collect(),
            next,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    sayln!(
        "{}: a {} in {}, which builds and passes its tests:",
        folder.display(),
        command.world,
        language.name()
    );
    for line in next {
        sayln!("  {line}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The files of a language's template for a world, filled in.
fn template(language: &dyn Language, world: &str, name: &Name) -> Result<Vec<ProjectFile>> {
    let files = carried::template(language.name(), world);
    if files.is_empty() {
        let worlds = carried::worlds(language.name());
        bail!(
            "there is no template for the world {world:?} in {}{}; there are {}",
            language.name(),
            did_you_mean(world, worlds.iter().copied()),
            worlds.join(", ")
        );
    }
    Ok(files
        .into_iter()
        .map(|(path, content)| {
            let content = match std::str::from_utf8(content) {
                Ok(text) => name.fill(text).into_bytes(),
                Err(_) => content.to_vec(),
            };
            (name.fill(path), content)
        })
        .collect())
}

/// Writes the files into a new folder, which is gone again where that fails.
fn write(folder: &Path, files: &[ProjectFile]) -> Result<()> {
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot make {}", parent.display()))?;
    }
    std::fs::create_dir(folder).with_context(|| {
        format!(
            "cannot make {}; the project's folder has to be a new one (--folder names another)",
            folder.display()
        )
    })?;
    let written = files
        .iter()
        .try_for_each(|(path, content)| write_file(&folder.join(path), content));
    if written.is_err() {
        // What remains of it would be in the way of the next attempt.
        std::fs::remove_dir_all(folder).ok();
    }
    written
}

fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let make = || {
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        std::fs::write(path, content)
    };
    make().with_context(|| format!("cannot write {}", path.display()))
}

/// A language's SDK as projects have it: its sources as they are.
pub fn vendored(language: &str) -> Vec<ProjectFile> {
    carried::sdk(language)
        .into_iter()
        .map(|(path, content)| (format!("{VENDORED}/{path}"), content.to_vec()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_contract::kinds::Kind;
    use cofferdam_contract::manifest::Manifest;

    /// What every template has, whatever its language.
    #[test]
    fn every_template_is_whole() {
        let name = Name::parse("old-names").unwrap();
        let mut seen = 0;
        for language in languages::names() {
            let language = languages::find(language).unwrap();
            let worlds = carried::worlds(language.name());
            assert!(worlds.contains(&"fixer"), "{}", language.name());
            for world in worlds {
                let place = format!("{} {world}", language.name());
                let kind = Kind::ALL.into_iter().find(|kind| kind.world() == world);
                assert!(kind.is_some(), "{place} is no world");
                let files = template(language, world, &name).unwrap();
                let text = |path: &str| {
                    let found = files.iter().find(|(name, _)| name == path);
                    let (_, content) = found.unwrap_or_else(|| panic!("{place}: no {path}"));
                    String::from_utf8(content.clone()).unwrap()
                };
                let manifest = Manifest::parse(&text("plugin.toml"))
                    .unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(manifest.id, "old-names", "{place}");
                let build = manifest.build.unwrap();
                assert_eq!(build.language.as_deref(), Some(language.name()), "{place}");
                assert_eq!(build.world, kind, "{place}");
                assert!(text("README.md").contains("old-names"), "{place}");
                text(".gitignore");
                for (path, content) in &files {
                    let content = String::from_utf8_lossy(content);
                    for left in ["{{name}}", "{{snake}}", "{{pascal}}"] {
                        assert!(!path.contains(left) && !content.contains(left), "{path}");
                    }
                }
                let cases: Vec<&str> = files
                    .iter()
                    .filter(|(path, _)| path.starts_with("cases/"))
                    .filter_map(|(path, _)| path.strip_suffix("/case.toml"))
                    .collect();
                assert!(
                    !cases.is_empty() || world == "filesystem",
                    "{place} has no case"
                );
                for case in cases {
                    text(&format!("{case}/expected.json"));
                }
                seen += 1;
            }
        }
        assert!(seen >= 4, "{seen}");
    }

    #[test]
    fn a_world_without_a_template_names_those_there_are() {
        let rust = languages::find("rust").unwrap();
        let name = Name::parse("a").unwrap();
        for (world, words) in [
            ("fixr", "did you mean `fixer`?"),
            ("cloud", "disk-source, fixer, inspector, workflow-step"),
            ("", "disk-source"),
            ("../rust", "disk-source"),
        ] {
            let error = template(rust, world, &name).unwrap_err().to_string();
            assert!(error.contains(words), "{world}: {error}");
        }
        let error = languages::find("rst").err().unwrap().to_string();
        assert!(error.contains("did you mean `rust`?"), "{error}");
    }

    #[test]
    fn a_folder_that_is_there_is_left_alone_and_half_a_project_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("deep/new");
        let file = |path: &str| (path.to_owned(), b"x".to_vec());
        write(&folder, &[file("a/b"), file("c")]).unwrap();
        let error = write(&folder, &[file("c")]).unwrap_err();
        assert!(error.to_string().contains("--folder"), "{error}");
        assert_eq!(std::fs::read(folder.join("a/b")).unwrap(), b"x");
        let half = place.path().join("half");
        // A file where a folder is needed.
        write(&half, &[file("a"), file("a/b")]).unwrap_err();
        assert!(!half.exists());
    }
}
