//! What a plan is bound to: the source's bytes, the plugins, their settings, the time.
//!
//! Files are known by their whole content, not by name and date: a disk that was changed
//! and given its old date back is another disk, one that was moved is the same.

use super::request::{Request, Target};
use crate::MigrateError;
use cofferdam_contract::kinds::Plugin;
use cofferdam_disk::{CancelFlag, OpenImage, SourceFile};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes hashed at a time.
const CHUNK: u64 = 4 << 20;

/// A file of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundFile {
    /// The number of the source that it is from, 0 for the first: files of several folders
    /// may have the same name.
    #[serde(default, skip_serializing_if = "is_first")]
    pub given: u32,
    /// Name in the source's folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Sha256, lower-case hexadecimal.
    pub sha256: String,
}

fn is_first(number: &u32) -> bool {
    *number == 0
}

impl BoundFile {
    fn is(&self, other: &Self) -> bool {
        (self.given, &self.name) == (other.given, &other.name)
    }
}

/// A plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPlugin {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Sha256 of its component, lower-case hexadecimal.
    pub digest: String,
}

/// Everything that a plan depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Files of all disks in order, each once.
    pub source: Vec<BoundFile>,
    /// Plugins in the order of the run.
    pub plugins: Vec<BoundPlugin>,
    /// Settings in force, by plugin.
    pub settings: BTreeMap<String, Value>,
    /// What the disks become.
    pub target: Target,
    /// The plan's time, RFC 3339.
    pub time: String,
}

impl Binding {
    /// Sha256 of it all, lower-case hexadecimal.
    pub fn digest(&self) -> String {
        digest_of(self)
    }

    /// What differs in `now`, for people: files first, then plugins, then settings.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for file in &self.source {
            match now.source.iter().find(|other| other.is(file)) {
                None => changes.push(format!("the source no longer has the file {}", file.name)),
                Some(other) if other != file => changes.push(format!(
                    "the source file {} changed (sha256 {} when planned, {} now)",
                    file.name, file.sha256, other.sha256
                )),
                Some(_) => {}
            }
        }
        for file in &now.source {
            if !self.source.iter().any(|other| other.is(file)) {
                changes.push(format!("the source has a new file {}", file.name));
            }
        }
        for plugin in &self.plugins {
            match now.plugins.iter().find(|other| other.id == plugin.id) {
                None => changes.push(format!("plugin {} is no longer loaded", plugin.id)),
                Some(other) if other != plugin => changes.push(format!(
                    "plugin {} changed (version {} with digest {} when planned, {} with {} now)",
                    plugin.id, plugin.version, plugin.digest, other.version, other.digest
                )),
                Some(_) => {}
            }
        }
        for plugin in &now.plugins {
            if !self.plugins.iter().any(|other| other.id == plugin.id) {
                changes.push(format!("plugin {} was not there when planned", plugin.id));
            }
        }
        if changes.is_empty() && self.plugins != now.plugins {
            changes.push("the plugins run in another order".to_owned());
        }
        for (id, settings) in &self.settings {
            if let Some(other) = now.settings.get(id)
                && other != settings
            {
                changes.push(format!(
                    "the settings of plugin {id} changed ({settings} when planned, {other} now)"
                ));
            }
        }
        if self.target != now.target {
            changes.push(format!(
                "the target changed ({} when planned, {} now)",
                self.target, now.target
            ));
        }
        changes
    }
}

/// The plugins and their settings in force.
///
/// # Errors
/// Settings that fit no plugin or not its schema.
pub fn plugins(
    request: &Request,
) -> Result<(Vec<BoundPlugin>, BTreeMap<String, Value>), MigrateError> {
    let all = request.all_plugins();
    for id in request.settings.keys() {
        if !all.iter().any(|plugin| &plugin.manifest().id == id) {
            let ids: Vec<&str> = all.iter().map(|p| p.manifest().id.as_str()).collect();
            return Err(MigrateError::Settings(format!(
                "there are settings for {id}, which is not a loaded plugin; loaded are {}",
                ids.join(", ")
            )));
        }
    }
    let bound = all
        .iter()
        .map(|plugin: &&dyn Plugin| BoundPlugin {
            id: plugin.manifest().id.clone(),
            version: plugin.manifest().version.clone(),
            digest: plugin.digest().to_owned(),
        })
        .collect();
    let mut settings = BTreeMap::new();
    for plugin in all {
        let call = request.call(plugin)?;
        let value = serde_json::from_str(&call.settings)
            .map_err(|error| MigrateError::Host(error.to_string()))?;
        settings.insert(plugin.manifest().id.clone(), value);
    }
    Ok((bound, settings))
}

