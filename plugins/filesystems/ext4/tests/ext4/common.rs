//! What the tests share: images made by mke2fs, and e2fsck and debugfs as oracles.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

use cofferdam_sdk::Result;
use cofferdam_sdk::filesystem::{FileSystem, MountReport, Session};
use cofferdam_sdk::testing::{FileDevice, session};
use cofferdam_sdk::types::{Attributes, FileKind};
use plugin_ext4::Ext4;
use tempfile::TempDir;

pub const MIB: u64 = 1 << 20;

/// The feature sets that every edit is tried on: a name and mke2fs's arguments.
/// mke2fs would take blocks of 1 KiB for such small images, so that the size is always said.
pub const PROFILES: &[(&str, &[&str])] = &[
    ("stock ext4", &["-t", "ext4", "-b", "4096"]),
    (
        "orphan file and checksum seed",
        &[
            "-t",
            "ext4",
            "-b",
            "4096",
            "-O",
            "metadata_csum,orphan_file,metadata_csum_seed",
        ],
    ),
    (
        "without 64bit",
        &["-t", "ext4", "-b", "4096", "-O", "^64bit"],
    ),
    ("ext3", &["-t", "ext3", "-b", "4096"]),
    ("ext2, 1 KiB blocks", &["-t", "ext2", "-b", "1024"]),
    ("ext3, 1 KiB blocks", &["-t", "ext3", "-b", "1024"]),
    (
        "ext4 without extents",
        &["-t", "ext4", "-b", "4096", "-O", "^extent,^64bit"],
    ),
    (
        "ext4, 1 KiB blocks, without extents",
        &["-t", "ext4", "-b", "1024", "-O", "^extent,^64bit"],
    ),
    ("ext4, 1 KiB blocks", &["-t", "ext4", "-b", "1024"]),
    (
        "ext4 before checksums",
        &[
            "-t",
            "ext4",
            "-b",
            "2048",
            "-O",
            "^metadata_csum,uninit_bg,^64bit",
        ],
    ),
    ("small inodes", &["-t", "ext4", "-b", "4096", "-I", "128"]),
    (
        "without a journal",
        &["-t", "ext4", "-b", "4096", "-O", "^has_journal"],
    ),
    (
        "inline data",
        &["-t", "ext4", "-b", "4096", "-O", "inline_data"],
    ),
];

/// Whether the programs are there; in CI they must be.
pub fn engines(test: &str) -> bool {
    let missing: Vec<&str> = ["mke2fs", "e2fsck", "debugfs"]
        .into_iter()
        .filter(|name| Command::new(name).arg("-V").output().is_err())
        .collect();
    if missing.is_empty() {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none_or(|value| value != "true"),
        "{test} needs {missing:?} (apt-get install e2fsprogs)"
    );
    eprintln!("skipped: {test} needs {missing:?}");
    false
}

/// A file system in a file.
pub struct Image {
    folder: TempDir,
    pub path: PathBuf,
}

impl Image {
    /// An image of `size` bytes, made with these arguments.
    pub fn new(size: u64, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        File::create(&path).unwrap().set_len(size).unwrap();
        let image = Self { folder, path };
        let output = Command::new("mke2fs")
            .args(["-q", "-F", "-U", "6f3a0f4e-7d1d-4c53-9d9d-5f7d2a3f0c11"])
            .args(["-E", "hash_seed=0a1b2c3d-0011-2233-4455-66778899aabb"])
            .args(arguments)
            .arg(&image.path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "mke2fs {arguments:?}: {}",
            text(&output)
        );
        image
    }

