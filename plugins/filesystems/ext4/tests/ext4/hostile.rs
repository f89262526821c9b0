//! Broken and hostile file systems: every call ends in a typed error or an answer.

use std::sync::Arc;

use cofferdam_sdk::ErrorCode;
use cofferdam_sdk::filesystem::FileSystem;
use cofferdam_sdk::testing::{MemoryDevice, session};
use cofferdam_sdk::types::FileKind;
use plugin_ext4::Ext4;
use proptest::prelude::*;

use crate::common::*;

/// A small file system with something of everything.
fn sample(arguments: &[&str]) -> Vec<u8> {
    let image = Image::new(4 * MIB, arguments);
    let mut fs = image.mount(true);
    fs.make_directory("/d", &attributes(0o755)).unwrap();
    for at in 0..60 {
        fs.create(&format!("/d/file-{at:040}"), &attributes(0o644))
            .unwrap();
    }
    fs.create("/f", &attributes(0o644)).unwrap();
    for at in 0..8 {
        fs.write_at("/f", at * 40_000, &pattern(at, 5000)).unwrap();
    }
    fs.set_xattr("/f", "user.long", Some(&pattern(1, 500)))
        .unwrap();
    fs.symlink("/slow", &"x".repeat(90), &attributes(0o777))
        .unwrap();
    fs.symlink("/fast", "f", &attributes(0o777)).unwrap();
    fs.commit().unwrap();
    drop(fs);
    // The directory gets its index.
    let output = std::process::Command::new("e2fsck")
        .arg("-fyD")
        .arg(&image.path)
        .output()
        .unwrap();
    assert!(
        output.status.code().is_some_and(|code| code <= 1),
        "{}",
        text(&output)
    );
    std::fs::read(&image.path).unwrap()
}

/// A sample with transactions in its journal: a block written, one revoked.
fn dirty_sample() -> Vec<u8> {
    let image = Image::new(4 * MIB, PLAIN);
    let mut fs = image.mount(true);
    fs.create("/f", &attributes(0o644)).unwrap();
    fs.write_at("/f", 0, &pattern(1, 5000)).unwrap();
    fs.commit().unwrap();
    drop(fs);
    let block = image.first_block("f");
    let file = image.scratch("block", &pattern(2, 2048));
    image.debugfs(&[
        "journal_open",
        &format!("journal_write -b {block},{} {}", block + 1, file.display()),
        &format!("journal_write -r {}", block + 1),
        "journal_close",
    ]);
    std::fs::read(&image.path).unwrap()
}

