//! Partition tables: against sfdisk, and hostile ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod common;

use cofferdam_disk::partition::{self, TableKind};
use cofferdam_disk::{DiskError, Format, Image, SourceFolder, open};
use common::*;
use proptest::prelude::*;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn disk(bytes: &[u8]) -> (tempfile::TempDir, Arc<cofferdam_disk::OpenImage>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("disk"), bytes).unwrap();
    let image = open(
        &SourceFolder::open(folder.path()).unwrap(),
        "disk",
        Some(Format::Raw),
    )
    .unwrap();
    (folder, image)
}

fn have_sfdisk() -> bool {
    if Command::new("sfdisk").arg("--version").output().is_ok() {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "sfdisk is not installed, and CI must not skip its tests; install fdisk"
    );
    eprintln!("skipped: sfdisk is not installed (Debian package fdisk)");
    false
}

fn sfdisk(path: &Path, script: &str) -> serde_json::Value {
    use std::io::Write;
    let mut child = Command::new("sfdisk")
        .arg("-q")
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
    let output = Command::new("sfdisk")
        .arg("--json")
        .arg(path)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

const MBR: &str = "label: dos\nlabel-id: 0xdeadbeef\n\
    start=2048, size=2048, type=83, bootable\n\
    start=4096, size=2048, type=82\n\
    start=8192, size=20000, type=f\n\
    start=10240, size=1024, type=83\n\
    start=14336, size=512, type=8e\n\
    start=18432, size=100, type=83\n";

const GPT: &str = "label: gpt\nlabel-id: 01234567-89AB-CDEF-0123-456789ABCDEF\n\
    start=2048, size=2048, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=11111111-2222-3333-4444-555555555555, name=\"EFI \u{e4}\"\n\
    start=6144, size=1000, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE, attrs=LegacyBIOSBootable\n";

#[test]
fn the_same_partitions_as_sfdisk() {
    if !have_sfdisk() {
        return;
    }
    for (script, kind) in [(MBR, TableKind::Mbr), (GPT, TableKind::Gpt)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        write_raw(&path, 64 * MIB, &[]);
        let expected = &sfdisk(&path, script)["partitiontable"];
        let image = open(&SourceFolder::open(folder.path()).unwrap(), "disk", None).unwrap();
        let table = partition::read(image.as_ref()).unwrap().unwrap();
        assert_eq!(table.kind, kind);
        assert_eq!(table.sector_size, 512);
        assert!(table.warnings.is_empty(), "{:?}", table.warnings);
        let id = expected["id"].as_str().unwrap().to_lowercase();
        assert_eq!(table.disk_id, id.trim_start_matches("0x"));
        let partitions = expected["partitions"].as_array().unwrap();
        assert_eq!(table.partitions.len(), partitions.len());
        for (ours, theirs) in table.partitions.iter().zip(partitions) {
            let number = |key: &str| theirs[key].as_u64().unwrap() * table.sector_size;
            assert!(
                theirs["node"]
                    .as_str()
                    .unwrap()
                    .ends_with(&ours.number.to_string())
            );
            assert_eq!((ours.start, ours.length), (number("start"), number("size")));
            assert_eq!(ours.label.as_deref(), theirs["name"].as_str());
            let type_id = theirs["type"].as_str().unwrap().to_lowercase();
            match kind {
                TableKind::Mbr => {
                    assert_eq!(ours.type_id, format!("0x{type_id:0>2}"));
                    assert_eq!(ours.uuid, format!("deadbeef-{:02x}", ours.number));
                    assert_eq!(ours.bootable, theirs["bootable"].as_bool().unwrap_or(false));
                }
                TableKind::Gpt => {
                    assert_eq!(ours.type_id, type_id);
                    assert_eq!(ours.uuid, theirs["uuid"].as_str().unwrap().to_lowercase());
                    assert_eq!(ours.bootable, theirs["attrs"].is_string());
                }
            }
        }
    }
}

/// An 8 MiB disk with a GPT of one partition, and its backup.
fn gpt_disk(sector: usize) -> Vec<u8> {
    let mut bytes = vec![0; 8 * MIB as usize];
    put_table(&mut bytes, 0, &[(0, 0xee, 1, u32::MAX)]);
    let last = bytes.len() / sector - 1;
    let mut entries = vec![0; 16_384];
    entries[..16].copy_from_slice(&noise(1, 16));
    entries[16..32].copy_from_slice(&noise(2, 16));
    entries[32..40].copy_from_slice(&100u64.to_le_bytes());
    entries[40..48].copy_from_slice(&199u64.to_le_bytes());
    entries[56..60].copy_from_slice(b"r\0\xe9\0");
    for (at, other, array) in [(1, last, 2), (last, 1, last - 16_384 / sector)] {
        let mut header = vec![0; 92];
        let mut put = |at: usize, value: &[u8]| {
            header[at..at + value.len()].copy_from_slice(value);
        };
        put(0, b"EFI PART\0\0\x01\0");
        put(12, &92u32.to_le_bytes());
        put(24, &(at as u64).to_le_bytes());
        put(32, &(other as u64).to_le_bytes());
        put(56, &noise(3, 16));
        put(72, &(array as u64).to_le_bytes());
        put(80, &128u32.to_le_bytes());
        put(84, &128u32.to_le_bytes());
        put(88, &crc32fast::hash(&entries).to_le_bytes());
        let sum = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        bytes[at * sector..at * sector + 92].copy_from_slice(&header);
        bytes[array * sector..array * sector + entries.len()].copy_from_slice(&entries);
    }
    bytes
}

#[test]
fn a_damaged_gpt_is_replaced_by_its_backup_and_two_are_an_error() {
    for size in [512, 4096] {
        let good = gpt_disk(size);
        let (_keep, image) = disk(&good);
        let expected = partition::read(image.as_ref()).unwrap().unwrap();
        assert!(expected.warnings.is_empty(), "{:?}", expected.warnings);
        assert_eq!(expected.sector_size, size as u64);
        let only = &expected.partitions[..];
        assert_eq!(
            (only[0].start, only[0].length),
            (100 * size as u64, 100 * size as u64)
        );
        assert_eq!(only[0].label.as_deref(), Some("r\u{e9}"));
        // Magic, checksum, revision, an entry.
        for at in [size, size + 16, size + 60, 2 * size + 3] {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            let (_keep, image) = disk(&bad);
            let table = partition::read(image.as_ref()).unwrap().unwrap();
            assert_eq!(table.partitions, expected.partitions, "{at}");
            assert_eq!(table.warnings.len(), 1, "{at}");
            assert!(
                table.warnings[0].contains("backup GPT"),
                "{:?}",
                table.warnings
            );

            let last = bad.len() - size;
            bad[last + 56] ^= 1;
            let (_keep, image) = disk(&bad);
            let error = partition::read(image.as_ref()).unwrap_err();
            assert!(matches!(error, DiskError::Corrupt { .. }), "{error}");
            let info = image.info();
            assert!(info.partition_table.is_none());
            assert_eq!(info.warnings.len(), 1);
        }
    }
}

/// An MBR with these entries (status, type, first sector, sectors) at a place of a disk.
fn put_table(disk: &mut [u8], sector: usize, entries: &[(u8, u8, u32, u32)]) {
    let table = &mut disk[sector * 512..sector * 512 + 512];
    for (index, (status, kind, start, count)) in entries.iter().enumerate() {
        let entry = &mut table[446 + index * 16..462 + index * 16];
        entry[0] = *status;
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..16].copy_from_slice(&count.to_le_bytes());
    }
    table[510..].copy_from_slice(&[0x55, 0xaa]);
}

