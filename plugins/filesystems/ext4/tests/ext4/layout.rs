//! What the layout on the disk makes hard: many extents, preallocated ranges, far offsets,
//! many groups, limits of names and values.

use cofferdam_sdk::ErrorCode;
use cofferdam_sdk::filesystem::FileSystem;
use cofferdam_sdk::types::Attributes;

use crate::common::*;

#[test]
fn a_file_in_a_thousand_pieces() {
    if !engines("a_file_in_a_thousand_pieces") {
        return;
    }
    for (name, arguments) in PROFILES {
        let mut lab = Lab::new(name, 96 * MIB, arguments);
        let block = u64::from(lab.fs.free_space().unwrap().block_size);
        lab.step("create", |fs| fs.create("/f", &attributes(0o644)));
        // From the end, so that no piece joins the one before.
        lab.step("every second block", |fs| {
            (0..1000)
                .rev()
                .try_for_each(|at| fs.write_at("/f", at * 2 * block, &pattern(at, 100)))
        });
        for at in [0, 1, 499, 999] {
            assert_eq!(
                lab.fs.read_at("/f", at * 2 * block, 100).unwrap(),
                pattern(at, 100)
            );
        }
        lab.step("the blocks between", |fs| {
            (0..400).try_for_each(|at| fs.write_at("/f", (at * 2 + 1) * block, &pattern(at, 50)))
        });
        lab.step("over some of them", |fs| {
            fs.write_at("/f", 100 * block + 7, &pattern(77, 20 * block as usize))
        });
        let content = read(&mut lab.fs, "/f");
        assert!(lab.image.cat("/f") == content, "{name}");
        assert_eq!(content[100 * block as usize + 7..][..50], pattern(77, 50));
        lab.step("cut in the middle", |fs| {
            fs.truncate("/f", 1111 * block + 5)
        });
        assert!(
            lab.image.cat("/f") == content[..1111 * block as usize + 5],
            "{name}"
        );
        lab.step("remove", |fs| fs.remove("/f"));
    }
}

#[test]
fn a_preallocated_range_is_written() {
    if !engines("a_preallocated_range_is_written") {
        return;
    }
    let image = Image::new(64 * MIB, &["-t", "ext4", "-b", "4096"]);
    let content = image.scratch("content", b"short");
    image.debugfs(&[
        &format!("write {} f", content.display()),
        "fallocate f 1 99",
    ]);
    let mut fs = image.mount(true);
    fs.truncate("/f", 60 * 4096).unwrap();
    assert!(
        fs.read_at("/f", 5, 4096)
            .unwrap()
            .iter()
            .all(|&byte| byte == 0)
    );
    fs.write_at("/f", 10 * 4096 + 9, &pattern(1, 9000)).unwrap();
    fs.write_at("/f", 50 * 4096, &pattern(2, 10)).unwrap();
    fs.write_at("/f", 30 * 4096, &pattern(3, 10)).unwrap();
    fs.commit().unwrap();
    image.check("a preallocated range was written");
    let mut expected = vec![0; 60 * 4096];
    expected[..5].copy_from_slice(b"short");
    expected[10 * 4096 + 9..][..9000].copy_from_slice(&pattern(1, 9000));
    expected[30 * 4096..][..10].copy_from_slice(&pattern(3, 10));
    expected[50 * 4096..][..10].copy_from_slice(&pattern(2, 10));
    assert!(image.cat("/f") == expected);
    assert!(read(&mut fs, "/f") == expected);
}

#[test]
fn far_offsets_and_what_is_beyond_them() {
    if !engines("far_offsets_and_what_is_beyond_them") {
        return;
    }
    for (name, arguments) in PROFILES {
        // Without `large_file`, which old file systems get with their first such file.
        let image = Image::new(32 * MIB, arguments);
        image.debugfs(&["feature -large_file"]);
        let mut fs = image.mount(true);
        fs.create("/f", &attributes(0o644)).unwrap();
        fs.write_at("/f", 3 << 30, b"far").unwrap();
        fs.commit().unwrap();
        image.check(name);
        assert!(image.superblock().contains("large_file"), "{name}");
        assert_eq!(fs.read_at("/f", (3 << 30) - 1, 10).unwrap(), b"\0far");
        for offset in [1 << 45, u64::MAX - 1, u64::MAX] {
            let error = fs.write_at("/f", offset, b"x").unwrap_err();
            assert!(
                matches!(error.code, ErrorCode::Limit | ErrorCode::Invalid),
                "{name}: {error}"
            );
        }
        assert_eq!(
            fs.truncate("/f", 1 << 62).unwrap_err().code,
            ErrorCode::Limit
        );
        fs.truncate("/f", 1).unwrap();
        fs.commit().unwrap();
        image.check(name);
    }
}

