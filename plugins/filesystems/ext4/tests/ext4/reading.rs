//! What is read, against what debugfs put there.

use cofferdam_sdk::ErrorCode;
use cofferdam_sdk::filesystem::FileSystem;
use cofferdam_sdk::types::FileKind;
use plugin_ext4::Ext4;

use crate::common::*;

#[test]
fn identity_is_blkids() {
    if !engines("identity_is_blkids") {
        return;
    }
    for (name, arguments) in PROFILES {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-L", "root fs"]).collect();
        let image = Image::new(16 * MIB, &arguments);
        let found = Ext4::probe(&image.session(true)).unwrap().unwrap();
        let expected = match *name {
            "ext3" | "ext3, 1 KiB blocks" => "ext3",
            "ext2, 1 KiB blocks" => "ext2",
            _ => "ext4",
        };
        assert_eq!(found.kind, expected, "{name}");
        assert_eq!(
            found.uuid.as_deref(),
            Some("6f3a0f4e-7d1d-4c53-9d9d-5f7d2a3f0c11")
        );
        assert_eq!(found.label.as_deref(), Some("root fs"));
        assert!(found.clean);
    }
    let empty = Image::new(MIB, &["-O", "journal_dev"]);
    assert_eq!(
        Ext4::probe(&empty.session(true)).unwrap(),
        None,
        "a journal device"
    );
    std::fs::write(&empty.path, vec![0; 4096]).unwrap();
    assert_eq!(Ext4::probe(&empty.session(true)).unwrap(), None);
    std::fs::write(&empty.path, b"short").unwrap();
    assert_eq!(Ext4::probe(&empty.session(true)).unwrap(), None);
    assert_eq!(
        empty.try_mount(false).err().unwrap().code,
        ErrorCode::Invalid
    );
}

#[test]
fn metadata_is_what_debugfs_wrote() {
    if !engines("metadata_is_what_debugfs_wrote") {
        return;
    }
    for (name, arguments) in PROFILES {
        let image = Image::new(32 * MIB, arguments);
        let content = image.scratch("content", &pattern(1, 70_000));
        let small = image.scratch("small", b"a few bytes\n");
        let acl = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x07\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x07\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff";
        let acl_file = image.scratch("acl", acl);
        let answer = image.debugfs(&[
            &format!("write {} file", content.display()),
            &format!("write {} small", small.display()),
            "sif file mode 0104711",
            "sif file uid 1234",
            "sif file gid 4321",
            "sif file mtime @1000000000",
            "sif file atime @2000000000",
            "sif file ctime @1500000000",
            "mknod null c 1 3",
            "mknod disk b 8 1",
            "mknod pipe p",
            "symlink link small",
            "mkdir dir",
            "ea_set file user.one first",
            "ea_set file security.selinux label",
            &format!(
                "ea_set -f {} file system.posix_acl_access",
                acl_file.display()
            ),
        ]);
        let mut fs = image.mount(false);
        let file = fs.stat("/file").unwrap();
        assert_eq!(
            (
                file.kind, file.mode, file.owner, file.group, file.size, file.links
            ),
            (FileKind::Regular, 0o4711, 1234, 4321, 70_000, 1),
            "{name}: {answer}"
        );
        assert_eq!(
            (
                file.modified.seconds,
                file.accessed.seconds,
                file.changed.seconds
            ),
            (1_000_000_000, 2_000_000_000, 1_500_000_000)
        );
        let number = image.inode("/file");
        assert!(
            number.contains(&format!("Inode: {} ", file.inode)),
            "{number}"
        );
        assert_eq!(read(&mut fs, "/file"), pattern(1, 70_000), "{name}");
        assert_eq!(fs.read_at("/file", 69_990, 100).unwrap().len(), 10);
        assert!(fs.read_at("/file", 70_000, 100).unwrap().is_empty());
        assert!(fs.read_at("/file", u64::MAX, 100).unwrap().is_empty());
        assert_eq!(read(&mut fs, "/small"), b"a few bytes\n");
        let nodes = [
            ("/null", FileKind::CharacterDevice, Some((1, 3))),
            ("/disk", FileKind::BlockDevice, Some((8, 1))),
            ("/pipe", FileKind::Fifo, None),
            ("/link", FileKind::Symlink, None),
            ("/dir", FileKind::Directory, None),
        ];
        let listed = list(&mut fs, "/", 3).unwrap();
        for (path, kind, device) in nodes {
            let found = fs.stat(path).unwrap();
            assert_eq!((found.kind, found.device), (kind, device), "{name}: {path}");
            assert!(
                listed.contains(&(path[1..].to_string(), kind)),
                "{name}: {listed:?}"
            );
        }
        assert_eq!(fs.read_link("/link").unwrap(), "small");
        assert_eq!(
            fs.get_xattr("/file", "user.one").unwrap(),
            b"first",
            "{name}: {answer}"
        );
        assert_eq!(fs.get_xattr("/file", "security.selinux").unwrap(), b"label");
        assert_eq!(
            fs.get_xattr("/file", "system.posix_acl_access").unwrap(),
            acl
        );
        let missing = fs.get_xattr("/file", "user.two").unwrap_err();
        assert_eq!(missing.code, ErrorCode::NotFound);
        for wrong in [
            fs.read_at("/dir", 0, 1).unwrap_err(),
            fs.read_link("/file").unwrap_err(),
            fs.list_directory("/file", "", 10).unwrap_err(),
            fs.stat("relative").unwrap_err(),
        ] {
            assert_eq!(wrong.code, ErrorCode::Invalid, "{wrong}");
        }
        assert_eq!(
            fs.stat("/file/below").unwrap_err().code,
            ErrorCode::NotFound
        );

        // Setting a list of access rights gives debugfs what it had given.
        drop(fs);
        let mut fs = image.mount(true);
        fs.set_xattr("/small", "system.posix_acl_access", Some(acl))
            .unwrap();
        fs.commit().unwrap();
        image.check(name);
        let back = image.scratch("back", b"");
        image.debugfs(&[&format!(
            "ea_get -f {} small system.posix_acl_access",
            back.display()
        )]);
        // Where an entry has no id, debugfs prints 0 and the kernel all ones.
        let told = std::fs::read(back).unwrap();
        let mut expected = acl.to_vec();
        for entry in expected[4..]
            .chunks_mut(8)
            .filter(|entry| entry[4..] == [0xff; 4])
        {
            entry[4..].fill(0);
        }
        assert_eq!(told, expected, "{name}");
    }
}

#[test]
fn free_space_is_dumpe2fs_s() {
    if !engines("free_space_is_dumpe2fs_s") {
        return;
    }
    for (name, arguments) in PROFILES {
        let image = Image::new(32 * MIB, arguments);
        let mut fs = image.mount(true);
        fs.create("/f", &attributes(0o644)).unwrap();
        fs.write_at("/f", 0, &pattern(1, 1_000_000)).unwrap();
        fs.commit().unwrap();
        let space = fs.free_space().unwrap();
        let told = image.superblock();
        let number = |key: &str| -> u64 {
            let line = told.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("{key} in {told}"))
                .trim()
                .parse()
                .unwrap()
        };
        assert_eq!(space.blocks, number("Block count:"), "{name}");
        assert_eq!(
            space.free_blocks,
            number("Free blocks:") - number("Reserved block count:"),
            "{name}"
        );
        assert_eq!(space.inodes, number("Inode count:"));
        assert_eq!(space.free_inodes, number("Free inodes:"));
        assert_eq!(u64::from(space.block_size), number("Block size:"));
    }
}
