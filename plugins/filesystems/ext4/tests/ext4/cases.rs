//! Cases as data: an image, steps, and what must be in it afterwards.
//!
//! ```text
//! cases/NAME/case.toml      description, mke2fs's arguments, size, steps
//! cases/NAME/tree/…         the files it begins with, put in by mke2fs -d
//! cases/NAME/expected.json  all paths and the steps refused; COFFERDAM_UPDATE_CASES=1 writes it
//! ```
//!
//! What depends on the machine is kept out: the tree belongs to root with the modes that git
//! knows, and an inode is told by the path that named it before the steps, since its number
//! follows from the order in which mke2fs read a folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cofferdam_sdk::filesystem::FileSystem as _;
use cofferdam_sdk::path::escape;
use cofferdam_sdk::types::{Attributes, FileKind};
use cofferdam_sdk::{ErrorCode, Result};
use plugin_ext4::Ext4;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::common::{Image, engines, list, read};

/// What `case.toml` says.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Case {
    /// Shown where the case fails.
    description: String,
    /// Arguments of mke2fs.
    mkfs: Vec<String>,
    /// Bytes of the image.
    size: u64,
    #[serde(rename = "do")]
    steps: Vec<Step>,
}

/// The editing operations of `cofferdam:plugin/file-tree`, with its names.
#[derive(Deserialize)]
#[serde(
    tag = "operation",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
enum Step {
    Create {
        path: String,
        attributes: Owned,
    },
    WriteAt {
        path: String,
        offset: u64,
        content: String,
    },
    Truncate {
        path: String,
        size: u64,
    },
    Rename {
        from: String,
        to: String,
    },
    Link {
        existing: String,
        path: String,
    },
    Symlink {
        path: String,
        target: String,
        attributes: Owned,
    },
    MakeDirectory {
        path: String,
        attributes: Owned,
    },
    Remove {
        path: String,
    },
    SetAttributes {
        path: String,
        mode: u32,
        owner: u32,
        group: u32,
    },
    /// Without a value, the attribute is removed.
    SetXattr {
        path: String,
        name: String,
        value: Option<String>,
    },
    Commit {},
}

/// Attributes of a new inode; root's where they do not say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owned {
    mode: u32,
    #[serde(default)]
    owner: u32,
    #[serde(default)]
    group: u32,
    label: Option<String>,
}

impl From<&Owned> for Attributes {
    fn from(owned: &Owned) -> Self {
        Self {
            owner: owned.owner,
            group: owned.group,
            label: owned.label.clone(),
            ..Self::root(owned.mode)
        }
    }
}

impl Step {
    fn run(&self, fs: &mut Ext4) -> Result<()> {
        match self {
            Self::Create { path, attributes } => fs.create(path, &attributes.into()),
            Self::WriteAt {
                path,
                offset,
                content,
            } => fs.write_at(path, *offset, content.as_bytes()),
            Self::Truncate { path, size } => fs.truncate(path, *size),
            Self::Rename { from, to } => fs.rename(from, to),
            Self::Link { existing, path } => fs.link(existing, path),
            Self::Symlink {
                path,
                target,
                attributes,
            } => fs.symlink(path, target, &attributes.into()),
            Self::MakeDirectory { path, attributes } => fs.make_directory(path, &attributes.into()),
            Self::Remove { path } => fs.remove(path),
            Self::SetAttributes {
                path,
                mode,
                owner,
                group,
            } => fs.set_attributes(path, *mode, *owner, *group),
            Self::SetXattr { path, name, value } => {
                fs.set_xattr(path, name, value.as_ref().map(|value| value.as_bytes()))
            }
            Self::Commit {} => fs.commit(),
        }
    }
}

