//! A machine with several disks is migrated as one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::ROOT_UUID;
use cofferdam_tests::spanning::{HOME_ROW, HOME_UUID};
use cofferdam_tests::{
    Job, Ran, check_partition, cofferdam, file_of, read_json, run, to_raw, tool,
};
use std::ffi::OsStr;

const SECOND: &str = "two/machine.qcow2";
const MADE: [&str; 7] = [
    "one/",
    "out/",
    "out/machine-sda.qcow2",
    "out/machine-sdb.qcow2",
    "out/report.json",
    "out/report.md",
    "two/",
];

fn apply(job: &Job, disks: &[&str]) -> Ran {
    let mut args = vec!["migrate"];
    args.extend(disks);
    args.extend(["--apply", "plan.json", "-o", "out"]);
    run(&mut cofferdam(job.folder(), &args))
}

#[test]
fn both_disks_of_a_guest_are_made_and_its_fstab_finds_the_second() {
    let test = "both_disks_of_a_guest_are_made_and_its_fstab_finds_the_second";
    let Some(job) = Job::of_two_disks(test) else {
        return;
    };
    let ran = run(&mut job.migrate(&[SECOND, "-o", "out", "--yes"])).code(0);
    job.source_is_untouched();
    job.only_has(&MADE);
    for words in ["one/machine.vmdk", SECOND, "machine-sdb.qcow2", HOME_ROW] {
        assert!(ran.stdout.contains(words), "{words} in {}", ran.stdout);
    }

    let report = read_json(&job.path("out/report.json"));
    let disks = report["disks"].as_array().unwrap();
    assert_eq!(disks.len(), 2, "{disks:?}");
    let plan = &report["plan"];
    assert_eq!(plan["source"], "one/machine.vmdk");
    assert_eq!(plan["more_sources"][0], SECOND);
    let bound = plan["binding"]["source"].as_array().unwrap();
    assert_eq!(bound.len(), 2, "{bound:?}");
    assert_eq!(bound[1]["given"], 1);
    assert_eq!(
        plan["results"][1]["changed_bytes"], 0,
        "nothing to do there"
    );

    let (raw, partition) = (job.path("result.raw"), job.path("partition"));
    to_raw(&job.path("out/machine-sda.qcow2"), &raw);
    check_partition(&raw, &partition);
    let fstab = file_of(&partition, "/etc/fstab");
    for (uuid, path) in [(ROOT_UUID, "/"), (HOME_UUID, "/home")] {
        let device = format!("UUID={uuid}");
        let found = fstab
            .lines()
            .any(|row| row.split_whitespace().take(2).eq([device.as_str(), path]));
        assert!(found, "{device} in {fstab}");
    }
    to_raw(&job.path("out/machine-sdb.qcow2"), &raw);
    check_partition(&raw, &partition);
    assert_eq!(file_of(&partition, "/ann/notes"), "keep this\n");
    let second = job.path("out/machine-sdb.qcow2");
    let given = job.path(SECOND);
    let args: [&OsStr; 3] = ["compare".as_ref(), given.as_ref(), second.as_ref()];
    tool("qemu-img", &args);
}

#[test]
fn a_plan_is_for_these_disks_in_this_order() {
    let test = "a_plan_is_for_these_disks_in_this_order";
    let Some(job) = Job::of_two_disks(test) else {
        return;
    };
    let _ = run(&mut job.migrate(&[SECOND, "--plan", "plan.json"])).code(0);
    let plan = read_json(&job.path("plan.json"));
    assert_eq!(plan["cofferdam_plan"], 2);
    apply(&job, &["one/machine.vmdk"])
        .code(5)
        .says(&["no longer has the file machine.qcow2"]);
    apply(&job, &[SECOND, "one/machine.vmdk"])
        .code(5)
        .says(&["the plan no longer fits"]);
    assert!(!job.path("out").exists());
    let _ = apply(&job, &[]).code(0);
    assert_eq!(read_json(&job.path("out/report.json"))["plan"], plan);
    job.source_is_untouched();
}

#[test]
fn a_disk_given_twice_is_refused() {
    let Some(job) = Job::of_two_disks("a_disk_given_twice_is_refused") else {
        return;
    };
    run(&mut job.migrate(&["one/machine.vmdk", "-o", "out", "--yes"]))
        .code(1)
        .says(&["machine.vmdk was found twice"]);
    job.only_has(&["one/", "two/"]);
}
