//! Folders of plugins.

use crate::error::LoadError;
use crate::inspect::{Inspection, MAX_COMPONENT_BYTES, inspect};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file that is a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself.
    pub inspection: Inspection,
}

/// A file or folder that gave no plugin.
#[derive(Debug)]
pub struct RefusedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub reason: LoadError,
}

/// What is in the plugin folders.
#[derive(Debug, Default)]
pub struct PluginFolder {
    /// The plugins, by id.
    pub plugins: Vec<PluginFile>,
    /// What was refused, by path.
    pub refused: Vec<RefusedFile>,
}

impl PluginFile {
    /// Reads a file and inspects it.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let inspection = inspect(&read_component(path)?)?;
        Ok(Self {
            path: path.to_owned(),
            inspection,
        })
    }
}

/// Reads a file that is not larger than what is compiled.
pub(crate) fn read_component(path: &Path) -> Result<Vec<u8>, LoadError> {
    let metadata = fs::metadata(path)?;
    // Opening a pipe would wait for a writer, and a device has no end.
    if !metadata.is_file() {
        return Err(LoadError::NotAFile);
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(MAX_COMPONENT_BYTES + 1)
        .read_to_end(&mut bytes)?;
    let size = metadata.len().max(bytes.len() as u64);
    if size > MAX_COMPONENT_BYTES {
        return Err(LoadError::TooLarge {
            size,
            most: MAX_COMPONENT_BYTES,
        });
    }
    Ok(bytes)
}

impl PluginFolder {
    /// Looks at every `*.wasm` of the folders, not descending. What is no plugin is
    /// refused and the others stay. Of different files that claim one id none is taken:
    /// which of them is meant is not for the host to guess. Files of the same content are
    /// one plugin.
    pub fn scan(folders: &[PathBuf]) -> Self {
        let mut result = Self::default();
        let mut by_id: BTreeMap<String, Vec<PluginFile>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for folder in folders {
            // The same folder twice is one.
            if !seen.insert(fs::canonicalize(folder).unwrap_or_else(|_| folder.clone())) {
                continue;
            }
            match components(folder) {
                Ok(paths) => {
                    for path in paths {
                        match PluginFile::read(&path) {
                            Ok(file) => by_id
                                .entry(file.inspection.manifest.id.clone())
                                .or_default()
                                .push(file),
                            Err(reason) => result.refused.push(RefusedFile { path, reason }),
                        }
                    }
                }
                Err(error) => result.refused.push(RefusedFile {
                    path: folder.clone(),
                    reason: LoadError::Io(error),
                }),
            }
        }
        for (id, mut files) in by_id {
            let first = files.first().map(|file| file.inspection.digest.clone());
            if files
                .iter()
                .all(|file| Some(&file.inspection.digest) == first.as_ref())
            {
                files.truncate(1);
            }
            if files.len() == 1 {
                result.plugins.extend(files);
            } else {
                let paths: Vec<PathBuf> = files.into_iter().map(|file| file.path).collect();
                for path in &paths {
                    let others = paths.iter().filter(|other| *other != path).cloned();
                    result.refused.push(RefusedFile {
                        path: path.clone(),
                        reason: LoadError::DuplicateId {
                            id: id.clone(),
                            others: others.collect(),
                        },
                    });
                }
            }
        }
        result.refused.sort_by(|a, b| a.path.cmp(&b.path));
        result
    }
}

fn components(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
