//! What the tests of the whole product share.
//!
//! **Problem.** That the parts fit is only shown by the program that people run, with the
//! components that were built, on disks of guests that boot.
//!
//! **Design.** The tests run the real binary and the real plugins on the disks of
//! `cofferdam-fixtures`. Each test works in a folder of its own ([`Job`]) with a copy of the
//! disk, so that it may look at everything that a run leaves, and may change the source.
//!
//! **Limits.** Binary and plugins are not built here: `cargo xtask test` builds them first,
//! and a test that misses them says so.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do"
)]

pub mod native_only;
pub mod output;
pub mod registry;
pub mod server;
pub mod site;
pub mod spanning;

use cofferdam_fixtures::{Fixtures, Format, Variant, extract_partition, find};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// The plan's time in runs that are compared.
pub const PLAN_TIME: &str = "2026-01-31T12:00:00Z";

/// The folder of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The program: `COFFERDAM_BIN`, or what cargo built beside the tests.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn binary() -> PathBuf {
    let built = || {
        let test = std::env::current_exe().unwrap();
        // target/debug/deps/TEST
        test.parent().unwrap().parent().unwrap().join("cofferdam")
    };
    let binary = std::env::var_os("COFFERDAM_BIN").map_or_else(built, PathBuf::from);
    assert!(
        binary.is_file(),
        "there is no {}; run `cargo xtask test`, which builds it",
        binary.display()
    );
    binary
}

/// The folder of the components: `COFFERDAM_PLUGINS`, or `target/plugins`.
///
/// # Panics
/// If they were not built.
#[must_use]
pub fn plugins() -> PathBuf {
    let folder = std::env::var_os("COFFERDAM_PLUGINS")
        .map_or_else(|| workspace().join("target/plugins"), PathBuf::from);
    assert!(
        !components(&folder).is_empty(),
        "there are no plugins in {}; run `cargo xtask test`, which builds them",
        folder.display()
    );
    folder
}

/// A plugin of `tests/plugins`, as `cargo xtask build-plugins` builds it.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn test_plugin(id: &str) -> PathBuf {
    let component = std::env::var_os("COFFERDAM_TEST_PLUGINS")
        .map_or_else(|| workspace().join("target/test-plugins"), PathBuf::from)
        .join(format!("{id}.wasm"));
    assert!(
        component.is_file(),
        "there is no {}; run `cargo xtask test`, which builds it",
        component.display()
    );
    component
}

/// The `.wasm` files of a folder, by name.
#[must_use]
pub fn components(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("wasm")))
        .collect();
    found.sort();
    found
}

/// Fills the new folder `to` with the product's plugins but `without` those ids. They are
/// links: a test replaces a file, and never writes into one.
pub fn link_plugins(to: &Path, without: &[&str]) {
    fs::create_dir(to).unwrap();
    for component in components(&plugins()) {
        let id = component.file_stem().unwrap().to_str().unwrap();
        if !without.contains(&id) {
            let link = to.join(component.file_name().unwrap());
            std::os::unix::fs::symlink(&component, link).unwrap();
        }
    }
}

/// Every plugin's source folder, by path.
#[must_use]
pub fn plugin_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for kind in fs::read_dir(workspace().join("plugins")).unwrap() {
        let kind = kind.unwrap().path();
        if kind.is_dir() {
            found.extend(
                fs::read_dir(kind)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    found.retain(|folder| folder.is_dir());
    found.sort();
    assert!(!found.is_empty(), "there are no plugins");
    found
}

/// The program with the product's plugins, its state in the folder's `state`, without
/// configuration and terminal.
#[must_use]
pub fn cofferdam<A: AsRef<OsStr>>(folder: &Path, args: &[A]) -> Command {
    let mut command = Command::new(binary());
    command
        .env("COFFERDAM_PLUGINS", plugins())
        .env("COFFERDAM_STATE", folder.join("state"))
        .env_remove("COFFERDAM_SERVER")
        .current_dir(folder)
        .stdin(Stdio::null())
        .args(args);
    command
}

/// A program that ran to its end.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it printed for errors and progress.
    pub stderr: String,
}

impl Ran {
    /// Requires this exit code.
    ///
    /// # Panics
    /// With everything that was printed.
    #[track_caller]
    #[must_use]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(
            self.code,
            Some(expected),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Requires that the error message has all of these words.
    ///
    /// # Panics
    /// With the message.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        for words in words {
            assert!(self.stderr.contains(words), "{words:?} in {}", self.stderr);
        }
    }

    /// What was printed, as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }
}