/// What `expected.json` says.
#[derive(Default, Serialize)]
struct Outcome {
    /// By the place of the step in `case.toml`, counted from 1.
    refused: BTreeMap<usize, ErrorCode>,
    paths: BTreeMap<String, Found>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Found {
    kind: FileKind,
    /// Octal, as `chmod` takes it.
    mode: String,
    owner: u32,
    group: u32,
    links: u32,
    size: u64,
    /// The first path that named this inode before the steps; none for a new one.
    inode_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Values as the contract escapes names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
}

/// Every path, the root first.
fn paths(fs: &mut Ext4) -> Vec<String> {
    let mut found = vec!["/".to_string()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if fs.stat(&path).unwrap().kind == FileKind::Directory {
            let names = list(fs, &path, 100).unwrap();
            let folder = path.trim_end_matches('/');
            found.extend(names.iter().map(|(name, _)| format!("{folder}/{name}")));
        }
    }
    found.sort();
    found
}

/// The first path of each inode.
fn inodes(fs: &mut Ext4) -> BTreeMap<u64, String> {
    let mut named = BTreeMap::new();
    for path in paths(fs) {
        let inode = fs.stat(&path).unwrap().inode;
        named.entry(inode).or_insert(path);
    }
    named
}

fn found(fs: &mut Ext4, path: &str, before: &BTreeMap<u64, String>) -> Found {
    let metadata = fs.stat(path).unwrap();
    let names = fs.list_xattrs(path).unwrap();
    let values = names.into_iter().map(|name| {
        let value = fs.get_xattr(path, &name).unwrap();
        (name, escape(&value))
    });
    let xattrs = values.collect();
    let regular = metadata.kind == FileKind::Regular;
    let link = metadata.kind == FileKind::Symlink;
    Found {
        kind: metadata.kind,
        mode: format!("{:04o}", metadata.mode),
        owner: metadata.owner,
        group: metadata.group,
        links: metadata.links,
        size: metadata.size,
        inode_of: before.get(&metadata.inode).cloned(),
        sha256: regular.then(|| hex::encode(Sha256::digest(read(fs, path)))),
        target: link.then(|| fs.read_link(path).unwrap()),
        xattrs,
    }
}

/// Copies a tree with modes that do not depend on the umask, and names what is in it.
fn copy(from: &Path, to: &Path, path: &str, names: &mut Vec<String>) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
    names.push(if path.is_empty() { "/" } else { path }.to_string());
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let path = format!("{path}/{}", entry.file_name().to_str().unwrap());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&from, &to, &path, names);
            continue;
        }
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&from).unwrap(), &to).unwrap();
        } else {
            fs::write(&to, fs::read(&from).unwrap()).unwrap();
            let executable = entry.metadata().unwrap().permissions().mode() & 0o100 != 0;
            let mode = if executable { 0o755 } else { 0o644 };
            fs::set_permissions(&to, fs::Permissions::from_mode(mode)).unwrap();
        }
        names.push(path);
    }
}

fn image(case: &Case, folder: &Path) -> Image {
    let mut arguments: Vec<&str> = case.mkfs.iter().map(String::as_str).collect();
    let tree = folder.join("tree");
    if !tree.exists() {
        return Image::new(case.size, &arguments);
    }
    let scratch = tempfile::tempdir().unwrap();
    let copied = scratch.path().join("tree");
    let mut names = Vec::new();
    copy(&tree, &copied, "", &mut names);
    arguments.extend(["-d", copied.to_str().unwrap()]);
    let image = Image::new(case.size, &arguments);
    // mke2fs takes over owners, and labels where this machine has SELinux.
    let commands: Vec<String> = names
        .iter()
        .flat_map(|name| {
            [
                format!("set_inode_field \"{name}\" uid 0"),
                format!("set_inode_field \"{name}\" gid 0"),
                format!("ea_rm \"{name}\" security.selinux"),
            ]
        })
        .collect();
    image.debugfs(&commands.iter().map(String::as_str).collect::<Vec<_>>());
    image
}

fn outcome(case: &Case, folder: &Path, name: &str) -> Outcome {
    let image = image(case, folder);
    image.check(&format!("case {name}, before its steps"));
    let mut outcome = Outcome::default();
    let mut fs = image.mount(true);
    let mut before = inodes(&mut fs);
    for (index, step) in case.steps.iter().enumerate() {
        if let Err(error) = step.run(&mut fs) {
            outcome.refused.insert(index + 1, error.code);
        }
        // The number of an inode that is gone may be given to a new one.
        let present = inodes(&mut fs);
        before.retain(|inode, _| present.contains_key(inode));
    }
    fs.commit().unwrap();
    drop(fs);
    image.check(&format!("case {name} ({})", case.description));
    // Mounted anew, so that only what is on the device counts.
    let mut fs = image.mount(false);
    for path in paths(&mut fs) {
        let found = found(&mut fs, &path, &before);
        outcome.paths.insert(path, found);
    }
    outcome
}

/// What is wrong with a case; none where nothing is.
fn failure(folder: &Path, update: bool) -> Option<String> {
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let text = fs::read_to_string(folder.join("case.toml"))
        .unwrap_or_else(|error| panic!("case {name}: case.toml: {error}"));
    let case: Case =
        toml::from_str(&text).unwrap_or_else(|error| panic!("case {name}: case.toml: {error}"));
    let outcome = outcome(&case, folder, &name);
    let found = serde_json::to_string_pretty(&outcome).unwrap() + "\n";
    let path = folder.join("expected.json");
    if update {
        fs::write(&path, found).unwrap();
        return None;
    }
    let Ok(expected) = fs::read_to_string(&path) else {
        return Some(format!(
            "case {name}: no expected.json; run with COFFERDAM_UPDATE_CASES=1 and look at what \
             it wrote"
        ));
    };
    (expected != found).then(|| {
        let diff = similar::TextDiff::from_lines(&expected, &found);
        format!(
            "case {name} ({}): found (+) is not what is expected (-)\n{}",
            case.description,
            diff.unified_diff()
        )
    })
}

#[test]
fn cases() {
    if !engines("cases") {
        return;
    }
    let update = std::env::var("COFFERDAM_UPDATE_CASES").is_ok_and(|value| value == "1");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = fs::read_dir(folder).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty(), "there are no cases");
    let failures: Vec<String> = folders
        .iter()
        .filter_map(|folder| failure(folder, update))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