#[test]
fn chains_of_logical_partitions_that_loop_or_leave_the_disk() {
    let mut bytes = vec![0; 200 * 512];
    put_table(&mut bytes, 0, &[(0, 5, 10, 150)]);
    put_table(&mut bytes, 10, &[(0, 0x83, 1, 4), (0, 5, 20, 20)]);
    put_table(&mut bytes, 30, &[(0, 0x83, 1, 4), (0, 5, 0, 20)]);
    let (_keep, image) = disk(&bytes);
    let error = partition::read(image.as_ref()).unwrap_err();
    assert!(
        matches!(error, DiskError::Corrupt { offset: 5120, .. }),
        "{error}"
    );

    put_table(&mut bytes, 30, &[(0, 0x83, 1, 4), (0, 5, 1_000_000, 20)]);
    let (_keep, image) = disk(&bytes);
    let table = partition::read(image.as_ref()).unwrap().unwrap();
    assert_eq!(
        table
            .partitions
            .iter()
            .map(|p| p.number)
            .collect::<Vec<_>>(),
        [1, 5, 6]
    );
    assert!(
        table.warnings[0].contains("beyond the end"),
        "{:?}",
        table.warnings
    );

    // The garbage of the last two entries is not believed, a partition inside is.
    put_table(
        &mut bytes,
        30,
        &[
            (0, 0x83, 1, 4),
            (0, 0, 0, 0),
            (9, 0x83, 9_999, 9),
            (0, 0x83, 6, 2),
        ],
    );
    let (_keep, image) = disk(&bytes);
    let table = partition::read(image.as_ref()).unwrap().unwrap();
    assert_eq!(
        table
            .partitions
            .iter()
            .map(|p| p.number)
            .collect::<Vec<_>>(),
        [1, 5, 6, 7]
    );
    assert_eq!(table.partitions[3].start, 36 * 512);
}