/// Looks at everything, up to a bound, and returns the first error.
fn walk(fs: &mut Ext4) -> Option<cofferdam_sdk::Error> {
    let mut first = None;
    let mut waiting = vec![(String::new(), 0)];
    let mut budget = 400;
    while let Some((directory, depth)) = waiting.pop() {
        let path = if directory.is_empty() {
            "/"
        } else {
            &directory
        };
        let mut cursor = String::new();
        loop {
            let page = match fs.list_directory(path, &cursor, 50) {
                Ok(page) => page,
                Err(error) => {
                    first.get_or_insert(error);
                    break;
                }
            };
            for entry in page.entries {
                if budget == 0 {
                    return first;
                }
                budget -= 1;
                let path = format!("{directory}/{}", entry.name);
                let results = [
                    fs.stat(&path).map(|_| ()),
                    fs.list_xattrs(&path).map(|_| ()),
                    match entry.kind {
                        FileKind::Regular => fs.read_at(&path, 0, 400_000).map(|_| ()),
                        FileKind::Symlink => fs.read_link(&path).map(|_| ()),
                        _ => Ok(()),
                    },
                ];
                for error in results.into_iter().filter_map(Result::err) {
                    first.get_or_insert(error);
                }
                if entry.kind == FileKind::Directory && depth < 6 {
                    waiting.push((path, depth + 1));
                }
            }
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
    }
    first
}

/// Mounts, looks and edits; the first error.
fn use_it(bytes: Vec<u8>, writable: bool) -> Option<cofferdam_sdk::Error> {
    let session = session(vec![Arc::new(MemoryDevice::new(bytes))]);
    if let Err(error) = Ext4::probe(&session) {
        return Some(error);
    }
    let mut fs = match Ext4::mount(session, writable) {
        Ok((fs, _)) => fs,
        Err(error) => return Some(error),
    };
    let mut first = walk(&mut fs);
    if writable {
        let edits = [
            fs.write_at("/f", 1000, &pattern(3, 60_000)),
            fs.create("/new", &attributes(0o600)),
            fs.write_at("/new", 0, &pattern(4, 20_000)),
            fs.set_xattr("/f", "user.more", Some(b"more")),
            fs.truncate("/f", 3000),
            fs.rename("/new", "/d/new"),
            fs.make_directory("/d/dir", &attributes(0o700)),
            fs.remove("/slow"),
            fs.remove("/f"),
            fs.commit(),
        ];
        for error in edits.into_iter().filter_map(Result::err) {
            first.get_or_insert(error);
        }
    }
    first
}

const PLAIN: &[&str] = &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,^64bit"];
const MAPPED: &[&str] = &["-t", "ext2", "-b", "1024"];
const SUMMED: &[&str] = &["-t", "ext4", "-b", "1024"];

/// `(what, at, bytes)`: what is written over the sample, relative to the superblock.
const SUPERBLOCK: &[(&str, usize, &[u8])] = &[
    ("no inodes", 0x00, &[0; 4]),
    ("all inodes", 0x00, &[0xff; 4]),
    ("no blocks", 0x04, &[0; 4]),
    ("all blocks", 0x04, &[0xff; 4]),
    ("first data block far out", 0x14, &[0xff; 4]),
    ("blocks of 2^40 bytes", 0x18, &[30, 0, 0, 0]),
    ("the largest block shift", 0x18, &[0xff; 4]),
    ("no blocks in a group", 0x20, &[0; 4]),
    ("too many blocks in a group", 0x20, &[0xff; 4]),
    ("no inodes in a group", 0x28, &[0; 4]),
    ("too many inodes in a group", 0x28, &[0xff; 4]),
    ("inodes without bytes", 0x58, &[0; 2]),
    ("inodes of an odd size", 0x58, &[0x81, 0]),
    ("inodes larger than blocks", 0x58, &[0, 0xf0]),
];

#[test]
fn broken_superblocks_end_in_corrupt() {
    if !engines("broken_superblocks_end_in_corrupt") {
        return;
    }
    let sample = sample(PLAIN);
    assert!(use_it(sample.clone(), true).is_none());
    for (what, at, bytes) in SUPERBLOCK {
        for writable in [false, true] {
            let mut broken = sample.clone();
            broken[1024 + at..1024 + at + bytes.len()].copy_from_slice(bytes);
            let error = use_it(broken, writable).unwrap_or_else(|| panic!("{what}: no error"));
            assert!(
                matches!(error.code, ErrorCode::Corrupt | ErrorCode::Unsupported),
                "{what}: {error}"
            );
        }
    }
}

#[test]
fn a_short_device_is_corrupt() {
    if !engines("a_short_device_is_corrupt") {
        return;
    }
    let sample = sample(PLAIN);
    for length in [2048, 3000, 4096, 100_000, sample.len() - 1024] {
        let error = use_it(sample[..length].to_vec(), false).unwrap();
        assert_eq!(error.code, ErrorCode::Corrupt, "{length}: {error}");
    }
}

/// Everything below the superblock, a structure at a time.
#[test]
fn broken_structures_end_in_typed_errors() {
    if !engines("broken_structures_end_in_typed_errors") {
        return;
    }
    for (sample, _) in samples() {
        // Blocks 1 KiB wide: descriptors in block 2, then bitmaps, inode tables, content.
        for block in 2..sample.len() / 1024 {
            let range = block * 1024..(block + 1) * 1024;
            if sample[range.clone()].iter().all(|&byte| byte == 0) {
                continue;
            }
            for fill in [0x00, 0xff] {
                let mut broken = sample.clone();
                broken[range.clone()].fill(fill);
                // What it says depends on the block; that it comes back is the point.
                let _ = use_it(broken, fill == 0xff);
            }
        }
    }
}

/// Sizes and maps that are consistent with themselves, and lies.
#[test]
fn lying_inodes_end_in_typed_errors() {
    if !engines("lying_inodes_end_in_typed_errors") {
        return;
    }
    // The inode, the field for debugfs, its value, and what is read then.
    let cases: &[(&str, &str, &str, Look)] = &[
        ("d", "size", "0x7ffffffffff", |fs| {
            code(fs.list_directory("/d", "", 10))
        }),
        ("d", "size", "0x7ffffffffff", |fs| code(fs.stat("/d/none"))),
        ("d", "mode", "0100644", |fs| {
            code(fs.list_directory("/d", "", 10))
        }),
        ("f", "mode", "0", |fs| code(fs.stat("/f"))),
        ("f", "links_count", "0", |fs| code(fs.stat("/f"))),
        ("f", "file_acl", "0x7fffffff", |fs| {
            code(fs.list_xattrs("/f"))
        }),
        ("f", "block[0]", "0", |fs| code(fs.read_at("/f", 0, 1000))),
        ("f", "block[1]", "0xffff0004", |fs| {
            code(fs.read_at("/f", 0, 1000))
        }),
        ("slow", "size", "0xfffffff", |fs| {
            code(fs.read_link("/slow"))
        }),
    ];
    for (inode, field, value, read) in cases {
        let image = Image::new(4 * MIB, PLAIN);
        std::fs::write(&image.path, sample(PLAIN)).unwrap();
        image.debugfs(&[&format!("sif {inode} {field} {value}")]);
        let found = read(&mut image.mount(false));
        assert!(
            matches!(found, Some(ErrorCode::Corrupt | ErrorCode::Invalid)),
            "{inode} {field} {value}: {found:?}"
        );
    }
}

/// Looks at something; the code of the error.
type Look = fn(&mut Ext4) -> Option<ErrorCode>;

fn code<T>(result: cofferdam_sdk::Result<T>) -> Option<ErrorCode> {
    result.err().map(|error| error.code)
}

#[test]
fn a_loop_of_directories_is_left() {
    if !engines("a_loop_of_directories_is_left") {
        return;
    }
    let image = Image::new(4 * MIB, PLAIN);
    image.debugfs(&["mkdir a", "cd a", "link <2> loop"]);
    let mut fs = image.mount(false);
    assert_eq!(fs.stat("/a/loop/a/loop").unwrap().inode, 2);
    walk(&mut fs);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(300),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn flipped_bytes_end_in_typed_errors(
        which in 0..4usize,
        writable in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        if !engines("flipped_bytes_end_in_typed_errors") {
            return Ok(());
        }
        let (sample, used) = &samples()[which];
        let mut broken = sample.clone();
        for (at, value) in flips {
            broken[used[at.index(used.len())]] = value;
        }
        let _ = use_it(broken, writable);
    }
}

/// The samples, and the places in each that hold something.
fn samples() -> &'static [(Vec<u8>, Vec<usize>)] {
    static SAMPLES: std::sync::OnceLock<Vec<(Vec<u8>, Vec<usize>)>> = std::sync::OnceLock::new();
    SAMPLES.get_or_init(|| {
        [PLAIN, MAPPED, SUMMED]
            .iter()
            .map(|arguments| sample(arguments))
            .chain([dirty_sample()])
            .map(|bytes| {
                let used = bytes
                    .chunks(128)
                    .enumerate()
                    .filter(|(_, chunk)| chunk.iter().any(|&byte| byte != 0))
                    .flat_map(|(at, _)| at * 128..(at + 1) * 128)
                    .collect();
                (bytes, used)
            })
            .collect()
    })
}
