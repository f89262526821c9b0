//! Damaged and hostile images: each a typed error that names file and offset, and nothing
//! is opened outside the folder.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod common;

use cofferdam_disk::{DiskError, Format, Image, OpenImage, SourceFolder, open};
use common::*;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

fn open_bytes(format: Format, bytes: &[u8]) -> Result<Arc<OpenImage>, DiskError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("image"), bytes).unwrap();
    open(
        &SourceFolder::open(folder.path()).unwrap(),
        "image",
        Some(format),
    )
}

/// Opens and reads everything.
fn try_all(format: Format, bytes: &[u8]) -> Result<u64, DiskError> {
    read_all(open_bytes(format, bytes)?.as_ref())
}

/// The error of an image that must not be read; it names the file.
fn refused(format: Format, bytes: &[u8], what: &str) -> DiskError {
    let error = match try_all(format, bytes) {
        Ok(_) => panic!("{what}: was read"),
        Err(error) => error,
    };
    assert!(error.to_string().contains("image"), "{what}: {error}");
    error
}

/// A qcow2 with data, made by this crate: header, data, L2, L1, reference counts.
fn qcow2(compression: cofferdam_disk::Compression) -> Vec<u8> {
    use cofferdam_disk::{CancelFlag, ConvertOptions, NoProgress, convert};
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("raw"), sample()).unwrap();
    let source = open(
        &SourceFolder::open(folder.path()).unwrap(),
        "raw",
        Some(Format::Raw),
    )
    .unwrap();
    let target = folder.path().join("target");
    let options = ConvertOptions {
        format: Format::Qcow2,
        compression,
        threads: 1,
    };
    convert(
        source.as_ref(),
        &target,
        &options,
        &NoProgress,
        &CancelFlag::new(),
    )
    .unwrap();
    std::fs::read(target).unwrap()
}

fn plain_qcow2() -> Vec<u8> {
    qcow2(cofferdam_disk::Compression::None)
}

fn packed_qcow2() -> Vec<u8> {
    qcow2(cofferdam_disk::Compression::Zlib(6))
}

fn sparse_vmdk() -> Vec<u8> {
    let data = sample();
    let text = descriptor("monolithicSparse", data.len() / 512, "image");
    build_vmdk(Vmdk::Sparse, &data, &text)
}

fn stream_vmdk() -> Vec<u8> {
    let data = sample();
    let text = descriptor("streamOptimized", data.len() / 512, "image");
    build_vmdk(Vmdk::Stream, &data, &text)
}

