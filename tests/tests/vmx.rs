//! A VMware machine by its .vmx file: what the component that is written in C finds in it becomes
//! the plan's machine, and its disk is migrated.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::{Format, Variant};
use cofferdam_tests::{Job, run, tool};
use std::ffi::OsStr;
use std::fs;

/// A machine with two disks, the second first in the file.
fn vmx(disk: &str) -> String {
    format!(
        r#".encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "web |22one|22"
memsize = "2048"
scsi0:1.present = "TRUE"
scsi0:1.fileName = "data.vmdk"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "/vmfs/volumes/fast/web/{disk}"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.generatedAddress = "00:50:56:AB:CD:EF"
"#
    )
}

#[test]
fn a_machine_is_planned_as_its_vmx_file_says() {
    let Some(mut job) = Job::new(
        "a_machine_is_planned_as_its_vmx_file_says",
        Variant::Bootable,
        Format::VmdkStreamOptimized,
    ) else {
        return;
    };
    let disk = job.source.file_name().unwrap().to_owned();
    let data = job.path("data.vmdk");
    let create: [&OsStr; 6] = [
        "create".as_ref(),
        "-q".as_ref(),
        "-f".as_ref(),
        "vmdk".as_ref(),
        data.as_ref(),
        "8M".as_ref(),
    ];
    tool("qemu-img", &create);
    job.source = job.path("web.vmx");
    fs::write(&job.source, vmx(disk.to_str().unwrap())).unwrap();

    let mut plan = job.migrate(&["--plan", "plan.json", "--output", "json"]);
    let plan = run(&mut plan).code(0).json_of("migrate --plan");
    let machine = &plan["machine"];
    assert_eq!(machine["name"], "web \"one\"", "{machine:#}");
    assert_eq!(machine["firmware"], "bios", "{machine:#}");
    assert_eq!(machine["memory"], 2048, "{machine:#}");
    assert_eq!(
        machine["nics"][0]["mac"], "00:50:56:ab:cd:ef",
        "{machine:#}"
    );
    assert_eq!(machine["nics"][0]["model"], "vmxnet3", "{machine:#}");
    let disks: Vec<&str> = plan["binding"]["source"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["name"].as_str().unwrap())
        .collect();
    assert_eq!(disks, [disk.to_str().unwrap(), "data.vmdk"], "{plan:#}");
    let notes = plan["notes"].to_string();
    assert!(notes.contains("/vmfs/volumes/fast/web/"), "{notes}");

    fs::write(&job.source, "virtualHW.version = \"19\"\nscsi0:0.present\n").unwrap();
    run(&mut job.migrate(&["--plan", "other.json"]))
        .code(1)
        .says(&["vmx", "line 2 is not `key = \"value\"`"]);
}