/// Runs to the end.
pub fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a tool that must succeed, and returns what it printed.
///
/// # Panics
/// If it fails.
pub fn tool(program: &str, args: &[&OsStr]) -> String {
    let path = find(program).unwrap_or_else(|| panic!("{program} is missing"));
    let ran = run(Command::new(path).env("LC_ALL", "C").args(args));
    assert_eq!(
        ran.code,
        Some(0),
        "{program} {args:?}:\n{}{}",
        ran.stdout,
        ran.stderr
    );
    ran.stdout
}

/// Sha256 of a file.
#[must_use]
pub fn sha256(file: &Path) -> String {
    let mut hasher = Sha256::new();
    std::io::copy(&mut fs::File::open(file).unwrap(), &mut hasher).unwrap();
    hex::encode(hasher.finalize())
}

/// What a file is and when it was changed.
#[must_use]
pub fn state(file: &Path) -> (String, SystemTime) {
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    (sha256(file), modified)
}

/// Every path below `folder`, folders with an ending slash; nothing if there is no folder.
#[must_use]
pub fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut ahead = vec![folder.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_dir() {
                found.push(name + "/");
                ahead.push(path);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// A test's own folder with a copy of a guest's disk.
pub struct Job {
    folder: tempfile::TempDir,
    /// The disk's file (of a VMDK with extents, the descriptor).
    pub source: PathBuf,
    before: BTreeMap<PathBuf, (String, SystemTime)>,
}

impl Job {
    /// Copies a disk; none where fixtures cannot be had, which was said.
    #[must_use]
    pub fn new(test: &str, variant: Variant, format: Format) -> Option<Self> {
        let fixtures = Fixtures::open_or_skip(test)?;
        let original = fixtures.disk(variant, format).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut files = vec![original.clone()];
        if format == Format::VmdkMonolithicFlat {
            let descriptor = original.to_str().unwrap();
            files.push(descriptor.replace(".vmdk", "-flat.vmdk").into());
        }
        let mut before = BTreeMap::new();
        for file in files {
            let copy = folder.path().join(file.file_name().unwrap());
            let sparse: &OsStr = "--sparse=always".as_ref();
            tool("cp", &[sparse, file.as_ref(), copy.as_ref()]);
            before.insert(copy.clone(), state(&copy));
        }
        Some(Self {
            source: folder.path().join(original.file_name().unwrap()),
            folder,
            before,
        })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `cofferdam migrate SOURCE` with more arguments (paths relative to the folder), at
    /// [`PLAN_TIME`], with its overlays in the folder `scratch`.
    #[must_use]
    pub fn migrate(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.args(["--plan-time", PLAN_TIME]);
        command
    }

    /// As [`Job::migrate`], at no certain time.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let scratch = self.path("scratch");
        fs::create_dir_all(&scratch).unwrap();
        let mut command = cofferdam(self.folder(), &["migrate"]);
        command
            .arg(self.source.strip_prefix(self.folder()).unwrap())
            .args(args)
            .arg("--scratch")
            .arg(scratch);
        command
    }

    /// Requires that the source is as it was, its time of change included, and that no
    /// overlay was left.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn source_is_untouched(&self) {
        for (file, before) in &self.before {
            assert_eq!(&state(file), before, "{} changed", file.display());
        }
    }

    /// Requires that nothing was left in the folder but the source and these.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn only_has(&self, more: &[&str]) {
        let mut expected: Vec<String> = self
            .before
            .keys()
            .map(|file| {
                file.strip_prefix(self.folder())
                    .unwrap()
                    .display()
                    .to_string()
            })
            .chain(more.iter().map(|name| (*name).to_owned()))
            .collect();
        let mut found = listing(self.folder());
        // Made by the test, and the host's own.
        found.retain(|name| name != "scratch/" && !name.starts_with("state/"));
        expected.sort();
        assert_eq!(found, expected);
    }
}

/// The disk of an image as a raw file at `to`, read by qemu-img.
pub fn to_raw(image: &Path, to: &Path) {
    let args: [&OsStr; 5] = [
        "convert".as_ref(),
        "-O".as_ref(),
        "raw".as_ref(),
        image.as_ref(),
        to.as_ref(),
    ];
    tool("qemu-img", &args);
}

/// Requires that e2fsck finds nothing to repair in the partition of a raw disk, and leaves
/// the partition at `partition`.
pub fn check_partition(raw: &Path, partition: &Path) {
    extract_partition(raw, partition).unwrap();
    tool("e2fsck", &["-fn".as_ref(), partition.as_ref()]);
}

/// The content of a file in a partition, read by debugfs.
#[must_use]
pub fn file_of(partition: &Path, path: &str) -> String {
    let request = format!("cat {path}");
    let args: [&OsStr; 3] = ["-R".as_ref(), request.as_ref(), partition.as_ref()];
    tool("debugfs", &args)
}

/// Reads a JSON file.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn read_json(file: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}
