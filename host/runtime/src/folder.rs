//! Folders of plugins.

use crate::error::LoadError;
use crate::inspect::{Inspection, MAX_COMPONENT_BYTES, inspect};
use std::collections::BTreeMap;
use std::fs;
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
    let size = fs::metadata(path)?.len();
    if size > MAX_COMPONENT_BYTES {
        return Err(LoadError::TooLarge {
            size,
            most: MAX_COMPONENT_BYTES,
        });
    }
    Ok(fs::read(path)?)
}

impl PluginFolder {
    /// Looks at every `*.wasm` of the folders, not descending. What is no plugin is
    /// refused and the others stay. Of files that claim one id none is taken: which of
    /// them is meant is not for the host to guess.
    pub fn scan(folders: &[PathBuf]) -> Self {
        let mut result = Self::default();
        let mut by_id: BTreeMap<String, Vec<PluginFile>> = BTreeMap::new();
        for folder in folders {
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
        for (id, files) in by_id {
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
