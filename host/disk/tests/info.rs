//! What is reported about an image, in the form that programs get.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests"
)]

mod common;

use cofferdam_disk::{
    CancelFlag, Format, Image, NoProgress, SourceFolder, compare, map, open, probe,
};
use common::*;
use serde_json::json;

#[test]
fn info_names_format_files_and_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let mut flat = vec![0; 1 << 20];
    flat[440..444].copy_from_slice(&0x1234_5678u32.to_le_bytes());
    flat[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0, 0]);
    flat[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(folder.path().join("d-flat.vmdk"), &flat).unwrap();
    let text = "# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicFlat\"\nRW 2048 FLAT \"d-flat.vmdk\" 0\n";
    std::fs::write(folder.path().join("d.vmdk"), text).unwrap();
    let source = SourceFolder::open(folder.path()).unwrap();
    let mut info = serde_json::to_value(open(&source, "d.vmdk", None).unwrap().info()).unwrap();
    // Depends on the file system.
    for file in info["files"].as_array_mut().unwrap() {
        assert!(file.as_object_mut().unwrap().remove("allocated").is_some());
    }
    assert!(info.as_object_mut().unwrap().remove("allocated").is_some());
    assert_eq!(
        info,
        json!({
            "file": folder.path().join("d.vmdk"),
            "format": "vmdk",
            "variant": "monolithicFlat",
            "virtual_size": 1_048_576,
            "files": [
                {"name": "d.vmdk", "size": text.len()},
                {"name": "d-flat.vmdk", "size": 1_048_576},
            ],
            "partition_table": {
                "kind": "mbr",
                "disk_id": "12345678",
                "sector_size": 512,
                "partitions": [{
                    "number": 1,
                    "start": 4096,
                    "length": 8192,
                    "type_id": "0x83",
                    "uuid": "12345678-01",
                    "bootable": true,
                }],
            },
        })
    );
}

/// The content decides, not the name; what is not known is raw.
#[test]
fn formats_are_told_by_their_content() {
    let folder = tempfile::tempdir().unwrap();
    let source = SourceFolder::open(folder.path()).unwrap();
    for (name, bytes, format) in [
        ("a.vmdk", b"QFI\xfb and more".to_vec(), Format::Qcow2),
        ("b.qcow2", b"KDMV".to_vec(), Format::Vmdk),
        (
            "c.raw",
            b"# Disk DescriptorFile\nversion=1\n".to_vec(),
            Format::Vmdk,
        ),
        ("d.qcow2", b"anything".to_vec(), Format::Raw),
        ("e", vec![], Format::Raw),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        assert_eq!(probe(&source, name).unwrap(), format, "{name}");
    }
}

#[test]
fn map_and_compare_report_as_data() {
    let folder = tempfile::tempdir().unwrap();
    write_raw(
        &folder.path().join("a"),
        3 << 20,
        &[(1 << 20, vec![1; 1 << 20])],
    );
    write_raw(
        &folder.path().join("b"),
        2 << 20,
        &[(1 << 20, vec![1; 1 << 20])],
    );
    write_raw(
        &folder.path().join("c"),
        3 << 20,
        &[(1 << 20, vec![1; (1 << 20) + 1])],
    );
    let source = SourceFolder::open(folder.path()).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| open(&source, name, Some(Format::Raw)).unwrap());
    let entries: Vec<_> = map(a.as_ref()).map(|entry| entry.unwrap()).collect();
    assert_eq!(
        serde_json::to_value(entries).unwrap(),
        json!([
            {"offset": 0, "length": 1_048_576, "kind": "hole"},
            {"offset": 1_048_576, "length": 1_048_576, "kind": "data"},
            {"offset": 2_097_152, "length": 1_048_576, "kind": "hole"},
        ])
    );
    let compare = |x: &dyn Image, y: &dyn Image| {
        serde_json::to_value(compare(x, y, &NoProgress, &CancelFlag::new()).unwrap()).unwrap()
    };
    let (mib2, mib3) = (2 << 20, 3 << 20);
    assert_eq!(
        compare(a.as_ref(), b.as_ref()),
        json!({"identical": true, "size_a": mib3, "size_b": mib2})
    );
    for (x, y, size) in [(&a, &c, mib3), (&b, &c, mib2)] {
        assert_eq!(
            compare(x.as_ref(), y.as_ref()),
            json!({"identical": false, "first_difference": mib2, "size_a": size, "size_b": mib3})
        );
    }
}