#[test]
fn what_was_behind_the_end_does_not_show() {
    if !engines("what_was_behind_the_end_does_not_show") {
        return;
    }
    for (name, arguments) in PROFILES {
        if *name == "inline data" {
            continue;
        }
        let image = Image::new(32 * MIB, arguments);
        let mut fs = image.mount(true);
        fs.create("/f", &attributes(0o644)).unwrap();
        fs.write_at("/f", 0, &[b'x'; 900]).unwrap();
        fs.commit().unwrap();
        drop(fs);
        // As a kernel leaves it after a program wrote behind the end of a mapping.
        image.debugfs(&["sif f size 100"]);
        for by_writing in [false, true] {
            let mut fs = image.mount(true);
            if by_writing {
                fs.write_at("/f", 800, b"end").unwrap();
            } else {
                fs.truncate("/f", 700).unwrap();
            }
            let content = read(&mut fs, "/f");
            assert!(content[..100].iter().all(|&byte| byte == b'x'), "{name}");
            assert!(content[100..700].iter().all(|&byte| byte == 0), "{name}");
            fs.commit().unwrap();
            image.check(name);
            drop(fs);
            image.debugfs(&["sif f size 100"]);
        }
    }
}

/// The size that the plugin's memory limit is meant for.
#[test]
fn eight_gibibytes() {
    if !engines("eight_gibibytes") {
        return;
    }
    let mut lab = Lab::new("8 GiB", 8 << 30, &["-t", "ext4"]);
    let content = pattern(1, 30_000_000);
    lab.step("30 MB", |fs| {
        fs.create("/f", &attributes(0o644))?;
        write(fs, "/f", 0, &content)
    });
    lab.step("small files in many groups", |fs| {
        for directory in 0..20 {
            fs.make_directory(&format!("/d{directory}"), &attributes(0o755))?;
            for file in 0..5 {
                let path = format!("/d{directory}/f{file}");
                fs.create(&path, &attributes(0o644))?;
                fs.write_at(&path, 0, &pattern(directory * 5 + file, 3000))?;
            }
        }
        Ok(())
    });
    let mut fresh = lab.image.mount(false);
    for at in 0..100 {
        let path = format!("/d{}/f{}", at / 5, at % 5);
        assert_eq!(fresh.read_at(&path, 0, 9000).unwrap(), pattern(at, 3000));
    }
    assert!(read(&mut fresh, "/f") == content);
}

#[test]
fn names_and_values_have_their_limits() {
    if !engines("names_and_values_have_their_limits") {
        return;
    }
    for (name, arguments) in PROFILES {
        let mut lab = Lab::new(name, 32 * MIB, arguments);
        let longest = format!("/{}", "n".repeat(255));
        lab.step("the longest name", |fs| {
            fs.create(&longest, &attributes(0o644))
        });
        lab.fails("a longer one", ErrorCode::Invalid, |fs| {
            fs.create(&format!("{longest}n"), &attributes(0o644))
        });
        for length in [1, 59, 60, 61, 255, 1000] {
            let path = format!("/link{length}");
            let target = "t".repeat(length);
            lab.step("a link", |fs| {
                fs.symlink(&path, &target, &attributes(0o777))
            });
            assert_eq!(lab.fs.read_link(&path).unwrap(), target, "{name}");
        }
        lab.fails("a link to too much", ErrorCode::Invalid, |fs| {
            fs.symlink("/long", &"t".repeat(5000), &attributes(0o777))
        });
        lab.fails("a value that is too long", ErrorCode::NoSpace, |fs| {
            fs.set_xattr(&longest, "user.v", Some(&[1; 70_000]))
        });
        lab.step("an empty value", |fs| {
            fs.set_xattr(&longest, "user.v", Some(b""))
        });
        assert_eq!(lab.fs.get_xattr(&longest, "user.v").unwrap(), b"");
        lab.fails("the root", ErrorCode::Invalid, |fs| fs.remove("/"));
        lab.fails("no mode", ErrorCode::Invalid, |fs| {
            fs.create("/m", &attributes(0o100_644))
        });
        lab.fails("a directory's second name", ErrorCode::Invalid, |fs| {
            fs.make_directory("/d", &attributes(0o755)).unwrap();
            fs.link("/d", "/e")
        });
    }
}

#[test]
fn a_path_of_other_bytes_can_have_a_label() {
    if !engines("a_path_of_other_bytes_can_have_a_label") {
        return;
    }
    let mut lab = Lab::new("other bytes", 32 * MIB, &["-t", "ext4", "-b", "4096"]);
    let path = "/caf\\xe9";
    let labelled = Attributes {
        label: Some("system_u:object_r:etc_t:s0".to_string()),
        ..attributes(0o644)
    };
    lab.step("create", |fs| fs.create(path, &labelled));
    lab.step("write", |fs| fs.write_at(path, 0, b"content"));
    lab.step("set", |fs| fs.set_xattr(path, "user.a", Some(b"1")));
    lab.step("set again", |fs| fs.set_xattr(path, "user.a", Some(b"22")));
    assert_eq!(lab.fs.get_xattr(path, "user.a").unwrap(), b"22");
    assert_eq!(
        lab.fs.get_xattr(path, "security.selinux").unwrap(),
        b"system_u:object_r:etc_t:s0\0"
    );
    lab.fails("set too much", ErrorCode::Unsupported, |fs| {
        fs.set_xattr(path, "user.b", Some(&[1; 500]))
    });
    lab.step("remove", |fs| fs.set_xattr(path, "user.a", None));
    lab.fails("remove again", ErrorCode::NotFound, |fs| {
        fs.set_xattr(path, "user.a", None)
    });
    assert_eq!(lab.fs.list_xattrs(path).unwrap(), ["security.selinux"]);
}
