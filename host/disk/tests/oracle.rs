//! Against qemu-img, both ways: what it writes is read the same here, what is written here
//! is read the same there and passes its check.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod common;

use cofferdam_disk::{
    CancelFlag, Compression, ConvertOptions, Format, Image, NoProgress, convert, open_path,
};
use common::*;
use std::path::Path;

/// Formats and options that qemu-img writes and this crate reads, by a name for messages:
/// format, options, whether compressed.
const WRITTEN_BY_QEMU: [(&str, &str, &str, bool); 11] = [
    ("raw", "raw", "", false),
    ("qcow2 v3", "qcow2", "compat=1.1", false),
    ("qcow2 v2", "qcow2", "compat=0.10", false),
    ("qcow2 zlib", "qcow2", "", true),
    ("qcow2 4 KiB clusters", "qcow2", "cluster_size=4096", false),
    (
        "qcow2 2 MiB clusters zlib",
        "qcow2",
        "cluster_size=2M",
        true,
    ),
    (
        "monolithicSparse",
        "vmdk",
        "subformat=monolithicSparse",
        false,
    ),
    ("monolithicFlat", "vmdk", "subformat=monolithicFlat", false),
    (
        "twoGbMaxExtentSparse",
        "vmdk",
        "subformat=twoGbMaxExtentSparse",
        false,
    ),
    (
        "twoGbMaxExtentFlat",
        "vmdk",
        "subformat=twoGbMaxExtentFlat",
        false,
    ),
    (
        "streamOptimized",
        "vmdk",
        "subformat=streamOptimized",
        false,
    ),
];

#[test]
fn what_qemu_img_writes_reads_the_same() {
    if !have_qemu_img() {
        return;
    }
    for (disk, size, content) in disks() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("disk.raw");
        write_raw(&raw, size, &content);
        let expected = open_path(&raw, Some(Format::Raw)).unwrap();
        for (name, format, options, compressed) in WRITTEN_BY_QEMU {
            let what = format!("{disk} as {name}");
            let sub = tempfile::tempdir_in(folder.path()).unwrap();
            let file = sub.path().join("image");
            let mut args = vec!["convert", "-f", "raw", "-O", format];
            if !options.is_empty() {
                args.extend(["-o", options]);
            }
            if compressed {
                args.push("-c");
            }
            args.extend([text(&raw), text(&file)]);
            qemu_img(&args);
            let image = open_path(&file, None).unwrap();
            assert_eq!(image.format().as_str(), format, "{what}");
            if format == "vmdk" {
                let info = image.info();
                assert_eq!(info.variant.as_deref(), Some(name), "{what}");
                assert!(info.warnings.is_empty(), "{what}: {:?}", info.warnings);
            }
            // QEMU knows whole sectors only, in raw files too.
            assert_eq!(image.size(), size.next_multiple_of(512), "{what}");
            assert_same(expected.as_ref(), image.as_ref(), &what);
            assert_pieces(image.as_ref(), &content, &what);
        }
    }
}

/// Reads around every piece of content with offsets and lengths that fit no structure.
fn assert_pieces(image: &dyn Image, content: &[(u64, Vec<u8>)], what: &str) {
    for (offset, bytes) in content {
        for (skip, length) in [
            (0, 1),
            (1, 511),
            (3, bytes.len()),
            (bytes.len() / 2, 70_001),
        ] {
            let skip = skip.min(bytes.len());
            let end = (skip + length).min(bytes.len());
            let mut read = vec![0xee; end - skip];
            image.read_at(offset + skip as u64, &mut read).unwrap();
            assert!(
                read == bytes[skip..end],
                "{what}: {length} bytes at {offset}+{skip}"
            );
        }
    }
}

