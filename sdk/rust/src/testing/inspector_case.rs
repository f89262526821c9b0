//! Cases of inspectors as data.
//!
//! ```text
//! cases/NAME/case.toml      description, settings, devices and what they hold
//! cases/NAME/trees/TREE/…   the files of a file system
//! cases/NAME/expected.json  findings; COFFERDAM_UPDATE_CASES=1 writes it
//! ```

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    case::{Override, plugin_defaults},
    files::MemoryFiles,
    folder::{expected, failed, read_text, run_case_folders},
    part::{Part, unhex},
    trees::{Findings, MemoryTrees},
};
use crate::{
    error::{Error, Result},
    inspector::Trees,
    types::BlockDevice,
};

/// One case of an inspector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InspectorCase {
    /// What it shows, in a sentence.
    pub description: String,
    /// Settings that differ from the manifest's defaults.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// Disks and partitions in order; `index` is the place in the list.
    pub devices: Vec<CaseDevice>,
    /// The case's folder.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// A device and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct CaseDevice {
    /// The keys of [`BlockDevice`] that are known of it.
    pub is: Map<String, Value>,
    /// A file system was mounted: its files are `trees/NAME/…`, `files` and `binary`.
    pub tree: Option<String>,
    /// What the tree cannot hold, by path.
    pub files: BTreeMap<String, Override>,
    /// Files with binary content, by path, in hexadecimal.
    pub binary: BTreeMap<String, String>,
    /// Bytes of the device.
    pub bytes: Vec<Part>,
}

/// What an inspector found, as `expected.json` holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InspectorOutcome {
    /// What it recorded.
    pub findings: Findings,
    /// The error that it ended in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl InspectorCase {
    /// Reads `case.toml` of a case's folder.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("case.toml");
        let text = read_text(&path)?;
        let mut case: Self = toml::from_str(&text).map_err(|error| failed(&path, error))?;
        case.directory = directory.to_path_buf();
        Ok(case)
    }

    /// The guest that the case describes, with these settings where it says nothing.
    pub fn trees(&self, defaults: &Map<String, Value>) -> Result<MemoryTrees> {
        let mut memory = MemoryTrees::new();
        for (index, given) in self.devices.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let mut is = given.is.clone();
            is.insert("index".to_owned(), index.into());
            let device: BlockDevice = serde_json::from_value(Value::Object(is))
                .map_err(|error| failed(&self.directory, error))?;
            memory.devices.push(device);
            let mut content = Vec::new();
            for part in &given.bytes {
                part.apply(&mut content)?;
            }
            memory.device_content.insert(index, content);
            if let Some(tree) = &given.tree {
                memory.add_tree(index, "ext4", self.files(given, tree)?);
            }
        }
        let mut settings = defaults.clone();
        settings.extend(self.settings.clone());
        memory.set_settings(Value::Object(settings));
        Ok(memory)
    }

    fn files(&self, given: &CaseDevice, tree: &str) -> Result<MemoryFiles> {
        let on_disk = self.directory.join("trees").join(tree);
        let mut files = match on_disk.exists() {
            true => MemoryFiles::from_directory(&on_disk).map_err(|e| failed(&on_disk, e))?,
            false => MemoryFiles::new(),
        };
        for (path, over) in &given.files {
            over.apply(&mut files, path)?;
        }
        for (path, digits) in &given.binary {
            files.add_file(path, &unhex(digits)?);
        }
        Ok(files)
    }

    /// What `expected.json` says.
    pub fn expected(&self) -> Result<InspectorOutcome> {
        expected(&self.directory)
    }
}

/// Runs every case of a plugin's folder (`env!("CARGO_MANIFEST_DIR")`): what the inspector
/// finds must be what `expected.json` says. With `COFFERDAM_UPDATE_CASES=1` in the environment
/// `expected.json` is written instead of compared.
///
/// # Panics
///
/// With every difference found, so that a test needs no more than the call.
pub fn run_inspector_cases(plugin: impl AsRef<Path>, inspect: fn(&mut dyn Trees) -> Result<()>) {
    let plugin = plugin.as_ref();
    run_case_folders(plugin, |directory| {
        let case = InspectorCase::load(directory)?;
        let mut memory = case.trees(&plugin_defaults(plugin)?)?;
        let error = inspect(&mut memory).err();
        let findings = memory.findings;
        Ok(InspectorOutcome { findings, error })
    });
}
