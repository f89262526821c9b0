//! The main job: a guest's disk in, a disk for KVM with its report out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::{Format, ROOT_UUID, Variant};
use cofferdam_tests::{
    Job, check_partition, file_of, listing, plugins, read_json, run, sha256, to_raw,
};

const HEX_DIGITS: usize = 64;

#[test]
fn a_guest_of_vmware_becomes_a_whole_disk_and_needs_nothing_more() {
    let Some(job) = Job::new(
        "a_guest_of_vmware_becomes_a_whole_disk_and_needs_nothing_more",
        Variant::Bootable,
        Format::VmdkStreamOptimized,
    ) else {
        return;
    };
    let ran = run(&mut job.migrate(&["--to", "qcow2", "-o", "out", "--yes"])).code(0);
    job.source_is_untouched();
    assert!(listing(&job.path("scratch")).is_empty());
    let made = [
        "out/",
        "out/guest.stream.qcow2",
        "out/report.json",
        "out/report.md",
    ];
    job.only_has(&made);
    assert!(
        ran.stdout.contains("+UUID="),
        "the plan is shown: {}",
        ran.stdout
    );
    check_report(&job);

    let disk = job.path("out/guest.stream.qcow2");
    let (raw, partition) = (job.path("result.raw"), job.path("partition"));
    to_raw(&disk, &raw);
    check_partition(&raw, &partition);
    let fstab = file_of(&partition, "/etc/fstab");
    let root = format!("UUID={ROOT_UUID}");
    assert!(
        fstab
            .lines()
            .any(|row| row.split_whitespace().take(2).eq([root.as_str(), "/"])),
        "{fstab}"
    );

    let mut again = cofferdam_tests::cofferdam(
        job.folder(),
        &[
            "migrate",
            "out/guest.stream.qcow2",
            "--plan",
            "again.json",
            "--output",
            "json",
        ],
    );
    let plan = run(&mut again).code(0).json_of("migrate --plan");
    assert_eq!(
        plan["edits"].as_array().unwrap().len(),
        0,
        "{}",
        plan["edits"]
    );
    assert_eq!(plan["results"][0]["changed_bytes"], 0);
}

fn check_report(job: &Job) {
    let report = read_json(&job.path("out/report.json"));
    let plan = &report["plan"];
    let edits = plan["edits"].as_array().unwrap();
    let edited: Vec<&str> = edits
        .iter()
        .map(|edit| edit["path"].as_str().unwrap())
        .collect();
    assert!(edited.contains(&"/etc/fstab"), "{edited:?}");
    assert!(
        edited
            .iter()
            .any(|path| path.starts_with("/boot/initrd.img-")),
        "{edited:?}"
    );
    for edit in edits {
        assert!(!edit["reason"].as_str().unwrap().is_empty());
        assert!(!edit["fixer"].as_str().unwrap().is_empty());
        let (before, after) = (&edit["before"], &edit["after"]);
        if edit["operation"] == "write" {
            assert_eq!(before["sha256"].as_str().unwrap().len(), HEX_DIGITS);
            assert_eq!(after["sha256"].as_str().unwrap().len(), HEX_DIGITS);
            assert_ne!(before["sha256"], after["sha256"]);
        }
    }
    for plugin in plan["binding"]["plugins"].as_array().unwrap() {
        let id = plugin["id"].as_str().unwrap();
        assert_eq!(
            plugin["digest"],
            sha256(&plugins().join(format!("{id}.wasm")))
        );
        assert!(plugin["version"].as_str().unwrap().contains('.'));
    }
    assert_eq!(plan["binding"]["source"][0]["sha256"], sha256(&job.source));
    let disk = &report["disks"][0];
    let file = job.path("out").join(disk["file"].as_str().unwrap());
    assert_eq!(disk["file_size"], std::fs::metadata(file).unwrap().len());
    for stage in ["discover", "plan", "rehearse", "verify", "convert"] {
        assert!(
            report["timings"][stage].is_u64(),
            "{stage}: {}",
            report["timings"]
        );
    }
    let text = std::fs::read_to_string(job.path("out/report.md")).unwrap();
    for words in [
        "### `/etc/fstab`",
        "+UUID=",
        "fstab 0.1.0",
        plan["edits_digest"].as_str().unwrap(),
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

/// A disk is the same in whatever it is wrapped: the same edits, and the same bytes.
#[test]
fn the_container_makes_no_difference() {
    let test = "the_container_makes_no_difference";
    let mut found = Vec::new();
    for format in Format::ALL {
        let Some(mut job) = Job::new(test, Variant::Bootable, *format) else {
            return;
        };
        let descriptor = job.source.clone();
        let mut given = vec![descriptor.clone()];
        if *format == Format::VmdkMonolithicFlat {
            let flat = descriptor.to_str().unwrap().replace(".vmdk", "-flat.vmdk");
            given.push(flat.into());
        }
        for (number, source) in given.into_iter().enumerate() {
            job.source = source;
            let out = format!("out{number}");
            let args = ["--to", "raw", "-o", &out, "--yes", "--output", "json"];
            let report = run(&mut job.migrate(&args)).code(0).json_of("migrate");
            job.source_is_untouched();
            let disk = job
                .path(&out)
                .join(report["disks"][0]["file"].as_str().unwrap());
            let digest = report["plan"]["edits_digest"].as_str().unwrap().to_owned();
            found.push((format!("{:?}", job.source), digest, sha256(&disk)));
        }
    }
    assert_eq!(found.len(), Format::ALL.len() + 1);
    for (source, digest, disk) in &found {
        assert_eq!((digest, disk), (&found[0].1, &found[0].2), "{source}");
    }
}
