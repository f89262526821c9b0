//! Cases as data: a folder with a guest's files and facts, and what a fixer must plan.
//!
//! ```text
//! cases/NAME/case.toml      description, settings, facts, metadata of single files
//! cases/NAME/tree/…         the guest's files
//! cases/NAME/expected.json  edits and notes; COFFERDAM_UPDATE_CASES=1 writes it
//! ```

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::{
    edit::{Edit, Note},
    files::MemoryFiles,
    folder::{case_folders, expected, failed, read_text, run_case_folders, to_json},
    guest::MemoryGuest,
};
use crate::{
    error::{Error, Result},
    guest::Guest,
    types::{
        BlockDevice, Kernel, MountPoint, Nic, OperatingSystem, Space, TargetMachine, Timestamp,
    },
};

/// What is known of a guest beside its files (`cofferdam:guest/facts`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Facts {
    /// The operating system.
    pub os: OperatingSystem,
    /// Every disk and partition. In a case, `index` is the place in this list where it is
    /// not given.
    #[serde(deserialize_with = "numbered")]
    pub devices: Vec<BlockDevice>,
    /// Where file systems are mounted.
    pub mounts: Vec<MountPoint>,
    /// Installed kernels.
    pub kernels: Vec<Kernel>,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// `bios`, `uefi`, or `unknown`.
    pub firmware: String,
    /// What the guest will run on.
    pub target: TargetMachine,
    /// Facts by key.
    pub other: BTreeMap<String, String>,
    /// Room, the same in every file system.
    pub space: Space,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            os: OperatingSystem::default(),
            devices: Vec::new(),
            mounts: Vec::new(),
            kernels: Vec::new(),
            nics: Vec::new(),
            firmware: "unknown".into(),
            target: TargetMachine::default(),
            other: BTreeMap::new(),
            space: Space {
                block_size: 4096,
                blocks: 1 << 20,
                free_blocks: 1 << 19,
                inodes: 1 << 18,
                free_inodes: 1 << 17,
            },
        }
    }
}

fn numbered<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<BlockDevice>, D::Error> {
    let tables = Vec::<Map<String, Value>>::deserialize(from)?;
    let numbered = tables.into_iter().enumerate().map(|(index, mut table)| {
        table.entry("index").or_insert_with(|| index.into());
        serde_json::from_value(Value::Object(table)).map_err(D::Error::custom)
    });
    numbered.collect()
}

/// What a case says of one path that a source tree cannot hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Override {
    /// Makes it a directory, where the tree has none (git keeps no empty folders).
    pub directory: bool,
    /// Makes it a symbolic link to this.
    pub symlink: Option<String>,
    /// Makes it a file with this text.
    pub text: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// User id.
    pub owner: Option<u32>,
    /// Group id.
    pub group: Option<u32>,
    /// SELinux label.
    pub label: Option<String>,
    /// Other extended attributes.
    pub xattrs: BTreeMap<String, String>,
}

impl Override {
    /// Puts this over a tree.
    pub fn apply(&self, files: &mut MemoryFiles, path: &str) -> Result<()> {
        if self.directory {
            files.add_directory(path);
        }
        if let Some(target) = &self.symlink {
            files.add_symlink(path, target);
        }
        if let Some(text) = &self.text {
            files.add_file(path, text.as_bytes());
        }
        let now = crate::tree::FileTree::stat(files, path, false)?;
        files.set_mode(path, self.mode.unwrap_or(now.mode))?;
        files.set_owner(
            path,
            self.owner.unwrap_or(now.owner),
            self.group.unwrap_or(now.group),
        )?;
        if let Some(label) = &self.label {
            files.set_xattr(path, "security.selinux", Some(label.as_bytes()))?;
        }
        for (name, value) in &self.xattrs {
            files.set_xattr(path, name, Some(value.as_bytes()))?;
        }
        Ok(())
    }
}

