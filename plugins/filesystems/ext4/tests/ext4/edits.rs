//! Every operation on every feature set, with e2fsck after each and debugfs as a second
//! reader.

use crate::common::*;
use cofferdam_sdk::ErrorCode;
use cofferdam_sdk::filesystem::FileSystem;
use cofferdam_sdk::types::{Attributes, FileKind};

/// One walk through all the operations.
fn everything(name: &str, arguments: &[&str]) {
    let mut lab = Lab::new(name, 96 * MIB, arguments);
    let bs = u64::from(lab.fs.free_space().unwrap().block_size);
    lab.step("make a directory", |fs| {
        fs.make_directory("/etc", &attributes(0o755))
    });
    lab.step("create", |fs| {
        fs.create(
            "/etc/fstab",
            &Attributes {
                mode: 0o640,
                owner: 1000,
                group: 70_000,
                label: Some("system_u:object_r:etc_t:s0".to_string()),
            },
        )
    });
    let first = pattern(1, 100);
    lab.step("write a little", |fs| fs.write_at("/etc/fstab", 0, &first));
    let before = lab.fs.stat("/etc/fstab").unwrap();
    assert_eq!(
        (before.mode, before.owner, before.group),
        (0o640, 1000, 70_000)
    );
    assert_eq!(
        (before.kind, before.links, before.size),
        (FileKind::Regular, 1, 100)
    );
    assert_eq!(
        lab.fs.get_xattr("/etc/fstab", "security.selinux").unwrap(),
        b"system_u:object_r:etc_t:s0\0"
    );

    // An edit keeps the inode and what belongs to it.
    let second = pattern(2, 3 * bs as usize + 17);
    lab.step("write more", |fs| fs.write_at("/etc/fstab", 0, &second));
    let after = lab.fs.stat("/etc/fstab").unwrap();
    assert_eq!(
        (after.inode, after.mode, after.owner, after.group),
        (before.inode, before.mode, before.owner, before.group)
    );
    assert!(
        lab.fs
            .list_xattrs("/etc/fstab")
            .unwrap()
            .contains(&"security.selinux".to_string())
    );
    assert_eq!(lab.image.cat("/etc/fstab"), second);

    let mut content = second;
    lab.step("overwrite in the middle", |fs| {
        fs.write_at("/etc/fstab", bs - 5, b"0123456789")
    });
    content[bs as usize - 5..bs as usize + 5].copy_from_slice(b"0123456789");
    assert_eq!(lab.image.cat("/etc/fstab"), content);
    lab.step("cut", |fs| fs.truncate("/etc/fstab", bs + 3));
    content.truncate(bs as usize + 3);
    lab.step("extend", |fs| fs.truncate("/etc/fstab", 2 * bs + 9));
    content.resize(2 * bs as usize + 9, 0);
    assert_eq!(lab.image.cat("/etc/fstab"), content);
    assert_eq!(read(&mut lab.fs, "/etc/fstab"), content);
    lab.step("cut to nothing", |fs| fs.truncate("/etc/fstab", 0));
    assert!(lab.image.cat("/etc/fstab").is_empty());

    // Far growth leaves holes; the map gets all its levels.
    lab.step("create a sparse file", |fs| {
        fs.create("/sparse", &attributes(0o600))
    });
    let far = [
        0,
        11 * bs,
        13 * bs + 1,
        300 * bs,
        3000 * bs + 77,
        70_000 * bs + 5,
    ];
    for (seed, &at) in far.iter().enumerate() {
        let piece = pattern(seed as u64, 2000);
        lab.step("write far", |fs| fs.write_at("/sparse", at, &piece));
    }
    for (seed, &at) in far.iter().enumerate() {
        assert_eq!(
            lab.fs.read_at("/sparse", at, 2000).unwrap(),
            pattern(seed as u64, 2000)
        );
    }
    assert!(
        lab.fs
            .read_at("/sparse", 200 * bs, 5000)
            .unwrap()
            .iter()
            .all(|&b| b == 0)
    );
    for &size in far.iter().rev() {
        lab.step("cut the sparse file", |fs| fs.truncate("/sparse", size + 1));
        assert_eq!(lab.fs.stat("/sparse").unwrap().size, size + 1);
    }
    lab.step("extend the sparse file", |fs| {
        fs.truncate("/sparse", 5000 * bs)
    });
    lab.step("remove the sparse file", |fs| fs.remove("/sparse"));
    lab.fails("stat what is gone", ErrorCode::NotFound, |fs| {
        fs.stat("/sparse")
    });

    // A large file in pieces.
    let large = pattern(9, 9 * MIB as usize + 4321);
    lab.step("write a large file", |fs| {
        fs.create("/large", &attributes(0o644))?;
        write(fs, "/large", 0, &large)
    });
    assert_eq!(read(&mut lab.fs, "/large"), large);
    assert_eq!(lab.image.cat("/large"), large);

    // Names.
    lab.step("link", |fs| fs.link("/etc/fstab", "/etc/fstab.bak"));
    assert_eq!(lab.fs.stat("/etc/fstab").unwrap().links, 2);
    lab.step("rename within", |fs| {
        fs.rename("/etc/fstab.bak", "/etc/fstab.old")
    });
    lab.step("rename to the same inode", |fs| {
        fs.rename("/etc/fstab", "/etc/fstab.old")
    });
    assert_eq!(lab.fs.stat("/etc/fstab").unwrap().links, 2);
    lab.step("remove one name", |fs| fs.remove("/etc/fstab.old"));
    assert_eq!(lab.fs.stat("/etc/fstab").unwrap().links, 1);
    lab.step("make directories", |fs| {
        fs.make_directory("/a", &attributes(0o700))?;
        fs.make_directory("/a/b", &attributes(0o700))?;
        fs.make_directory("/c", &attributes(0o711))
    });
    lab.step("move a file over another", |fs| {
        fs.create("/a/b/new", &attributes(0o600))?;
        fs.write_at("/a/b/new", 0, b"new")?;
        fs.create("/c/old", &attributes(0o644))?;
        fs.write_at("/c/old", 0, &pattern(3, 9000))?;
        fs.rename("/a/b/new", "/c/old")
    });
    assert_eq!(lab.image.cat("/c/old"), b"new");
    lab.fails("move a directory into itself", ErrorCode::Invalid, |fs| {
        fs.rename("/a", "/a/b/a")
    });
    lab.step("move a directory", |fs| fs.rename("/a/b", "/c/b"));
    assert_eq!(lab.fs.stat("/a").unwrap().links, 2);
    assert_eq!(lab.fs.stat("/c").unwrap().links, 3);
    lab.fails("remove a full directory", ErrorCode::Conflict, |fs| {
        fs.remove("/c")
    });
    lab.fails("replace a directory", ErrorCode::Exists, |fs| {
        fs.rename("/c/old", "/a")
    });
    lab.step("remove a directory", |fs| fs.remove("/a"));
    lab.fails("create twice", ErrorCode::Exists, |fs| {
        fs.create("/c/old", &attributes(0o644))
    });
    lab.fails("create nowhere", ErrorCode::NotFound, |fs| {
        fs.create("/x/y", &attributes(0o644))
    });
    lab.step("a name of other bytes", |fs| {
        fs.create("/c/caf\\xe9", &attributes(0o644))
    });
    let names = list(&mut lab.fs, "/c", 1).unwrap();
    assert!(
        names.contains(&("caf\\xe9".to_string(), FileKind::Regular)),
        "{names:?}"
    );

    // Links.
    let slow = format!("/usr/{}", "x".repeat(100));
    for (path, target) in [("/fast", "../etc/fstab"), ("/slow", slow.as_str())] {
        lab.step("make a symbolic link", |fs| {
            fs.symlink(path, target, &attributes(0o777))
        });
        assert_eq!(lab.fs.read_link(path).unwrap(), target);
        assert_eq!(lab.fs.stat(path).unwrap().size, target.len() as u64);
    }
    lab.fails("go through a link", ErrorCode::Invalid, |fs| {
        fs.stat("/fast/x")
    });
    lab.step("remove links", |fs| {
        fs.remove("/fast")?;
        fs.remove("/slow")
    });

    // Attributes.
    lab.step("set attributes", |fs| {
        fs.set_attributes("/c/old", 0o4755, 0, 100_000)
    });
    let now = lab.fs.stat("/c/old").unwrap();
    assert_eq!((now.mode, now.owner, now.group), (0o4755, 0, 100_000));
    assert!(
        lab.image.inode("/c/old").contains("Mode:  04755"),
        "{}",
        lab.image.inode("/c/old")
    );
    let long = pattern(4, 700);
    for (name, value) in [
        ("user.short", b"1".as_slice()),
        ("trusted.long", &long),
        ("security.selinux", b"a:b:c:s0\0"),
        (
            "user.short",
            b"a value that is longer than the first one was",
        ),
    ] {
        lab.step("set an attribute", |fs| {
            fs.set_xattr("/c/old", name, Some(value))
        });
        assert_eq!(lab.fs.get_xattr("/c/old", name).unwrap(), value);
    }
    let mut names = lab.fs.list_xattrs("/c/old").unwrap();
    names.sort();
    assert_eq!(names, ["security.selinux", "trusted.long", "user.short"]);
    lab.step("remove an attribute", |fs| {
        fs.set_xattr("/c/old", "trusted.long", None)
    });
    lab.fails("remove it again", ErrorCode::NotFound, |fs| {
        fs.set_xattr("/c/old", "trusted.long", None)
    });
    lab.fails("set a wrong one", ErrorCode::Invalid, |fs| {
        fs.set_xattr("/c/old", "x.y", Some(b""))
    });
    lab.step("set one of a directory", |fs| {
        fs.set_xattr("/c", "user.d", Some(&long))
    });
    lab.step("remove what has attributes", |fs| fs.remove("/c/old"));

    // What a fresh reader sees.
    let mut fresh = lab.image.mount(false);
    assert_eq!(read(&mut fresh, "/large"), large);
    assert_eq!(fresh.get_xattr("/c", "user.d").unwrap(), long);
    assert_eq!(fresh.remove("/large").unwrap_err().code, ErrorCode::Denied);
    let identity = plugin_ext4::Ext4::probe(&lab.image.session(true))
        .unwrap()
        .unwrap();
    assert!(identity.clean);
}