#[test]
fn what_is_written_here_qemu_img_reads_the_same() {
    if !have_qemu_img() {
        return;
    }
    let targets = [
        ("raw", Format::Raw, Compression::None),
        ("qcow2", Format::Qcow2, Compression::None),
        ("qcow2 zlib", Format::Qcow2, Compression::Zlib(1)),
        ("qcow2 zlib 9", Format::Qcow2, Compression::Zlib(9)),
    ];
    for (disk, size, content) in disks() {
        let folder = tempfile::tempdir().unwrap();
        let raw = folder.path().join("disk.raw");
        write_raw(&raw, size, &content);
        let source = open_path(&raw, Some(Format::Raw)).unwrap();
        for (name, format, compression) in targets {
            let what = format!("{disk} to {name}");
            let target = folder.path().join("target");
            let options = ConvertOptions {
                format,
                compression,
                threads: 3,
            };
            let report = convert_to(source.as_ref(), &target, &options);
            assert_eq!(report.file_size, target.metadata().unwrap().len(), "{what}");
            if format == Format::Raw {
                assert_eq!(report.virtual_size, size, "{what}");
            }
            qemu_img(&[
                "compare",
                "-f",
                "raw",
                "-F",
                format.as_str(),
                text(&raw),
                text(&target),
            ]);
            if format == Format::Qcow2 {
                qemu_img(&["check", "-f", "qcow2", text(&target)]);
            }
            let read = open_path(&target, Some(format)).unwrap();
            assert_same(source.as_ref(), read.as_ref(), &what);
            std::fs::remove_file(&target).unwrap();
        }
    }
}

fn convert_to(
    source: &dyn Image,
    target: &Path,
    options: &ConvertOptions,
) -> cofferdam_disk::ConvertReport {
    convert(source, target, options, &NoProgress, &CancelFlag::new()).unwrap()
}

/// Every readable form to every writable one, on a disk with a bit of everything.
#[test]
fn every_source_converts_to_every_target() {
    if !have_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.raw");
    let data = sample();
    write_raw(&raw, data.len() as u64, &[(0, data)]);
    for (_, format, options, compressed) in WRITTEN_BY_QEMU {
        let sub = tempfile::tempdir_in(folder.path()).unwrap();
        let file = sub.path().join("image");
        let mut args = vec!["convert", "-f", "raw", "-O", format];
        if !options.is_empty() {
            args.extend(["-o", options]);
        }
        if compressed {
            args.push("-c");
        }
        args.extend([text(&raw), text(&file)]);
        qemu_img(&args);
        let source = open_path(&file, None).unwrap();
        for (format, compression) in [
            (Format::Raw, Compression::None),
            (Format::Qcow2, Compression::None),
            (Format::Qcow2, Compression::Zlib(6)),
        ] {
            let target = sub.path().join("target");
            let options = ConvertOptions {
                format,
                compression,
                threads: 2,
            };
            convert_to(source.as_ref(), &target, &options);
            qemu_img(&[
                "compare",
                "-F",
                format.as_str(),
                "-f",
                "raw",
                text(&raw),
                text(&target),
            ]);
            if format == Format::Qcow2 {
                qemu_img(&["check", "-f", "qcow2", text(&target)]);
            }
            std::fs::remove_file(&target).unwrap();
        }
    }
}

/// Compressed data of several regions, mixed with what does not compress, so that reference
/// counts of shared clusters and of regions that end early are all in the file.
#[test]
fn shared_clusters_are_counted_right() {
    if !have_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.raw");
    let mut content = Vec::new();
    for index in 0..40u64 {
        let bytes = if index % 3 == 2 {
            noise(index, 900_000)
        } else {
            prose(index, 1_500_000)
        };
        content.push((index * 1_700_000, bytes));
    }
    write_raw(&raw, 80 * MIB, &content);
    let source = open_path(&raw, Some(Format::Raw)).unwrap();
    let target = folder.path().join("target");
    let options = ConvertOptions {
        format: Format::Qcow2,
        compression: Compression::Zlib(3),
        threads: 4,
    };
    convert_to(source.as_ref(), &target, &options);
    qemu_img(&["check", "-f", "qcow2", text(&target)]);
    qemu_img(&[
        "compare",
        "-f",
        "raw",
        "-F",
        "qcow2",
        text(&raw),
        text(&target),
    ]);
}