/// One case of a fixer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// What it shows, in a sentence.
    pub description: String,
    /// The plan's time, in seconds since 1970.
    #[serde(default)]
    pub now: i64,
    /// Settings that differ from the manifest's defaults.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// What is known beside the files.
    #[serde(default)]
    pub facts: Facts,
    /// What the tree cannot hold, by path.
    #[serde(default)]
    pub files: BTreeMap<String, Override>,
    /// The case's folder.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// What a fixer planned, as `expected.json` holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The edits in order.
    pub edits: Vec<Edit>,
    /// The notes in order.
    pub notes: Vec<Note>,
    /// The error that it ended in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl Outcome {
    /// What a run over a guest came to.
    pub fn new(guest: &MemoryGuest, result: Result<()>) -> Self {
        Self {
            edits: guest.edits().to_vec(),
            notes: guest.notes().to_vec(),
            error: result.err(),
        }
    }

    /// The text of `expected.json`.
    pub fn to_json(&self) -> Result<String> {
        to_json(self)
    }
}

impl Case {
    /// Reads `case.toml` of a case's folder.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("case.toml");
        let text = read_text(&path)?;
        let mut case: Self = toml::from_str(&text).map_err(|error| failed(&path, error))?;
        case.directory = directory.to_path_buf();
        Ok(case)
    }

    /// All cases of a plugin's folder, by name. None is an error: a test over no case
    /// would prove nothing.
    pub fn all(plugin: &Path) -> Result<Vec<Self>> {
        let folders = case_folders(plugin)?;
        folders.iter().map(|folder| Self::load(folder)).collect()
    }

    /// The case's name: its folder's.
    pub fn name(&self) -> String {
        let name = self.directory.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The guest that the case describes, with these settings where it says nothing
    /// ([`plugin_defaults`]).
    pub fn guest(&self, defaults: &Map<String, Value>) -> Result<MemoryGuest> {
        let mut guest = MemoryGuest::new();
        let tree = self.directory.join("tree");
        if tree.exists() {
            guest.files =
                MemoryFiles::from_directory(&tree).map_err(|error| failed(&tree, error))?;
        }
        for (path, over) in &self.files {
            over.apply(&mut guest.files, path)?;
        }
        guest.facts = self.facts.clone();
        guest.set_now(Timestamp {
            seconds: self.now,
            nanoseconds: 0,
        });
        let mut settings = defaults.clone();
        settings.extend(self.settings.clone());
        guest.set_settings(Value::Object(settings));
        Ok(guest)
    }

    /// What `expected.json` says.
    pub fn expected(&self) -> Result<Outcome> {
        expected(&self.directory)
    }
}

/// The defaults of the settings that a plugin's `plugin.toml` declares.
pub fn plugin_defaults(plugin: &Path) -> Result<Map<String, Value>> {
    let path = plugin.join("plugin.toml");
    let text = read_text(&path)?;
    let manifest: Value = toml::from_str(&text).map_err(|error| failed(&path, error))?;
    let properties = manifest.pointer("/settings/properties");
    let properties = properties.and_then(Value::as_object).into_iter().flatten();
    Ok(properties
        .filter_map(|(name, schema)| Some((name.clone(), schema.get("default")?.clone())))
        .collect())
}

/// Runs every case of a plugin's folder (`env!("CARGO_MANIFEST_DIR")`): what the fixer
/// plans must be what `expected.json` says, and a second run over the edited guest must
/// plan nothing. With `COFFERDAM_UPDATE_CASES=1` in the environment `expected.json` is
/// written instead of compared.
///
/// # Panics
///
/// With every difference found, so that a test needs no more than the call.
pub fn run_cases(plugin: impl AsRef<Path>, fix: fn(&mut dyn Guest) -> Result<()>) {
    let plugin = plugin.as_ref();
    run_case_folders(plugin, |folder| check_case(plugin, folder, fix));
}

