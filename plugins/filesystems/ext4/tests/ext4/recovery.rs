//! File systems that were not unmounted cleanly, and features that are not known.

use std::os::unix::fs::FileExt;

use cofferdam_sdk::ErrorCode;
use cofferdam_sdk::filesystem::FileSystem;
use fs_ext4::Superblock;
use fs_ext4::checksum::{Checksummer, linux_crc32c};
use plugin_ext4::Ext4;

use crate::common::*;

/// An image whose journal holds a new content of the file `/f`, and that content.
fn dirty(arguments: &[&str]) -> (Image, Vec<u8>) {
    let image = Image::new(64 * MIB, arguments);
    let mut fs = image.mount(true);
    let size = fs.free_space().unwrap().block_size as usize;
    fs.create("/f", &attributes(0o644)).unwrap();
    fs.write_at("/f", 0, &pattern(1, size)).unwrap();
    fs.commit().unwrap();
    drop(fs);
    let block = image.first_block("f");
    let content = pattern(2, size);
    let file = image.scratch("block", &content);
    let answer = image.debugfs(&[
        "journal_open",
        &format!("journal_write -b {block} {}", file.display()),
        "journal_close",
    ]);
    assert!(
        image.superblock().contains("needs_recovery"),
        "debugfs made no dirty journal: {answer}"
    );
    (image, content)
}

#[test]
fn a_dirty_journal_is_replayed_and_reported() {
    if !engines("a_dirty_journal_is_replayed_and_reported") {
        return;
    }
    for (name, arguments) in PROFILES {
        if matches!(*name, "ext2, 1 KiB blocks" | "without a journal") {
            continue;
        }
        for writable in [false, true] {
            let (image, content) = dirty(arguments);
            assert!(
                !Ext4::probe(&image.session(true)).unwrap().unwrap().clean,
                "{name}"
            );
            let before = std::fs::read(&image.path).unwrap();
            let refused = Ext4::mount(image.session(true), false).err().unwrap();
            assert_eq!(refused.code, ErrorCode::Denied, "{name}: {refused}");
            assert!(
                std::fs::read(&image.path).unwrap() == before,
                "a refusal wrote"
            );
            let (mut fs, report) = image.try_mount(writable).unwrap();
            assert!(report.replayed, "{name}");
            assert!(
                report.notes.iter().any(|note| note.contains("journal")),
                "{report:?}"
            );
            assert_eq!(read(&mut fs, "/f"), content, "{name}");
            if writable {
                fs.create("/g", &attributes(0o644)).unwrap();
                fs.commit().unwrap();
            }
            drop(fs);
            image.check(name);
            assert_eq!(image.cat("/f"), content, "{name}");
            assert!(Ext4::probe(&image.session(true)).unwrap().unwrap().clean);
            let (_, report) = image.try_mount(false).unwrap();
            assert!(!report.replayed, "{name}: replayed twice");
        }
    }
}

/// A block that a later transaction revoked is not written, and a transaction without its
/// commit block does not count.
#[test]
fn revoked_and_unfinished_transactions_are_not_replayed() {
    if !engines("revoked_and_unfinished_transactions_are_not_replayed") {
        return;
    }
    for (name, arguments) in PROFILES {
        if matches!(*name, "ext2, 1 KiB blocks" | "without a journal") {
            continue;
        }
        let image = Image::new(64 * MIB, arguments);
        let mut fs = image.mount(true);
        let size = fs.free_space().unwrap().block_size as usize;
        let content = pattern(1, 3 * size);
        fs.create("/f", &attributes(0o644)).unwrap();
        fs.write_at("/f", 0, &content).unwrap();
        fs.commit().unwrap();
        drop(fs);
        let block = image.first_block("f");
        let file = image.scratch("block", &pattern(2, size));
        let file = file.display();
        image.debugfs(&[
            "journal_open",
            &format!("journal_write -b {block} {file}"),
            &format!("journal_write -b {} {file}", block + 1),
            &format!("journal_write -r {block}"),
            &format!("journal_write -c -b {} {file}", block + 2),
            "journal_close",
        ]);
        let (mut fs, report) = image.try_mount(false).unwrap();
        assert!(report.replayed, "{name}");
        let mut expected = content;
        expected[size..2 * size].copy_from_slice(&pattern(2, size));
        assert!(read(&mut fs, "/f") == expected, "{name}");
        image.check(name);
    }
}

/// Changes the superblock, with its checksum where it has one.
fn change_superblock(image: &Image, change: impl FnOnce(&mut [u8])) {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&image.path)
        .unwrap();
    let mut raw = vec![0; 1024];
    file.read_exact_at(&mut raw, 1024).unwrap();
    change(&mut raw);
    let parsed = Superblock::parse(raw.clone()).unwrap();
    if Checksummer::from_superblock(&parsed).enabled {
        let sum = linux_crc32c(!0, &raw[..0x3fc]);
        raw[0x3fc..].copy_from_slice(&sum.to_le_bytes());
    }
    file.write_all_at(&raw, 1024).unwrap();
}