#[test]
fn every_operation_on_every_feature_set() {
    if !engines("every_operation_on_every_feature_set") {
        return;
    }
    let only = std::env::var("EXT4_PROFILE").ok();
    for (name, arguments) in PROFILES {
        if only.as_deref().is_none_or(|only| only == *name) {
            everything(name, arguments);
        }
    }
}

#[test]
fn a_directory_grows_into_a_hashed_one_and_back() {
    if !engines("a_directory_grows_into_a_hashed_one_and_back") {
        return;
    }
    for (name, arguments) in PROFILES {
        // debugfs has no index; mke2fs -d and e2fsck -D make one.
        let mut lab = Lab::new(name, 96 * MIB, arguments);
        let path = |at: u32| format!("/d/a-name-that-takes-some-room-{at:05}");
        lab.step("many files", |fs| {
            fs.make_directory("/d", &attributes(0o755))?;
            (0..700).try_for_each(|at| fs.create(&path(at), &attributes(0o644)))
        });
        let status = std::process::Command::new("e2fsck")
            .arg("-fyD")
            .arg(&lab.image.path)
            .output()
            .unwrap();
        assert!(
            status.status.code().is_some_and(|code| code <= 1),
            "{}",
            text(&status)
        );
        lab.fs = lab.image.mount(true);
        lab.step("more files in a hashed directory", |fs| {
            (700..1500).try_for_each(|at| fs.create(&path(at), &attributes(0o644)))
        });
        let mut names = list(&mut lab.fs, "/d", 97).unwrap();
        names.sort_by(|left, right| left.0.cmp(&right.0));
        assert_eq!(names.len(), 1500, "{name}");
        assert!(
            names
                .iter()
                .enumerate()
                .all(|(at, (found, _))| path(at as u32).ends_with(found))
        );
        for at in [0, 699, 700, 1499] {
            lab.fs.stat(&path(at)).unwrap();
        }
        lab.step("rename in a hashed directory", |fs| {
            fs.rename(&path(5), "/d/renamed")
        });
        lab.step("remove many", |fs| {
            (6..1450).try_for_each(|at| fs.remove(&path(at)))
        });
        assert_eq!(list(&mut lab.fs, "/d", 1000).unwrap().len(), 56);
    }
}
