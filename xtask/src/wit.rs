//! `wit`: what is generated from `wit/`, the only copy of the contract edited by hand: the
//! copies that the SDKs ship, the bindings of that for C, and docs/contract.md.

mod bindings;
mod page;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::workspace::Workspace;

/// The page for readers.
const PAGE: &str = "docs/contract.md";

/// Files by path.
type Files = BTreeMap<PathBuf, String>;

/// Writes all that is generated, and removes copies of what is gone.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    for path in differences(workspace)? {
        let file = workspace.root.join(&path);
        match expected(workspace)?.get(&path) {
            Some(text) => {
                if let Some(folder) = file.parent() {
                    fs::create_dir_all(folder)?;
                }
                fs::write(&file, text)
            }
            None => fs::remove_file(&file),
        }
        .with_context(|| format!("cannot update {}", file.display()))?;
        println!("updated {}", path.display());
    }
    Ok(())
}

/// The generated files that are not as they should be, by path from the root.
pub(crate) fn differences(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let expected = expected(workspace)?;
    let mut actual = Files::new();
    for copy in copies(workspace)? {
        for (path, text) in read(&workspace.root.join(&copy))? {
            actual.insert(copy.join(path), text);
        }
    }
    for folder in bindings::FOLDERS {
        let there = workspace.root.join(folder);
        if there.is_dir() {
            for (path, text) in read(&there)? {
                actual.insert(Path::new(folder).join(path), text);
            }
        }
    }
    if let Ok(text) = fs::read_to_string(workspace.root.join(PAGE)) {
        actual.insert(PAGE.into(), text);
    }
    let mut paths: Vec<_> = expected
        .iter()
        .filter(|(path, text)| actual.get(*path) != Some(*text))
        .map(|(path, _)| path.clone())
        .collect();
    paths.extend(
        actual
            .into_keys()
            .filter(|path| !expected.contains_key(path)),
    );
    Ok(paths)
}

/// What the generated files should hold.
fn expected(workspace: &Workspace) -> Result<Files> {
    let source = workspace.root.join("wit");
    let contract = read(&source)?;
    let mut files = Files::new();
    for copy in copies(workspace)? {
        for (path, text) in &contract {
            files.insert(copy.join(path), text.clone());
        }
    }
    files.insert(PAGE.into(), page::make(&source)?);
    files.append(&mut bindings::make(&source)?);
    Ok(files)
}

/// The folders that hold a copy: `wit` of every SDK that has one.
fn copies(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let sdk = workspace.root.join("sdk");
    let entries = fs::read_dir(&sdk).with_context(|| format!("cannot list {}", sdk.display()))?;
    let mut copies = Vec::new();
    for entry in entries {
        let copy = Path::new("sdk").join(entry?.file_name()).join("wit");
        if workspace.root.join(&copy).is_dir() {
            copies.push(copy);
        }
    }
    copies.sort();
    Ok(copies)
}

/// The text files below `folder`, by path from there.
fn read(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = PathBuf::from(entry.file_name());
        let path = entry.path();
        if path.is_dir() {
            for (below, text) in read(&path)? {
                files.insert(name.join(below), text);
            }
        } else {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            files.insert(name, text);
        }
    }
    Ok(files)
}
