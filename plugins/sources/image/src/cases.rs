//! Runs the cases in `cases/`: a folder of files described in `case.toml`, and in
//! `expected.json` what is found in it. `COFFERDAM_UPDATE_CASES=1` writes the latter.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use cofferdam_sdk::source::DiskSource;
use cofferdam_sdk::testing::{
    DirectoryFolder, MemoryMachine, Note, plugin_defaults, run_case_folders,
};
use cofferdam_sdk::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Image;

/// `case.toml`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Case {
    /// What it shows.
    #[serde(rename = "description")]
    _description: String,
    /// The file that is given.
    open: String,
    #[serde(default)]
    settings: Map<String, Value>,
    files: Vec<Given>,
}

/// One file of the folder.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Given {
    name: String,
    /// A symbolic link to this instead of a file.
    symlink: Option<PathBuf>,
    /// Length; that of the content where not given.
    size: Option<u64>,
    #[serde(default)]
    parts: Vec<Part>,
}

/// Bytes at a place; from the end where `at` is negative.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Part {
    #[serde(default)]
    at: i64,
    text: Option<String>,
    hex: Option<String>,
}

impl Part {
    fn bytes(&self) -> Vec<u8> {
        let digits = self.hex.as_deref().unwrap_or_default().replace(' ', "");
        let from_hex = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
        let text = self.text.as_deref().unwrap_or_default();
        text.bytes().chain(from_hex).collect()
    }
}

/// `expected.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    recognised: bool,
    name: Option<String>,
    /// File and format.
    disks: Vec<(String, String)>,
    notes: Vec<Note>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

fn make(folder: &Path, given: &Given) {
    let path = folder.join(&given.name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if let Some(target) = &given.symlink {
        return symlink(target, path).unwrap();
    }
    let file = File::create(path).unwrap();
    if let Some(size) = given.size {
        file.set_len(size).unwrap();
    }
    for part in &given.parts {
        let end = i64::try_from(file.metadata().unwrap().len()).unwrap();
        let at = if part.at < 0 { end + part.at } else { part.at };
        file.write_all_at(&part.bytes(), u64::try_from(at).unwrap())
            .unwrap();
    }
}

fn run(directory: &Path, defaults: &Map<String, Value>) -> Result<Outcome> {
    let text = fs::read_to_string(directory.join("case.toml")).unwrap();
    let case: Case = toml::from_str(&text).map_err(|error| Error::invalid(error.to_string()))?;
    let folder = tempfile::tempdir().unwrap();
    for given in &case.files {
        make(folder.path(), given);
    }
    let mut settings = defaults.clone();
    settings.extend(case.settings);
    let mut machine = MemoryMachine::new();
    machine.set_settings(Value::Object(settings));
    let result = Image::discover(
        &case.open,
        &DirectoryFolder::new(folder.path()),
        &mut machine,
    );
    Ok(Outcome {
        recognised: *result.as_ref().unwrap_or(&false),
        name: machine.name,
        disks: machine.disks,
        notes: machine.notes,
        error: result.err(),
    })
}

#[test]
fn every_case() {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR"));
    let defaults = plugin_defaults(plugin).unwrap();
    run_case_folders(plugin, |folder| run(folder, &defaults));
}

/// The headers in `cases/` are written by hand; these are not.
#[test]
fn what_qemu_writes_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str, arguments: &[&str]| {
        std::process::Command::new("qemu-img")
            .args(["create", "-q"])
            .args(arguments)
            .arg(folder.path().join(name))
            .arg("8M")
            .status()
    };
    if let Err(error) = create("probe", &["-f", "raw"]) {
        assert!(
            std::env::var("CI").is_err(),
            "qemu-img cannot be run: {error}"
        );
        println!("skipped: qemu-img cannot be run: {error}");
        return;
    }
    let flat = "subformat=monolithicFlat";
    let split = "subformat=twoGbMaxExtentSparse";
    let stream = "subformat=streamOptimized";
    let fixed = "subformat=fixed,force_size=on";
    for (name, arguments, open, expected) in [
        ("a.img", &["-f", "raw"][..], "a.img", Ok(("a.img", "raw"))),
        ("b.img", &["-f", "qcow2"], "b.img", Ok(("b.img", "qcow2"))),
        ("c.vmdk", &["-f", "vmdk"], "c.vmdk", Ok(("c.vmdk", "vmdk"))),
        (
            "d.vmdk",
            &["-f", "vmdk", "-o", stream],
            "d.vmdk",
            Ok(("d.vmdk", "vmdk")),
        ),
        (
            "e.vmdk",
            &["-f", "vmdk", "-o", flat],
            "e.vmdk",
            Ok(("e.vmdk", "vmdk")),
        ),
        (
            "f.vmdk",
            &["-f", "vmdk", "-o", flat],
            "f-flat.vmdk",
            Ok(("f.vmdk", "vmdk")),
        ),
        (
            "g.vmdk",
            &["-f", "vmdk", "-o", split],
            "g-s001.vmdk",
            Ok(("g.vmdk", "vmdk")),
        ),
        (
            "h.img",
            &["-f", "vpc", "-o", fixed],
            "h.img",
            Err("a fixed VHD"),
        ),
        (
            "i.img",
            &["-f", "vpc"],
            "i.img",
            Err("a dynamic or differencing VHD"),
        ),
        ("j.img", &["-f", "vhdx"], "j.img", Err("a VHDX")),
        ("k.img", &["-f", "vdi"], "k.img", Err("a VirtualBox VDI")),
        ("l.img", &["-f", "qed"], "l.img", Err("a QED image")),
        (
            "m.img",
            &["-f", "parallels"],
            "m.img",
            Err("a Parallels image"),
        ),
        (
            "n.img",
            &["-f", "qcow"],
            "n.img",
            Err("a qcow image of version 1"),
        ),
    ] {
        assert!(create(name, arguments).unwrap().success(), "{name}");
        let mut machine = MemoryMachine::new();
        machine.set_settings(serde_json::json!({ "format": "auto" }));
        let found = Image::discover(open, &DirectoryFolder::new(folder.path()), &mut machine);
        match expected {
            Ok((file, format)) => {
                assert_eq!(found, Ok(true), "{open}");
                assert_eq!(machine.disks, [(file.into(), format.into())], "{open}");
            }
            Err(what) => {
                let error = found.unwrap_err().message;
                assert!(error.contains(what), "{open}: {error}");
            }
        }
    }
}
