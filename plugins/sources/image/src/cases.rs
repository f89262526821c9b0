//! Runs the cases in `cases/`, and asks qemu for images.

use cofferdam_sdk::source::DiskSource;
use cofferdam_sdk::testing::{DirectoryFolder, MemoryMachine, run_source_cases};

use crate::Image;

#[test]
fn every_case() {
    run_source_cases(env!("CARGO_MANIFEST_DIR"), Image::discover);
}

/// The headers in `cases/` are written by hand; these are not.
#[test]
fn what_qemu_writes_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str, arguments: &[&str]| {
        std::process::Command::new("qemu-img")
            .args(["create", "-q"])
            .args(arguments)
            .arg(folder.path().join(name))
            .arg("8M")
            .status()
    };
    if let Err(error) = create("probe", &["-f", "raw"]) {
        assert!(
            std::env::var("CI").is_err(),
            "qemu-img cannot be run: {error}"
        );
        println!("skipped: qemu-img cannot be run: {error}");
        return;
    }
    let flat = "subformat=monolithicFlat";
    let split = "subformat=twoGbMaxExtentSparse";
    let stream = "subformat=streamOptimized";
    let fixed = "subformat=fixed,force_size=on";
    for (name, arguments, open, expected) in [
        ("a.img", &["-f", "raw"][..], "a.img", Ok(("a.img", "raw"))),
        ("b.img", &["-f", "qcow2"], "b.img", Ok(("b.img", "qcow2"))),
        ("c.vmdk", &["-f", "vmdk"], "c.vmdk", Ok(("c.vmdk", "vmdk"))),
        (
            "d.vmdk",
            &["-f", "vmdk", "-o", stream],
            "d.vmdk",
            Ok(("d.vmdk", "vmdk")),
        ),
        (
            "e.vmdk",
            &["-f", "vmdk", "-o", flat],
            "e.vmdk",
            Ok(("e.vmdk", "vmdk")),
        ),
        (
            "f.vmdk",
            &["-f", "vmdk", "-o", flat],
            "f-flat.vmdk",
            Ok(("f.vmdk", "vmdk")),
        ),
        (
            "g.vmdk",
            &["-f", "vmdk", "-o", split],
            "g-s001.vmdk",
            Ok(("g.vmdk", "vmdk")),
        ),
        (
            "h.img",
            &["-f", "vpc", "-o", fixed],
            "h.img",
            Err("a fixed VHD"),
        ),
        (
            "i.img",
            &["-f", "vpc"],
            "i.img",
            Err("a dynamic or differencing VHD"),
        ),
        ("j.img", &["-f", "vhdx"], "j.img", Err("a VHDX")),
        ("k.img", &["-f", "vdi"], "k.img", Err("a VirtualBox VDI")),
        ("l.img", &["-f", "qed"], "l.img", Err("a QED image")),
        (
            "m.img",
            &["-f", "parallels"],
            "m.img",
            Err("a Parallels image"),
        ),
        (
            "n.img",
            &["-f", "qcow"],
            "n.img",
            Err("a qcow image of version 1"),
        ),
    ] {
        assert!(create(name, arguments).unwrap().success(), "{name}");
        let mut machine = MemoryMachine::new();
        machine.set_settings(serde_json::json!({ "format": "auto" }));
        let found = Image::discover(open, &DirectoryFolder::new(folder.path()), &mut machine);
        match expected {
            Ok((file, format)) => {
                assert_eq!(found, Ok(true), "{open}");
                assert_eq!(machine.disks, [(file.into(), format.into())], "{open}");
            }
            Err(what) => {
                let error = found.unwrap_err().message;
                assert!(error.contains(what), "{open}: {error}");
            }
        }
    }
}
