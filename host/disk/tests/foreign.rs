//! Containers that are not read must not pass for raw disks.

use cofferdam_disk::{DiskError, Format, Image, open_path};

#[test]
fn a_container_is_named_and_opens_only_as_the_raw_bytes_it_was_said_to_be() {
    let cases: [(&str, usize, &[u8]); 9] = [
        ("VHDX", 0, b"vhdxfile"),
        ("VHD", 0, b"conectix"),
        ("VHD format (fixed", 3584, b"conectix"),
        ("VDI", 0x40, &[0x7f, 0x10, 0xda, 0xbe]),
        ("gzip", 0, &[0x1f, 0x8b, 8]),
        ("xz", 0, b"\xfd7zXZ\0"),
        ("zstd", 0, &[0x28, 0xb5, 0x2f, 0xfd]),
        ("ZIP", 0, b"PK\x03\x04"),
        ("tar", 257, b"ustar"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    for (name, at, magic) in cases {
        let mut bytes = vec![0; 4096];
        bytes[at..at + magic.len()].copy_from_slice(magic);
        std::fs::write(&path, bytes).unwrap();
        match open_path(&path, None) {
            Err(DiskError::Unsupported { what, .. }) => assert!(what.contains(name), "{what}"),
            Err(other) => panic!("{name}: {other}"),
            Ok(_) => panic!("{name} passed for a raw disk"),
        }
        assert_eq!(open_path(&path, Some(Format::Raw)).unwrap().size(), 4096);
    }
}