    /// A folder to put files into for debugfs's `write`.
    pub fn scratch(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn session(&self, read_only: bool) -> Session {
        let file = File::options()
            .read(true)
            .write(!read_only)
            .open(&self.path)
            .unwrap();
        session(vec![Arc::new(FileDevice::new(file, read_only).unwrap())])
    }

    pub fn try_mount(&self, writable: bool) -> Result<(Ext4, MountReport)> {
        Ext4::mount(self.session(false), writable)
    }

    pub fn mount(&self, writable: bool) -> Ext4 {
        self.try_mount(writable).unwrap().0
    }

    /// Runs debugfs commands, writing.
    pub fn debugfs(&self, commands: &[&str]) -> String {
        let script = self.scratch("script", commands.join("\n").as_bytes());
        let output = Command::new("debugfs")
            .arg("-w")
            .arg("-f")
            .arg(script)
            .arg(&self.path)
            .output()
            .unwrap();
        text(&output)
    }

    /// The block of the device that holds the first block of a file.
    pub fn first_block(&self, file: &str) -> u64 {
        let answer = self.debugfs(&[&format!("bmap {file} 0")]);
        let number = answer.lines().find_map(|line| line.trim().parse().ok());
        number.unwrap_or_else(|| panic!("bmap {file}: {answer}"))
    }

    /// What debugfs says the content of a file is.
    pub fn cat(&self, path: &str) -> Vec<u8> {
        let output = Command::new("debugfs")
            .args(["-R", &format!("cat \"{path}\"")])
            .arg(&self.path)
            .output()
            .unwrap();
        output.stdout
    }

    /// What debugfs says an inode is.
    pub fn inode(&self, path: &str) -> String {
        let output = Command::new("debugfs")
            .args(["-R", &format!("stat \"{path}\"")])
            .arg(&self.path)
            .output()
            .unwrap();
        text(&output)
    }

    /// Fails unless e2fsck finds nothing to say, after `what`.
    pub fn check(&self, what: &str) {
        let output = Command::new("e2fsck")
            .arg("-fn")
            .arg(&self.path)
            .output()
            .unwrap();
        assert!(
            output.status.code() == Some(0),
            "e2fsck after {what}:\n{}",
            text(&output)
        );
    }

    /// The superblock as dumpe2fs prints it.
    pub fn superblock(&self) -> String {
        let output = Command::new("dumpe2fs")
            .arg("-h")
            .arg(&self.path)
            .output()
            .unwrap();
        text(&output)
    }
}

pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A mounted image whose every step is committed and checked.
pub struct Lab {
    pub image: Image,
    pub fs: Ext4,
    name: String,
}

impl Lab {
    pub fn new(name: &str, size: u64, arguments: &[&str]) -> Self {
        let image = Image::new(size, arguments);
        let fs = image.mount(true);
        Self {
            image,
            fs,
            name: name.to_string(),
        }
    }

    /// Runs a step, commits it and asks e2fsck.
    pub fn step<T>(&mut self, what: &str, edit: impl FnOnce(&mut Ext4) -> Result<T>) -> T {
        let result = edit(&mut self.fs);
        let result = result.unwrap_or_else(|error| panic!("{}: {what}: {error}", self.name));
        self.settle(what);
        result
    }

    /// Runs a step that must fail with this code, and asks e2fsck all the same.
    pub fn fails<T: std::fmt::Debug>(
        &mut self,
        what: &str,
        code: cofferdam_sdk::ErrorCode,
        edit: impl FnOnce(&mut Ext4) -> Result<T>,
    ) {
        let error = edit(&mut self.fs).expect_err(what);
        assert_eq!(error.code, code, "{}: {what}: {error}", self.name);
        self.settle(what);
    }

    fn settle(&mut self, what: &str) {
        let what = format!("{}: {what}", self.name);
        if let Err(error) = self.fs.commit() {
            panic!("{what}: commit: {error}");
        }
        self.image.check(&what);
    }
}

pub fn attributes(mode: u32) -> Attributes {
    Attributes::root(mode)
}

/// Bytes that tell where they came from.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// A whole file.
pub fn read(fs: &mut Ext4, path: &str) -> Vec<u8> {
    let size = fs.stat(path).unwrap().size;
    let mut content = Vec::new();
    while (content.len() as u64) < size {
        let piece = fs.read_at(path, content.len() as u64, 4 << 20).unwrap();
        assert!(!piece.is_empty(), "{path} ends early");
        content.extend(piece);
    }
    content
}

/// Writes a whole file in pieces that a host would use.
pub fn write(fs: &mut Ext4, path: &str, offset: u64, content: &[u8]) -> Result<()> {
    let mut at = offset;
    for piece in content.chunks(4 << 20) {
        fs.write_at(path, at, piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// All entries of a directory, asked for `limit` at a time.
pub fn list(fs: &mut Ext4, path: &str, limit: u32) -> Result<Vec<(String, FileKind)>> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = fs.list_directory(path, &cursor, limit)?;
        assert!(page.entries.len() <= limit as usize);
        found.extend(page.entries.into_iter().map(|e| (e.name, e.kind)));
        match page.next {
            Some(next) => cursor = next,
            None => return Ok(found),
        }
    }
}