#[test]
fn unknown_features_are_refused_before_anything_is_written() {
    if !engines("unknown_features_are_refused_before_anything_is_written") {
        return;
    }
    // The byte of the superblock, the bit, and what reading and writing give.
    let cases = [
        ("incompat", 0x62, 0x40, false, false),
        ("ro_compat", 0x66, 0x40, true, false),
        ("quota", 0x65, 0x01, true, false),
        ("compat", 0x5e, 0x40, true, true),
    ];
    for (name, at, bit, readable, writable) in cases {
        let image = Image::new(32 * MIB, &["-t", "ext4"]);
        change_superblock(&image, |raw| raw[at] |= bit);
        let before = std::fs::read(&image.path).unwrap();
        for (write, allowed) in [(false, readable), (true, writable)] {
            match image.try_mount(write) {
                Ok(_) => assert!(allowed, "{name}: mounted, writable {write}"),
                Err(error) => {
                    assert!(!allowed, "{name}: {error}");
                    assert_eq!(error.code, ErrorCode::Unsupported, "{name}: {error}");
                }
            }
        }
        assert!(
            std::fs::read(&image.path).unwrap() == before,
            "{name}: mounting wrote"
        );
    }
}

#[test]
fn a_read_only_device_is_not_mounted_for_writing() {
    if !engines("a_read_only_device_is_not_mounted_for_writing") {
        return;
    }
    let image = Image::new(32 * MIB, &["-t", "ext4"]);
    let error = Ext4::mount(image.session(true), true).err().unwrap();
    assert_eq!(error.code, ErrorCode::Denied);
    let (mut fs, report) = Ext4::mount(image.session(true), false).unwrap();
    assert_eq!((report.replayed, report.notes.len()), (false, 0));
    assert_eq!(
        fs.create("/f", &attributes(0o644)).unwrap_err().code,
        ErrorCode::Denied
    );
}

/// A file that was removed while it was open, and one that was being cut, as a kernel that
/// was switched off leaves them in the orphan file.
#[test]
fn the_orphan_file_is_emptied() {
    if !engines("the_orphan_file_is_emptied") {
        return;
    }
    let arguments = [
        "-t",
        "ext4",
        "-b",
        "4096",
        "-O",
        "metadata_csum,orphan_file,metadata_csum_seed",
    ];
    let image = Image::new(64 * MIB, &arguments);
    let mut fs = image.mount(true);
    let free = fs.free_space().unwrap();
    fs.create("/gone", &attributes(0o644)).unwrap();
    fs.write_at("/gone", 0, &pattern(1, 300_000)).unwrap();
    fs.commit().unwrap();
    let number = u32::try_from(fs.stat("/gone").unwrap().inode).unwrap();
    drop(fs);
    image.debugfs(&["sif gone links_count 0", "unlink gone"]);
    let told = image.superblock();
    let orphan_file: u32 = told
        .lines()
        .find_map(|line| line.strip_prefix("Orphan file inode:"))
        .unwrap_or_else(|| panic!("no orphan file: {told}"))
        .trim()
        .parse()
        .unwrap();
    let block = image.first_block(&format!("<{orphan_file}>"));
    let generation = image.debugfs(&[&format!("stat <{orphan_file}>")]);
    let generation = generation.split("Generation:").nth(1).unwrap();
    let generation: u32 = generation
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&image.path)
        .unwrap();
    let mut entries = vec![0; 4096];
    file.read_exact_at(&mut entries, block * 4096).unwrap();
    entries[8..12].copy_from_slice(&number.to_le_bytes());
    let mut raw = vec![0; 1024];
    file.read_exact_at(&mut raw, 1024).unwrap();
    let seed = Checksummer::from_superblock(&Superblock::parse(raw).unwrap()).seed;
    let mut sum = linux_crc32c(seed, &orphan_file.to_le_bytes());
    sum = linux_crc32c(sum, &generation.to_le_bytes());
    sum = linux_crc32c(sum, &block.to_le_bytes());
    sum = linux_crc32c(sum, &entries[..4088]);
    entries[4092..].copy_from_slice(&sum.to_le_bytes());
    file.write_all_at(&entries, block * 4096).unwrap();
    change_superblock(&image, |raw| raw[0x66] |= 1);

    assert!(!Ext4::probe(&image.session(true)).unwrap().unwrap().clean);
    let (mut fs, report) = image.try_mount(true).unwrap();
    assert_eq!(report.notes.len(), 1, "{report:?}");
    fs.commit().unwrap();
    assert_eq!(fs.free_space().unwrap(), free);
    image.check("the orphan file was emptied");
    assert!(!image.superblock().contains("orphan_present"));
}
