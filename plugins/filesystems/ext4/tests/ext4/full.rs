//! A file system without room: `no-space`, and nothing broken.

use cofferdam_sdk::ErrorCode;
use cofferdam_sdk::filesystem::FileSystem;
use cofferdam_sdk::types::Attributes;

use crate::common::*;

#[test]
fn blocks_run_out() {
    if !engines("blocks_run_out") {
        return;
    }
    for (name, arguments) in PROFILES {
        let mut lab = Lab::new(name, 12 * MIB, arguments);
        let kept = pattern(1, 100_000);
        lab.step("a file that stays", |fs| {
            fs.create("/kept", &attributes(0o644))?;
            fs.write_at("/kept", 0, &kept)?;
            fs.create("/big", &attributes(0o644))
        });
        let mut at = 0;
        let error = loop {
            match lab.fs.write_at("/big", at, &pattern(at, 500_000)) {
                Ok(()) => at += 500_000,
                Err(error) => break error,
            }
            assert!(at < 12 * MIB, "{name}: more was written than there is");
        };
        assert_eq!(error.code, ErrorCode::NoSpace, "{name}: {error}");
        lab.step("commit a full file system", |_| Ok(()));
        // The last blocks, one at a time.
        let mut extra = 0;
        while let Ok(()) = lab.fs.write_at("/big", at + extra, &[7; 1024]) {
            extra += 1024;
            assert!(extra < 12 * MIB, "{name}");
        }
        lab.step("fill the last blocks", |_| Ok(()));
        lab.fails("write without room", ErrorCode::NoSpace, |fs| {
            fs.write_at("/kept", 4 * MIB, &[1; 5000])
        });
        let made = lab.fs.make_directory("/d", &attributes(0o755));
        if let Err(error) = made {
            assert_eq!(error.code, ErrorCode::NoSpace, "{name}: {error}");
        }
        let long = Attributes {
            label: Some("x".repeat(600)),
            ..attributes(0o644)
        };
        if let Err(error) = lab.fs.create("/labelled", &long) {
            assert_eq!(error.code, ErrorCode::NoSpace, "{name}: {error}");
            assert_eq!(
                lab.fs.stat("/labelled").unwrap_err().code,
                ErrorCode::NotFound
            );
        }
        lab.step("after what did not fit", |_| Ok(()));
        assert_eq!(lab.image.cat("/kept"), kept, "{name}");
        assert_eq!(
            lab.fs.read_at("/big", 0, 1000).unwrap(),
            pattern(0, 500_000)[..1000]
        );
        lab.step("make room", |fs| fs.remove("/big"));
        lab.step("use it", |fs| {
            fs.create("/again", &attributes(0o644))?;
            write(fs, "/again", 0, &pattern(5, 3_000_000))
        });
        assert_eq!(lab.image.cat("/again"), pattern(5, 3_000_000), "{name}");
    }
}

#[test]
fn inodes_run_out() {
    if !engines("inodes_run_out") {
        return;
    }
    for (name, arguments) in PROFILES {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-N", "32"]).collect();
        let mut lab = Lab::new(name, 12 * MIB, &arguments);
        let before = lab.fs.free_space().unwrap();
        let mut made = 0;
        let error = loop {
            match lab.fs.create(&format!("/f{made}"), &attributes(0o644)) {
                Ok(()) => made += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.code, ErrorCode::NoSpace, "{name}: {error}");
        assert_eq!(made, before.free_inodes, "{name}");
        assert_eq!(lab.fs.free_space().unwrap().free_inodes, 0);
        lab.step("commit without inodes", |_| Ok(()));
        lab.fails("a directory", ErrorCode::NoSpace, |fs| {
            fs.make_directory("/d", &attributes(0o755))
        });
        lab.step("an inode comes free", |fs| fs.remove("/f0"));
        lab.step("and is used", |fs| {
            fs.make_directory("/d", &attributes(0o755))
        });
    }
}