#[test]
fn what_is_no_table_is_none() {
    let mut fat = vec![0; 4096];
    fat[..3].copy_from_slice(&[0xeb, 0x3c, 0x90]);
    fat[446..480].copy_from_slice(b"This is not a bootable disk.  Plea");
    fat[510..512].copy_from_slice(&[0x55, 0xaa]);
    for bytes in [vec![], vec![0; 100], vec![0; 4096], fat] {
        let (_keep, image) = disk(&bytes);
        assert_eq!(partition::read(image.as_ref()).unwrap(), None);
    }
    let mut beyond = vec![0; 4096];
    put_table(&mut beyond, 0, &[(0x80, 0x83, 1, 1000)]);
    let (_keep, image) = disk(&beyond);
    let table = partition::read(image.as_ref()).unwrap().unwrap();
    assert!(table.partitions[0].bootable);
    assert_eq!(table.disk_id, "00000000");
    assert!(table.warnings[0].contains("ends at byte 512512, the disk at 4096"));
    let mut protective = vec![0; 4096];
    put_table(&mut protective, 0, &[(0, 0xee, 1, 7)]);
    let (_keep, image) = disk(&protective);
    assert!(matches!(
        partition::read(image.as_ref()),
        Err(DiskError::Corrupt { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Random tables in random places: an answer or an error, soon.
    #[test]
    fn any_chain_of_tables_ends(
        tables in prop::collection::vec(
            (0..64usize, prop::collection::vec(
                (prop_oneof![Just(0u8), Just(0x80)],
                 prop_oneof![Just(5u8), Just(15), Just(0x83), Just(0xee)],
                 prop_oneof![0..70u32, any::<u32>()],
                 prop_oneof![0..70u32, any::<u32>()]), 1..5)),
            1..8),
    ) {
        let mut bytes = vec![0; 64 * 512];
        for (sector, entries) in &tables {
            put_table(&mut bytes, *sector, entries);
        }
        let (_keep, image) = disk(&bytes);
        if let Ok(Some(table)) = partition::read(image.as_ref()) {
            prop_assert!(table.partitions.len() <= 255);
            prop_assert!(table.partitions.is_sorted_by(|a, b| a.number < b.number));
            for partition in &table.partitions {
                let inside = partition.start + partition.length <= image.size();
                prop_assert!(inside || !table.warnings.is_empty());
            }
        }
    }

    /// What is put into an MBR comes out.
    #[test]
    fn primary_entries_come_back(
        entries in prop::collection::vec((any::<bool>(), 1..=0xffu8, 2..100u32, 1..100u32), 1..5),
        id in any::<u32>(),
    ) {
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(active, kind, start, count)| {
                let kind = if matches!(kind, 5 | 15 | 0x85) { 0x83 } else { kind };
                (if active { 0x80 } else { 0 }, kind, start, count)
            })
            .collect();
        let mut bytes = vec![0; 200 * 512];
        bytes[440..444].copy_from_slice(&id.to_le_bytes());
        put_table(&mut bytes, 0, &entries);
        let (_keep, image) = disk(&bytes);
        let table = partition::read(image.as_ref()).unwrap().unwrap();
        prop_assert_eq!(&table.disk_id, &format!("{id:08x}"));
        prop_assert_eq!(table.partitions.len(), entries.len());
        for (partition, (status, kind, start, count)) in table.partitions.iter().zip(&entries) {
            prop_assert_eq!(partition.bootable, *status == 0x80);
            prop_assert_eq!(&partition.type_id, &format!("{kind:#04x}"));
            prop_assert_eq!(partition.start, u64::from(*start) * 512);
            prop_assert_eq!(partition.length, u64::from(*count) * 512);
            prop_assert_eq!(&partition.uuid, &format!("{id:08x}-{:02x}", partition.number));
        }
    }
}