/// Reads all files of the images and digests them; each image comes with the number of the
/// source that it is from. Takes as long as reading does.
///
/// # Errors
/// [`MigrateError::Disk`], also when cancelled.
pub fn identify(
    images: &[(u32, Arc<OpenImage>)],
    cancel: &CancelFlag,
) -> Result<Vec<BoundFile>, MigrateError> {
    let mut bound: Vec<BoundFile> = Vec::new();
    let files = images
        .iter()
        .flat_map(|(given, image)| image.files().iter().map(move |file| (*given, file)));
    for (given, file) in files {
        let name = (given, file.name());
        if bound
            .iter()
            .any(|other| (other.given, other.name.as_str()) == name)
        {
            continue;
        }
        bound.push(BoundFile {
            given,
            name: file.name().to_owned(),
            size: file.size(),
            sha256: file_digest(file, cancel)?,
        });
    }
    Ok(bound)
}

fn file_digest(file: &SourceFile, cancel: &CancelFlag) -> Result<String, MigrateError> {
    let mut hasher = Sha256::new();
    let mut offset = 0;
    while offset < file.size() {
        cancel.check()?;
        let length = CHUNK.min(file.size() - offset);
        hasher.update(file.read_vec(offset, length, "the source")?);
        offset += length;
    }
    Ok(hex::encode(hasher.finalize()))
}

/// Sha256 of a value's JSON, lower-case hexadecimal. Maps in it must be ordered.
pub fn digest_of(value: &impl Serialize) -> String {
    // Serialising plain data to memory cannot fail; an empty digest would match nothing.
    let json = serde_json::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(&json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> Binding {
        Binding {
            source: vec![BoundFile {
                given: 0,
                name: "a.vmdk".to_owned(),
                size: 1,
                sha256: "aa".to_owned(),
            }],
            plugins: vec![BoundPlugin {
                id: "fstab".to_owned(),
                version: "0.1.0".to_owned(),
                digest: "bb".to_owned(),
            }],
            settings: BTreeMap::from([("fstab".to_owned(), serde_json::json!({"mode": "all"}))]),
            target: Target {
                format: "qcow2".to_owned(),
                compression: None,
                disk_bus: "virtio-blk".to_owned(),
                nic_model: "virtio-net".to_owned(),
            },
            time: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn every_change_is_named_alone() {
        type Change = fn(&mut Binding);
        let cases: [(Change, &str); 8] = [
            (
                |b| {
                    let mut second = b.source[0].clone();
                    second.given = 1;
                    b.source.push(second);
                },
                "the source has a new file a.vmdk",
            ),
            (
                |b| b.source[0].sha256 = "ac".to_owned(),
                "the source file a.vmdk changed",
            ),
            (|b| b.source.clear(), "no longer has the file a.vmdk"),
            (
                |b| b.plugins[0].digest = "bc".to_owned(),
                "plugin fstab changed",
            ),
            (|b| b.plugins.clear(), "plugin fstab is no longer loaded"),
            (
                |b| {
                    let mut other = b.plugins[0].clone();
                    other.id = "new".to_owned();
                    b.plugins.push(other);
                },
                "plugin new was not there",
            ),
            (
                |b| {
                    b.settings
                        .insert("fstab".to_owned(), serde_json::json!({"mode": "noop"}));
                },
                "the settings of plugin fstab changed",
            ),
            (|b| b.target.format = "raw".to_owned(), "the target changed"),
        ];
        assert!(binding().changes(&binding()).is_empty());
        for (change, expected) in cases {
            let mut now = binding();
            change(&mut now);
            let changes = binding().changes(&now);
            assert_eq!(changes.len(), 1, "{changes:?}");
            assert!(changes[0].contains(expected), "{changes:?}");
            assert_ne!(binding().digest(), now.digest());
        }
    }
}
