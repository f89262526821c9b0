//! Cases of disk sources as data.
//!
//! ```text
//! cases/NAME/case.toml      description, the file that is opened, settings, generated files
//! cases/NAME/folder/…       files of the folder that are opened as they are
//! cases/NAME/expected.json  what is found; COFFERDAM_UPDATE_CASES=1 writes it
//! ```

use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    case::plugin_defaults,
    edit::Note,
    folder::{expected, failed, read_text, run_case_folders},
    part::Part,
    source::{DirectoryFolder, MemoryMachine},
};
use crate::{
    error::{Error, Result},
    source::{Machine, SourceFolder},
    types::Nic,
};

/// One case of a disk source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SourceCase {
    /// What it shows, in a sentence.
    pub description: String,
    /// The file that is opened.
    pub open: String,
    /// Settings that differ from the manifest's defaults.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// Files beside those of `folder/`.
    #[serde(default)]
    pub files: Vec<GivenFile>,
    /// The case's folder.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// One file of the source's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GivenFile {
    /// Its name, with folders before it where it lies in some.
    pub name: String,
    /// A symbolic link to this instead of a file.
    #[serde(default)]
    pub symlink: Option<PathBuf>,
    /// Length in bytes; that of the content where not given.
    #[serde(default)]
    pub size: Option<u64>,
    /// Its content, zeros where there is none.
    #[serde(default)]
    pub parts: Vec<Part>,
}

/// What a disk source found, as `expected.json` holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceOutcome {
    /// Whether it knew the file.
    pub recognised: bool,
    /// The machine's name.
    pub name: Option<String>,
    /// File and format of each disk.
    pub disks: Vec<(String, String)>,
    /// `bios` or `uefi`, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Memory in MiB, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    /// Network cards in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<Nic>,
    /// The notes in order.
    pub notes: Vec<Note>,
    /// The error that it ended in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl SourceOutcome {
    /// What came of looking.
    pub fn new(machine: MemoryMachine, result: Result<bool>) -> Self {
        Self {
            recognised: *result.as_ref().unwrap_or(&false),
            name: machine.name,
            disks: machine.disks,
            firmware: machine.firmware,
            memory: machine.memory,
            nics: machine.nics,
            notes: machine.notes,
            error: result.err(),
        }
    }
}

impl SourceCase {
    /// Reads `case.toml` of a case's folder.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("case.toml");
        let text = read_text(&path)?;
        let mut case: Self = toml::from_str(&text).map_err(|error| failed(&path, error))?;
        case.directory = directory.to_path_buf();
        Ok(case)
    }

    /// Makes the files of the case in the folder `to`, and gives the folder that is opened.
    pub fn lay_out(&self, to: &Path) -> Result<DirectoryFolder> {
        let given = self.directory.join("folder");
        if given.is_dir() {
            copy(&given, to).map_err(|error| failed(&given, error))?;
        }
        for file in &self.files {
            file.make(to)?;
        }
        Ok(DirectoryFolder::new(to))
    }

    /// A machine to record into, with these settings where the case says nothing.
    pub fn machine(&self, defaults: &Map<String, Value>) -> MemoryMachine {
        let mut settings = defaults.clone();
        settings.extend(self.settings.clone());
        let mut machine = MemoryMachine::new();
        machine.set_settings(Value::Object(settings));
        machine
    }

    /// What `expected.json` says.
    pub fn expected(&self) -> Result<SourceOutcome> {
        expected(&self.directory)
    }
}

impl GivenFile {
    fn make(&self, folder: &Path) -> Result<()> {
        let path = folder.join(&self.name);
        let make = || -> std::io::Result<File> {
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            File::create(&path)
        };
        if let Some(target) = &self.symlink {
            return link(target, &path).map_err(|error| failed(&path, error));
        }
        // Sparse where it can be: a disk of a case may be larger than memory.
        let file = make().map_err(|error| failed(&path, error))?;
        let size = self.size.unwrap_or_default();
        file.set_len(size).map_err(|error| failed(&path, error))?;
        for part in &self.parts {
            write(&file, part).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }
}

fn write(mut file: &File, part: &Part) -> Result<()> {
    let bytes = part.bytes()?;
    let place = match u64::try_from(part.at) {
        Ok(at) => SeekFrom::Start(at),
        Err(_) => SeekFrom::End(part.at),
    };
    file.seek(place)
        .and_then(|_| file.write_all(&bytes))
        .map_err(|error| Error::other(error.to_string()))
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Runs every case of a plugin's folder (`env!("CARGO_MANIFEST_DIR")`): what the source finds
/// must be what `expected.json` says. With `COFFERDAM_UPDATE_CASES=1` in the environment
/// `expected.json` is written instead of compared.
///
/// # Panics
///
/// With every difference found, so that a test needs no more than the call.
pub fn run_source_cases(
    plugin: impl AsRef<Path>,
    discover: fn(&str, &dyn SourceFolder, &mut dyn Machine) -> Result<bool>,
) {
    let plugin = plugin.as_ref();
    run_case_folders(plugin, |directory| {
        let case = SourceCase::load(directory)?;
        let folder = tempfile::tempdir().map_err(|error| Error::other(error.to_string()))?;
        let mut machine = case.machine(&plugin_defaults(plugin)?);
        let result = discover(&case.open, &case.lay_out(folder.path())?, &mut machine);
        Ok(SourceOutcome::new(machine, result))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_laid_out_as_the_case_says() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("folder/sub/given", "as it is");
        write(
            "case.toml",
            "description = \"d\"\nopen = \"a\"\n[[files]]\nname = \"a\"\nsize = 8\n\
             [[files.parts]]\nat = -2\nhex = \"ff\"\n[[files]]\nname = \"b\"\nsymlink = \"a\"\n",
        );
        let case = SourceCase::load(directory.path()).unwrap();
        let to = tempfile::tempdir().unwrap();
        let folder = case.lay_out(to.path()).unwrap();
        assert_eq!(folder.read("a", 9).unwrap(), [0, 0, 0, 0, 0, 0, 0xff, 0]);
        assert_eq!(folder.stat("b").unwrap().size, 8);
        assert_eq!(folder.read("sub/given", 9).unwrap(), b"as it is");
    }
}
