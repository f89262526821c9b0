//! What cases of every kind have in common: a folder for each below `cases/`, and in it
//! `expected.json`, which is compared or, on request, written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};

/// A failure with the file that it is about.
pub(super) fn failed(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::invalid(format!("{}: {error}", path.display()))
}

/// A text file.
pub(super) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| failed(path, error))
}

/// A value as `expected.json` holds it.
pub(super) fn to_json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Error::other(error.to_string()))?;
    Ok(text + "\n")
}

/// What `expected.json` of a case's folder says.
pub(super) fn expected<T: DeserializeOwned>(directory: &Path) -> Result<T> {
    let path = directory.join("expected.json");
    let text = read_text(&path).map_err(|error| {
        error.with_hint("run the test with COFFERDAM_UPDATE_CASES=1 and look at what it wrote")
    })?;
    serde_json::from_str(&text).map_err(|error| failed(&path, error))
}

/// The folders of a plugin's cases, sorted. None is an error: a test over no case would
/// prove nothing.
pub fn case_folders(plugin: &Path) -> Result<Vec<PathBuf>> {
    let directory = plugin.join("cases");
    let entries = fs::read_dir(&directory).map_err(|error| failed(&directory, error))?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    if folders.is_empty() {
        return Err(failed(&directory, "there is no case"));
    }
    Ok(folders)
}

/// Runs every case of a plugin's folder (`env!("CARGO_MANIFEST_DIR")`): what `run` makes of
/// a case's folder must be what its `expected.json` says. With `COFFERDAM_UPDATE_CASES=1`
/// in the environment `expected.json` is written instead of compared.
///
/// # Panics
///
/// With every difference found, so that a test needs no more than the call.
pub fn run_case_folders<T>(plugin: impl AsRef<Path>, run: impl FnMut(&Path) -> Result<T>)
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    let update = std::env::var("COFFERDAM_UPDATE_CASES").is_ok_and(|value| value == "1");
    let failures = match check_case_folders(plugin.as_ref(), update, run) {
        Ok(failures) => failures,
        Err(error) => vec![error.to_string()],
    };
    #[expect(clippy::panic, reason = "this is a test's body")]
    if !failures.is_empty() {
        panic!("{}", failures.join("\n\n"));
    }
}

/// The cases that fail, and how.
pub(super) fn check_case_folders<T>(
    plugin: &Path,
    update: bool,
    mut run: impl FnMut(&Path) -> Result<T>,
) -> Result<Vec<String>>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    let mut failures = Vec::new();
    for folder in case_folders(plugin)? {
        let checked = run(&folder).and_then(|found| compare(&folder, update, &found));
        if let Err(error) = checked {
            let name = folder.file_name().unwrap_or_default();
            failures.push(format!("case {}: {error}", name.to_string_lossy()));
        }
    }
    Ok(failures)
}

fn compare<T>(directory: &Path, update: bool, found: &T) -> Result<()>
where
    T: Serialize + DeserializeOwned + PartialEq,
{
    if update {
        let path = directory.join("expected.json");
        return fs::write(&path, to_json(found)?).map_err(|error| failed(&path, error));
    }
    let expected: T = expected(directory)?;
    if expected == *found {
        return Ok(());
    }
    let (expected, found) = (to_json(&expected)?, to_json(found)?);
    let diff = similar::TextDiff::from_lines(&expected, &found);
    Err(Error::conflict(format!(
        "what came of it (+) is not what is expected (-)\n{}",
        diff.unified_diff()
    )))
}