/// VMware's own form of streamOptimized, tables at the end, which qemu-img reads only.
#[test]
fn a_stream_with_a_footer_reads_as_in_qemu_img() {
    if !have_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = sample();
    for (form, name) in [
        (Vmdk::Stream, "streamOptimized"),
        (Vmdk::Sparse, "monolithicSparse"),
    ] {
        let file = folder.path().join(format!("{name}.vmdk"));
        let text_part = descriptor(name, data.len() / 512, &format!("{name}.vmdk"));
        std::fs::write(&file, build_vmdk(form, &data, &text_part)).unwrap();
        let raw = folder.path().join("disk.raw");
        write_raw(&raw, data.len() as u64, &[(0, data.clone())]);
        qemu_img(&[
            "compare",
            "-f",
            "raw",
            "-F",
            "vmdk",
            text(&raw),
            text(&file),
        ]);
        let image = open_path(&file, None).unwrap();
        assert_eq!(image.info().variant.as_deref(), Some(name));
        assert_same(
            open_path(&raw, Some(Format::Raw)).unwrap().as_ref(),
            image.as_ref(),
            name,
        );
    }
}

/// Snapshots inside the image do not matter: the active state is read.
#[test]
fn internal_snapshots_leave_the_active_state() {
    if !have_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (raw, file) = (
        folder.path().join("disk.raw"),
        folder.path().join("disk.qcow2"),
    );
    write_raw(&raw, MIB, &[(0, prose(1, MIB as usize))]);
    for compat in ["compat=1.1", "compat=0.10"] {
        qemu_img(&[
            "convert",
            "-O",
            "qcow2",
            "-o",
            compat,
            text(&raw),
            text(&file),
        ]);
        qemu_img(&["snapshot", "-c", "before", text(&file)]);
        let status = std::process::Command::new("qemu-io")
            .args([
                "-f",
                "qcow2",
                "-c",
                "write -P 0x77 64k 128k",
                "-c",
                "write -z 512k 64k",
            ])
            .arg(&file)
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success());
        let mut expected = std::fs::read(&raw).unwrap();
        expected[65_536..3 * 65_536].fill(0x77);
        expected[512 * 1024..576 * 1024].fill(0);
        let image = open_path(&file, None).unwrap();
        let mut read = vec![0; MIB as usize];
        image.read_at(0, &mut read).unwrap();
        assert!(read == expected, "{compat}");
        std::fs::remove_file(&file).unwrap();
    }
}

/// Real images with what is not done here: refused by name, not misread.
#[test]
fn features_that_qemu_img_can_write_are_refused_by_name() {
    if !have_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("base.raw");
    write_raw(&raw, MIB, &[(0, prose(1, 300_000))]);
    let external = format!("data_file={}", text(&folder.path().join("data.raw")));
    for (format, args, words) in [
        ("qcow2", &["-o", "extended_l2=on"][..], "extended L2"),
        ("qcow2", &["-o", "compression_type=zstd"], "zstd"),
        ("qcow2", &["-o", external.as_str()], "external data file"),
        (
            "qcow2",
            &[
                "--object",
                "secret,id=s,data=x",
                "-o",
                "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10",
            ],
            "LUKS encryption",
        ),
        (
            "qcow2",
            &["-F", "raw", "-b", "base.raw"],
            "backing file \"base.raw\"",
        ),
    ] {
        let file = folder.path().join("image");
        let mut all = vec!["create", "-q", "-f", format];
        all.extend(args);
        all.extend([text(&file), "1M"]);
        qemu_img(&all);
        let error = open_path(&file, None).err().unwrap().to_string();
        assert!(error.contains(words), "{args:?}: {error}");
        std::fs::remove_file(&file).unwrap();
    }
    let base = folder.path().join("base.vmdk");
    qemu_img(&["convert", "-O", "vmdk", text(&raw), text(&base)]);
    let child = folder.path().join("child.vmdk");
    qemu_img(&[
        "create",
        "-q",
        "-f",
        "vmdk",
        "-F",
        "vmdk",
        "-b",
        "base.vmdk",
        text(&child),
    ]);
    let error = open_path(&child, None).err().unwrap().to_string();
    assert!(error.contains("backing file \"base.vmdk\""), "{error}");
}
