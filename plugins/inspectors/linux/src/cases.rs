//! Runs the cases in `cases/`: trees of files, devices described in `case.toml`, and in
//! `expected.json` what is found. `COFFERDAM_UPDATE_CASES=1` writes the latter.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cofferdam_sdk::testing::{
    Findings, MemoryFiles, MemoryTrees, Override, plugin_defaults, run_case_folders,
};
use cofferdam_sdk::types::BlockDevice;
use cofferdam_sdk::{Error, Inspector, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Linux;

/// `case.toml`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Case {
    #[serde(rename = "description")]
    _description: String,
    #[serde(default)]
    settings: Map<String, Value>,
    /// Disks and partitions in order; `index` is the place in the list.
    devices: Vec<Device>,
}

/// A device and, by a name in `trees/` or here, what it holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Device {
    #[serde(default)]
    is: Map<String, Value>,
    /// A file system was mounted: its files are `trees/NAME/…` and `files`.
    tree: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, Override>,
    /// Files with binary content, by path, in hexadecimal.
    #[serde(default)]
    binary: BTreeMap<String, String>,
    /// Bytes of the device.
    #[serde(default)]
    bytes: Vec<Bytes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytes {
    at: usize,
    text: Option<String>,
    hex: Option<String>,
}

/// `expected.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    findings: Findings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

fn unhex(digits: &str) -> Vec<u8> {
    let digits = digits.replace(' ', "");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn content(parts: &[Bytes]) -> Vec<u8> {
    let mut content = Vec::new();
    for part in parts {
        let mut bytes = part.text.clone().unwrap_or_default().into_bytes();
        bytes.extend(unhex(part.hex.as_deref().unwrap_or_default()));
        let end = part.at + bytes.len();
        content.resize(content.len().max(end), 0);
        content[part.at..end].copy_from_slice(&bytes);
    }
    content
}

fn run(folder: &Path, defaults: &Map<String, Value>) -> Result<Outcome> {
    let text = fs::read_to_string(folder.join("case.toml")).unwrap();
    let case: Case = toml::from_str(&text).map_err(|error| Error::invalid(error.to_string()))?;
    let mut memory = MemoryTrees::new();
    for (index, given) in case.devices.into_iter().enumerate() {
        let index = u32::try_from(index).unwrap();
        let mut device: BlockDevice = serde_json::from_value(Value::Object(given.is)).unwrap();
        device.index = index;
        memory.devices.push(device);
        memory.device_content.insert(index, content(&given.bytes));
        let Some(tree) = given.tree else { continue };
        let on_disk = folder.join("trees").join(&tree);
        let mut files = match on_disk.exists() {
            true => MemoryFiles::from_directory(&on_disk).unwrap(),
            false => MemoryFiles::new(),
        };
        for (path, over) in &given.files {
            over.apply(&mut files, path).unwrap();
        }
        for (path, digits) in &given.binary {
            files.add_file(path, &unhex(digits));
        }
        memory.add_tree(index, "ext4", files);
    }
    let mut settings = defaults.clone();
    settings.extend(case.settings);
    memory.set_settings(Value::Object(settings));
    let error = Linux::inspect(&mut memory).err();
    Ok(Outcome {
        findings: memory.findings,
        error,
    })
}

#[test]
fn every_case() {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR"));
    let defaults = plugin_defaults(plugin).unwrap();
    run_case_folders(plugin, |folder| run(folder, &defaults));
}