fn be64(bytes: &[u8], at: usize) -> usize {
    u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

fn le32(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Offsets of a qcow2's L1 table and of its first L2 table.
fn qcow2_tables(bytes: &[u8]) -> (usize, usize) {
    let l1 = be64(bytes, 40);
    (l1, be64(bytes, l1) & 0x00ff_ffff_ffff_fe00)
}

/// Offsets of a sparse VMDK's directory and of its first table.
fn vmdk_tables(bytes: &[u8]) -> (usize, usize) {
    let directory = le32(bytes, 56) * SECTOR;
    (directory, le32(bytes, directory) * SECTOR)
}

fn with(mut bytes: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

#[test]
fn the_images_are_good_before_they_are_damaged() {
    let expected: u64 = sample().iter().map(|byte| u64::from(*byte)).sum();
    for (format, bytes) in [
        (Format::Qcow2, plain_qcow2()),
        (Format::Qcow2, packed_qcow2()),
        (Format::Vmdk, sparse_vmdk()),
        (Format::Vmdk, stream_vmdk()),
    ] {
        assert_eq!(try_all(format, &bytes).unwrap(), expected);
    }
}

#[test]
fn a_file_cut_at_any_structure_is_refused() {
    let plain = plain_qcow2();
    let (l1, l2) = qcow2_tables(&plain);
    for cut in [
        0,
        3,
        4,
        71,
        72,
        103,
        104,
        65_535,
        65_536,
        80_000,
        l2,
        l2 + 8,
        l1,
        l1 + 7,
    ] {
        let error = refused(Format::Qcow2, &plain[..cut], &format!("qcow2 cut at {cut}"));
        assert!(
            matches!(
                error,
                DiskError::Truncated { .. } | DiskError::Corrupt { .. }
            ),
            "{cut}: {error}"
        );
    }
    let sparse = sparse_vmdk();
    let (directory, table) = vmdk_tables(&sparse);
    for cut in [
        0,
        4,
        511,
        512,
        2560,
        directory,
        directory + 3,
        table,
        table + 2047,
        GRAIN,
        sparse.len() - GRAIN,
        sparse.len() - 5001,
    ] {
        let error = refused(
            Format::Vmdk,
            &sparse[..cut],
            &format!("sparse cut at {cut}"),
        );
        assert!(
            matches!(
                error,
                DiskError::Truncated { .. } | DiskError::Corrupt { .. }
            ),
            "{cut}: {error}"
        );
    }
    // Whatever is missing, the tables are: the file ends with them.
    let stream = stream_vmdk();
    for cut in (0..stream.len())
        .step_by(512)
        .chain([1, 513, 2560, stream.len() - 1])
    {
        let error = refused(
            Format::Vmdk,
            &stream[..cut],
            &format!("stream cut at {cut}"),
        );
        match error {
            DiskError::Truncated { .. } | DiskError::Corrupt { .. } => {}
            error => panic!("{cut}: {error}"),
        }
    }
}

/// An image, what is written where in it, and words that the error must have.
type Case = (&'static str, Format, Vec<u8>, usize, Vec<u8>, &'static str);

#[test]
fn a_structure_that_lies_is_named_with_its_place() {
    let (plain, packed) = (plain_qcow2(), packed_qcow2());
    let (l1, l2) = qcow2_tables(&plain);
    let (_, packed_l2) = qcow2_tables(&packed);
    let (sparse, stream) = (sparse_vmdk(), stream_vmdk());
    let (directory, table) = vmdk_tables(&sparse);
    let footer = stream.len() - 1024;
    let far = 1u64 << 50;
    let entry = |at: u64| (at | 1 << 63).to_be_bytes().to_vec();
    let packed_at = be64(&packed, packed_l2) & ((1 << 54) - 1);
    let first_grain = le32(&sparse, table) as u32;
    let q = Format::Qcow2;
    let v = Format::Vmdk;
    let cases: Vec<Case> = vec![
        ("magic", q, plain.clone(), 0, b"QFI\0".to_vec(), "byte 0: "),
        (
            "cluster size",
            q,
            plain.clone(),
            20,
            8u32.to_be_bytes().to_vec(),
            "byte 20: ",
        ),
        (
            "cluster size",
            q,
            plain.clone(),
            20,
            63u32.to_be_bytes().to_vec(),
            "byte 20: ",
        ),
        (
            "size",
            q,
            plain.clone(),
            24,
            u64::MAX.to_be_bytes().to_vec(),
            "byte 36: ",
        ),
        (
            "size beyond L1",
            q,
            plain.clone(),
            24,
            far.to_be_bytes().to_vec(),
            "byte 36: ",
        ),
        (
            "L1 entries",
            q,
            plain.clone(),
            36,
            u32::MAX.to_be_bytes().to_vec(),
            "byte 36: ",
        ),
        (
            "L1 far",
            q,
            plain.clone(),
            40,
            far.to_be_bytes().to_vec(),
            "the L1 table needs",
        ),
        (
            "L1 wraps",
            q,
            plain.clone(),
            40,
            (u64::MAX << 16).to_be_bytes().to_vec(),
            "the L1 table needs",
        ),
        (
            "L1 odd",
            q,
            plain.clone(),
            40,
            (l1 as u64 + 8).to_be_bytes().to_vec(),
            "byte 40: ",
        ),
        (
            "L1 at header",
            q,
            plain.clone(),
            40,
            0u64.to_be_bytes().to_vec(),
            "byte 40: ",
        ),
        (
            "header length",
            q,
            plain.clone(),
            100,
            8u32.to_be_bytes().to_vec(),
            "byte 100: ",
        ),
        (
            "L2 far",
            q,
            plain.clone(),
            l1,
            entry(1 << 40),
            "beyond the end",
        ),
        (
            "L2 odd",
            q,
            plain.clone(),
            l1,
            entry(l2 as u64 + 512),
            "does not begin at a cluster",
        ),
        (
            "L2 is L1",
            q,
            plain.clone(),
            l1,
            entry(l1 as u64),
            "overlaps the L1 table",
        ),
        (
            "data far",
            q,
            plain.clone(),
            l2,
            entry(1 << 40),
            "beyond the end",
        ),
        (
            "data odd",
            q,
            plain.clone(),
            l2,
            entry(65_536 + 512),
            "does not begin at a cluster",
        ),
        (
            "data is L1",
            q,
            plain.clone(),
            l2,
            entry(l1 as u64),
            "overlaps the L1 table",
        ),
        (
            "data is L2",
            q,
            plain.clone(),
            l2,
            entry(l2 as u64),
            "overlaps an L2 table",
        ),
        (
            "packed far",
            q,
            packed.clone(),
            packed_l2,
            ((1 << 62) | (1u64 << 53)).to_be_bytes().to_vec(),
            "beyond the end",
        ),
        (
            "packed is header",
            q,
            packed.clone(),
            packed_l2,
            ((1 << 62) | 104u64).to_be_bytes().to_vec(),
            "overlaps the header",
        ),
        (
            "packed damaged",
            q,
            packed.clone(),
            packed_at,
            vec![0xff; 64],
            "damaged",
        ),
        ("magic", v, sparse.clone(), 0, b"VMDK".to_vec(), "byte 0: "),
        (
            "version",
            v,
            sparse.clone(),
            4,
            9u32.to_le_bytes().to_vec(),
            "version 9",
        ),
        (
            "line ends",
            v,
            sparse.clone(),
            73,
            b"\n \n\n".to_vec(),
            "byte 73: ",
        ),
        (
            "capacity",
            v,
            sparse.clone(),
            12,
            u64::MAX.to_le_bytes().to_vec(),
            "byte 12: ",
        ),
        (
            "capacity",
            v,
            sparse.clone(),
            12,
            (1u64 << 52).to_le_bytes().to_vec(),
            "byte 12: ",
        ),
        (
            "capacity",
            v,
            sparse.clone(),
            12,
            (1u64 << 35).to_le_bytes().to_vec(),
            "the grain directory needs",
        ),
        (
            "no grain",
            v,
            sparse.clone(),
            20,
            0u64.to_le_bytes().to_vec(),
            "byte 20: ",
        ),
        (
            "grain",
            v,
            sparse.clone(),
            20,
            3u64.to_le_bytes().to_vec(),
            "byte 20: ",
        ),
        (
            "grain",
            v,
            sparse.clone(),
            20,
            (1u64 << 40).to_le_bytes().to_vec(),
            "byte 20: ",
        ),
        (
            "no entries",
            v,
            sparse.clone(),
            44,
            0u32.to_le_bytes().to_vec(),
            "byte 44: ",
        ),
        (
            "entries",
            v,
            sparse.clone(),
            44,
            u32::MAX.to_le_bytes().to_vec(),
            "byte 44: ",
        ),
        (
            "directory far",
            v,
            sparse.clone(),
            56,
            (1u64 << 40).to_le_bytes().to_vec(),
            "the grain directory needs",
        ),
        (
            "directory wraps",
            v,
            sparse.clone(),
            56,
            (u64::MAX - 1).to_le_bytes().to_vec(),
            "byte 56: ",
        ),
        (
            "directory is header",
            v,
            sparse.clone(),
            56,
            0u64.to_le_bytes().to_vec(),
            "byte 56: ",
        ),
        (
            "directory is descriptor",
            v,
            sparse.clone(),
            56,
            2u64.to_le_bytes().to_vec(),
            "byte 28: ",
        ),
        (
            "descriptor far",
            v,
            sparse.clone(),
            28,
            (1u64 << 40).to_le_bytes().to_vec(),
            "the embedded descriptor needs",
        ),
        (
            "descriptor huge",
            v,
            sparse.clone(),
            36,
            (1u64 << 40).to_le_bytes().to_vec(),
            "byte 36: ",
        ),
        (
            "descriptor text",
            v,
            sparse.clone(),
            512,
            b"# Disk\nnonsense\n".to_vec(),
            "byte 519: ",
        ),
        (
            "table far",
            v,
            sparse.clone(),
            directory,
            u32::MAX.to_le_bytes().to_vec(),
            "beyond the end",
        ),
        (
            "table is directory",
            v,
            sparse.clone(),
            directory,
            ((directory / SECTOR) as u32).to_le_bytes().to_vec(),
            "overlaps the grain directory",
        ),
        (
            "grain far",
            v,
            sparse.clone(),
            table,
            u32::MAX.to_le_bytes().to_vec(),
            "beyond the end",
        ),
        (
            "grain is header",
            v,
            sparse.clone(),
            table,
            1u32.to_le_bytes().to_vec(),
            "overlaps",
        ),
        (
            "grain is table",
            v,
            sparse.clone(),
            table,
            ((table / SECTOR) as u32).to_le_bytes().to_vec(),
            "overlaps",
        ),
        (
            "no footer",
            v,
            stream.clone(),
            footer,
            vec![0; 4],
            "there is no footer here",
        ),
        (
            "no end",
            v,
            stream.clone(),
            footer + 512,
            vec![1],
            "no end-of-stream marker",
        ),
        (
            "footer without directory",
            v,
            stream.clone(),
            footer + 56,
            vec![0xff; 8],
            "does not say where",
        ),
        (
            "algorithm",
            v,
            stream.clone(),
            footer + 77,
            vec![7],
            "compression algorithm 7",
        ),
        (
            "marker sector",
            v,
            stream.clone(),
            2560,
            vec![9],
            "byte 2560: the marker here is of sector 9",
        ),
        (
            "marker length",
            v,
            stream.clone(),
            2568,
            vec![0; 4],
            "byte 2560: a compressed grain of 0 bytes",
        ),
        (
            "marker length",
            v,
            stream.clone(),
            2568,
            vec![0xff; 4],
            "byte 2560: a compressed grain of 4294967295",
        ),
        (
            "grain damaged",
            v,
            stream.clone(),
            2600,
            vec![0xff; 64],
            "byte 2560: ",
        ),
    ];
    assert!(first_grain > 0);
    for (name, format, image, at, value, words) in cases {
        let what = format!("{format} {name} at {at}");
        let error = refused(format, &with(image, at, &value), &what);
        assert!(error.to_string().contains(words), "{what}: {error}");
    }
}

/// Two tables in the same place, or one table used twice.
#[test]
fn tables_that_overlap_each_other_are_refused() {
    // Needs two tables: a grain table covers 32 MiB.
    let data = {
        let mut data = vec![0; 40 * MIB as usize];
        data[0] = 1;
        data[39 * MIB as usize] = 1;
        data
    };
    let image = build_vmdk(
        Vmdk::Sparse,
        &data,
        &descriptor("monolithicSparse", data.len() / 512, "image"),
    );
    let (directory, table) = vmdk_tables(&image);
    for sector in [table / SECTOR, table / SECTOR + 1] {
        let bytes = with(image.clone(), directory + 4, &(sector as u32).to_le_bytes());
        let error = refused(Format::Vmdk, &bytes, "two tables");
        assert!(matches!(error, DiskError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("overlap"), "{error}");
    }
}

#[test]
fn compressed_data_that_inflates_too_far_or_too_little_is_refused() {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
    for (length, words) in [
        (GRAIN + 1, "inflates beyond 65536"),
        (64 << 20, "inflates beyond 65536"),
        (GRAIN - 1, "inflates to 65535 bytes"),
    ] {
        let data = vec![b'x'; length];
        let mut bomb = vec![0; compressor.zlib_compress_bound(length)];
        let packed = compressor.zlib_compress(&data, &mut bomb).unwrap();
        bomb.truncate(packed);
        // The first grain is replaced, and all behind it moves: the tables are at the end
        // and stay right if the new grain takes as much room.
        let stream = stream_vmdk();
        let room = le32(&stream, 2568);
        if bomb.len() > room {
            // A longer bomb goes to the end, in front of nothing: the entry is redirected.
            let mut bytes = stream.clone();
            let at = bytes.len() - 1536;
            let tail = bytes.split_off(at);
            let grain = bytes.len();
            bytes.extend([0; 8]);
            bytes.extend((bomb.len() as u32).to_le_bytes());
            bytes.extend(&bomb);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
            bytes.extend(tail);
            let footer = bytes.len() - 1024;
            let directory = le32(&bytes, footer + 56) * SECTOR;
            let table = le32(&bytes, directory) * SECTOR;
            let bytes = with(bytes, table, &((grain / SECTOR) as u32).to_le_bytes());
            let error = refused(Format::Vmdk, &bytes, "long bomb");
            assert!(error.to_string().contains(words), "{error}");
        } else {
            let bytes = with(stream, 2568, &(bomb.len() as u32).to_le_bytes());
            let error = refused(Format::Vmdk, &with(bytes, 2572, &bomb), "bomb");
            assert!(error.to_string().contains(words), "{error}");
        }

        let mut bomb = vec![0; compressor.deflate_compress_bound(length)];
        let stored = compressor.deflate_compress(&data, &mut bomb).unwrap();
        let packed = packed_qcow2();
        let (_, l2) = qcow2_tables(&packed);
        let at = be64(&packed, l2) & ((1 << 54) - 1);
        if stored < 20_000 {
            let more = ((at + stored - 1) / 512 - at / 512) as u64;
            let entry = (1 << 62) | (more << 54) | at as u64;
            let bytes = with(packed, l2, &entry.to_be_bytes());
            let error = refused(Format::Qcow2, &with(bytes, at, &bomb[..stored]), "bomb");
            assert!(error.to_string().contains("cluster inflates"), "{error}");
        }
    }
}

#[test]
fn features_that_are_not_done_are_refused_by_name() {
    let plain = plain_qcow2();
    let version2 = |bytes: Vec<u8>| with(bytes, 4, &2u32.to_be_bytes());
    let feature = |bit: u32| with(plain.clone(), 72, &(1u64 << bit).to_be_bytes());
    // A feature name table: extension 0x6803f857 with one entry for incompatible bit 40.
    let mut named = feature(40);
    let mut entry = vec![0u8; 48];
    entry[1] = 40;
    entry[2..12].copy_from_slice(b"time trips");
    named = with(named, 104, &0x6803_f857u32.to_be_bytes());
    named = with(named, 108, &48u32.to_be_bytes());
    named = with(named, 112, &entry);
    let mut zstd = feature(3);
    zstd = with(zstd, 100, &112u32.to_be_bytes());
    zstd = with(zstd, 104, &[1]);
    for (bytes, words) in [
        (
            with(plain.clone(), 4, &4u32.to_be_bytes()),
            "qcow2 version 4",
        ),
        (
            with(plain.clone(), 32, &1u32.to_be_bytes()),
            "AES encryption",
        ),
        (
            version2(with(plain.clone(), 32, &2u32.to_be_bytes())),
            "LUKS encryption",
        ),
        (feature(2), "external data file"),
        (feature(4), "extended L2"),
        (feature(41), "incompatible feature bit 41"),
        (named, "\"time trips\" (bit 40)"),
        (zstd, "zstd"),
    ] {
        let error = refused(Format::Qcow2, &bytes, words);
        assert!(matches!(error, DiskError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // Not closed properly, or marked corrupt: read all the same, and said.
    for bit in [0, 1] {
        let image = open_bytes(Format::Qcow2, &feature(bit)).unwrap();
        assert_eq!(image.warnings().len(), 1);
        assert!(read_all(image.as_ref()).is_ok());
    }
}

#[test]
fn a_backing_file_of_any_kind_is_refused_by_its_name() {
    let plain = plain_qcow2();
    for name in [
        "base.qcow2",
        "/etc/shadow",
        "nbd://host/x",
        "json:{\"driver\":\"raw\"}",
    ] {
        let bytes = with(plain.clone(), 8, &512u64.to_be_bytes());
        let bytes = with(bytes, 16, &(name.len() as u32).to_be_bytes());
        let error = refused(Format::Qcow2, &with(bytes, 512, name.as_bytes()), name);
        assert!(
            matches!(&error, DiskError::BackingFile { backing, .. } if backing == name),
            "{error}"
        );
    }
    for text in [
        "# Disk DescriptorFile\nversion=1\nparentCID=1a2b3c4d\nparentFileNameHint=\"base.vmdk\"\n\
         RW 8 FLAT \"image\" 0\n",
        "# Disk DescriptorFile\nversion=1\nparentCID=1a2b3c4d\nRW 8 FLAT \"image\" 0\n",
    ] {
        let error = refused(Format::Vmdk, text.as_bytes(), "parent");
        assert!(matches!(error, DiskError::BackingFile { .. }), "{error}");
    }
    let data = sample();
    let child = descriptor("monolithicSparse", data.len() / 512, "image").replace(
        "parentCID=ffffffff",
        "parentCID=00000001\nparentFileNameHint=\"up.vmdk\"",
    );
    let error = refused(
        Format::Vmdk,
        &build_vmdk(Vmdk::Sparse, &data, &child),
        "child",
    );
    assert!(
        matches!(&error, DiskError::BackingFile { backing, .. } if backing == "up.vmdk"),
        "{error}"
    );
}

/// A folder with a secret beside it, and a descriptor in it.
fn folder_with(extents: &str) -> (tempfile::TempDir, SourceFolder) {
    let root = tempfile::tempdir().unwrap();
    let inner = root.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(root.path().join("secret.raw"), vec![1; 4096]).unwrap();
    std::fs::write(inner.join("four.raw"), vec![2; 2048]).unwrap();
    symlink("../secret.raw", inner.join("link.raw")).unwrap();
    symlink(
        root.path().join("secret.raw"),
        inner.join("absolute-link.raw"),
    )
    .unwrap();
    symlink("four.raw", inner.join("inside.raw")).unwrap();
    let text =
        format!("# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\n{extents}");
    std::fs::write(inner.join("disk.vmdk"), text).unwrap();
    let folder = SourceFolder::open(&inner).unwrap();
    (root, folder)
}

#[test]
fn extents_outside_the_folder_are_never_opened() {
    let root = tempfile::tempdir().unwrap();
    let absolute = root.path().join("x.raw");
    std::fs::write(&absolute, vec![0; 512]).unwrap();
    for name in [
        "../secret.raw",
        "sub/../../secret.raw",
        "link.raw",
        "absolute-link.raw",
        "/etc/passwd",
        text(&absolute),
    ] {
        for kind in ["FLAT", "SPARSE", "VMFS"] {
            let (_root, folder) = folder_with(&format!("RW 1 {kind} \"{name}\" 0\n"));
            match open(&folder, "disk.vmdk", None) {
                Err(DiskError::OutsideFolder { path, .. }) => assert_eq!(path, name),
                Err(error) => panic!("{kind} {name}: {error}"),
                Ok(_) => panic!("{kind} {name} was opened"),
            }
        }
    }
    let (_root, folder) = folder_with("RW 4 FLAT \"inside.raw\" 0\n");
    assert!(open(&folder, "disk.vmdk", None).is_ok());
    assert!(matches!(
        open(&folder, "../inner/disk.vmdk", None),
        Err(DiskError::OutsideFolder { .. })
    ));
    assert!(matches!(
        open(&folder, "link.raw", Some(Format::Raw)),
        Err(DiskError::OutsideFolder { .. })
    ));
}

#[test]
fn missing_short_and_long_extents() {
    let (_root, folder) = folder_with("RW 4 FLAT \"gone.raw\" 0\n");
    match open(&folder, "disk.vmdk", None) {
        Err(DiskError::NotFound { path }) => assert!(path.ends_with("inner/gone.raw"), "{path}"),
        other => panic!("{:?}", other.err()),
    }
    for short in ["RW 5 FLAT \"four.raw\" 0\n", "RW 2 FLAT \"four.raw\" 3\n"] {
        let (_root, folder) = folder_with(short);
        match open(&folder, "disk.vmdk", None) {
            Err(DiskError::Truncated { file, size, .. }) => {
                assert!(file.ends_with("four.raw"));
                assert_eq!(size, 2048);
            }
            other => panic!("{:?}", other.err()),
        }
    }
    let (_root, folder) = folder_with("RW 3 FLAT \"four.raw\" 0\n");
    let image = open(&folder, "disk.vmdk", None).unwrap();
    assert_eq!(image.size(), 3 * 512);
    assert_eq!(image.warnings().len(), 1);
    assert!(
        image.warnings()[0].contains("the rest is ignored"),
        "{:?}",
        image.warnings()
    );

    // A sparse extent whose own header disagrees.
    let inner = Path::new(folder.path());
    let data = sample();
    let sectors = data.len() / 512;
    std::fs::write(inner.join("s.vmdk"), build_vmdk(Vmdk::Sparse, &data, "")).unwrap();
    for (declared, good) in [(sectors, true), (sectors - 8, true), (sectors + 1, false)] {
        std::fs::write(
            inner.join("disk.vmdk"),
            format!("# Disk DescriptorFile\nRW {declared} SPARSE \"s.vmdk\"\n"),
        )
        .unwrap();
        match open(&folder, "disk.vmdk", None) {
            Ok(image) => {
                assert!(good);
                assert_eq!(image.size(), declared as u64 * 512);
                assert_eq!(image.warnings().is_empty(), declared == sectors);
                read_all(image.as_ref()).unwrap();
            }
            Err(DiskError::Corrupt { offset: 12, .. }) => assert!(!good),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Several extents with offsets, zeros between, CRLF and padding: all of it is the disk.
#[test]
fn a_disk_of_many_pieces_is_put_together_right() {
    let folder = tempfile::tempdir().unwrap();
    let one = noise(1, 4096);
    let two = noise(2, 8192);
    std::fs::write(folder.path().join("eins ä.raw"), &one).unwrap();
    std::fs::write(folder.path().join("two.raw"), &two).unwrap();
    let mut text = b"# Disk DescriptorFile\r\nversion=1\r\nparentCID=ffffffff\r\n\
        createType=\"custom\"\r\n# comment\r\nRW 8 FLAT \"eins \xc3\xa4.raw\" 0\r\nRW 3 ZERO\r\n\
        RW 4 VMFS \"two.raw\" 2\r\nRDONLY 2 FLAT \"two.raw\" 14\r\n"
        .to_vec();
    text.resize(2048, 0);
    std::fs::write(folder.path().join("disk.vmdk"), text).unwrap();
    let image = open(
        &SourceFolder::open(folder.path()).unwrap(),
        "disk.vmdk",
        None,
    )
    .unwrap();
    let mut expected = one;
    expected.extend([0; 3 * 512]);
    expected.extend(&two[1024..3072]);
    expected.extend(&two[7168..8192]);
    let mut read = vec![0; image.size() as usize];
    image.read_at(0, &mut read).unwrap();
    assert!(read == expected);
    let names: Vec<_> = image
        .files()
        .iter()
        .map(|file| file.name().to_owned())
        .collect();
    assert_eq!(names, ["disk.vmdk", "eins ä.raw", "two.raw"]);
    for offset in [4090u64, 4096 + 1500, 7000] {
        let mut part = vec![0; 700];
        image.read_at(offset, &mut part).unwrap();
        assert!(part == expected[offset as usize..offset as usize + 700]);
    }
    let mut beyond = [0; 2];
    assert!(matches!(
        image.read_at(image.size() - 1, &mut beyond),
        Err(DiskError::OutOfRange { .. })
    ));
}

/// A huge virtual disk in a tiny file costs nothing to open and to walk.
#[test]
fn a_huge_empty_disk_is_only_a_number() {
    // 2 MiB clusters: an L1 entry maps 512 GiB, so 8 KiB of table map half an exbibyte.
    let mut bytes = vec![0; 2 << 20];
    let size = 1024u64 << 39;
    for (at, value) in [
        (0, b"QFI\xfb".to_vec()),
        (4, 2u32.to_be_bytes().to_vec()),
        (20, 21u32.to_be_bytes().to_vec()),
        (24, size.to_be_bytes().to_vec()),
        (36, 1024u32.to_be_bytes().to_vec()),
        (40, (2u64 << 20).to_be_bytes().to_vec()),
    ] {
        bytes = with(bytes, at, &value);
    }
    bytes.resize((2 << 20) + 8192, 0);
    let image = open_bytes(Format::Qcow2, &bytes).unwrap();
    assert_eq!(image.size(), size);
    assert_eq!(read_all(image.as_ref()).unwrap(), 0);
    assert_eq!(image.extents(0, size).unwrap().len(), 1);
}