fn check_case(
    plugin: &Path,
    folder: &Path,
    fix: fn(&mut dyn Guest) -> Result<()>,
) -> Result<Outcome> {
    let mut guest = Case::load(folder)?.guest(&plugin_defaults(plugin)?)?;
    let result = fix(&mut guest);
    let outcome = Outcome::new(&guest, result);
    if outcome.error.is_none() {
        guest.begin_again();
        fix(&mut guest).map_err(|error| error.context("the second run fails"))?;
        if !guest.edits().is_empty() {
            return Err(Error::conflict(format!(
                "a second run plans edits again: {}",
                Outcome::new(&guest, Ok(())).to_json()?
            )));
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::folder::check_case_folders;
    use std::fs;

    use crate::{error::ErrorCode, tree::FileTree as _, types::Severity};

    /// A plugin's folder with one case, in a temporary place.
    fn plugin() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "plugin.toml",
            r#"
            id = "x"
            [settings.properties.word]
            default = "hello"
            [settings.properties.other]
            default = 1
            "#,
        );
        write(
            "cases/one/case.toml",
            r#"
            description = "a case"
            now = 1700000000
            settings.other = 2
            [[facts.devices]]
            uuid = "aa"
            old-names = ["/dev/sda1"]
            [[facts.devices]]
            uuid = "bb"
            [files."/etc/shadow"]
            text = "secret"
            mode = 0o640
            group = 42
            label = "shadow_t"
            [files."/etc/link"]
            symlink = "motd"
            "#,
        );
        write("cases/one/tree/etc/motd", "");
        folder
    }

    fn greet(guest: &mut dyn Guest) -> Result<()> {
        let settings: Map<String, Value> = guest.settings()?;
        let word = settings["word"].as_str().unwrap().to_string();
        guest.note(Severity::Info, "greeted")?;
        guest.write("/etc/motd", word.as_bytes(), "politeness")
    }

    fn greet_again(guest: &mut dyn Guest) -> Result<()> {
        guest.append("/etc/motd", b"hello", "insistence")
    }

    fn check(
        folder: &tempfile::TempDir,
        update: bool,
        fix: fn(&mut dyn Guest) -> Result<()>,
    ) -> Vec<String> {
        let plugin = folder.path();
        check_case_folders(plugin, update, |case| check_case(plugin, case, fix)).unwrap()
    }

    #[test]
    fn a_case_fails_where_the_fixer_does() {
        let folder = plugin();
        let failures = check(&folder, false, greet);
        assert!(
            failures[0].contains("COFFERDAM_UPDATE_CASES"),
            "{failures:?}"
        );
        assert!(check(&folder, true, greet).is_empty());
        assert!(check(&folder, false, greet).is_empty());
        let failures = check(&folder, false, |_| Ok(()));
        assert!(failures[0].contains("politeness"), "{failures:?}");
        let failures = check(&folder, true, greet_again);
        assert!(failures[0].contains("second run"), "{failures:?}");
        let failures = check(&folder, true, |_| Err(Error::corrupt("bad")));
        assert!(failures.is_empty());
        let text = fs::read_to_string(folder.path().join("cases/one/expected.json")).unwrap();
        assert!(text.contains(r#""code": "corrupt""#), "{text}");
    }

    #[test]
    #[should_panic(expected = "politeness")]
    fn a_difference_fails_the_test() {
        let folder = plugin();
        check(&folder, true, |_| Ok(()));
        run_cases(folder.path(), greet);
    }

    #[test]
    fn a_case_describes_the_whole_guest() {
        let folder = plugin();
        let cases = Case::all(folder.path()).unwrap();
        let guest = cases[0].guest(&Map::new()).unwrap();
        assert_eq!(cases[0].name(), "one");
        assert_eq!(guest.facts.devices[1].index, 1);
        assert_eq!(guest.facts.devices[0].old_names, ["/dev/sda1"]);
        let shadow = guest.files.stat("/etc/shadow", false).unwrap();
        assert_eq!((shadow.mode, shadow.group, shadow.size), (0o640, 42, 6));
        assert_eq!(shadow.modified.seconds, 1_700_000_000);
        assert_eq!(
            guest
                .files
                .get_xattr("/etc/shadow", "security.selinux")
                .unwrap(),
            b"shadow_t"
        );
        assert_eq!(guest.files.read_link("/etc/link").unwrap(), "motd");
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let folder = plugin();
        let path = folder.path().join("cases/one");
        fs::write(path.join("case.toml"), "description = 'x'\nsetings = {}").unwrap();
        assert_eq!(Case::load(&path).unwrap_err().code, ErrorCode::Invalid);
        fs::remove_dir_all(&path).unwrap();
        assert!(Case::all(folder.path()).is_err());
    }
}
