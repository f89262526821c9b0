//! Guests that cannot be migrated as they are: the answer is clear, comes before approval,
//! and leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::{Format, MOTD_IN_JOURNAL, Variant, needs_recovery};
use cofferdam_tests::{Job, check_partition, file_of, run, to_raw};

#[test]
fn a_guest_that_cannot_be_migrated_is_refused_before_approval() {
    let test = "a_guest_that_cannot_be_migrated_is_refused_before_approval";
    let cases: [(Variant, &[&str]); 4] = [
        (
            Variant::Full,
            &[
                "the plan is blocked",
                "initramfs",
                "has 0 free",
                "enlarge it",
            ],
        ),
        (
            Variant::Luks,
            &[
                "no root was found",
                "/dev/sda1",
                "crypto_LUKS",
                "encrypted",
                "decrypt it",
            ],
        ),
        (
            Variant::NoSystem,
            &["no operating system was found", "/dev/sda1", "ext4"],
        ),
        (
            Variant::UnknownFilesystem,
            &[
                "no operating system was found",
                "/dev/sda1",
                "was not recognised",
            ],
        ),
    ];
    for (variant, words) in cases {
        let Some(job) = Job::new(test, variant, Format::Raw) else {
            return;
        };
        let ran = run(&mut job.migrate(&["-o", "out", "--yes"])).code(4);
        ran.says(words);
        assert_eq!(ran.stdout, "", "{variant:?}: there is no plan to approve");
        let ran = run(&mut job.migrate(&["--plan", "plan.json"])).code(4);
        ran.says(words);
        job.only_has(&[]);
        job.source_is_untouched();
    }
}

#[test]
fn a_dirty_journal_is_replayed_into_the_new_disk_alone() {
    let test = "a_dirty_journal_is_replayed_into_the_new_disk_alone";
    let Some(job) = Job::new(test, Variant::DirtyJournal, Format::Raw) else {
        return;
    };
    assert!(needs_recovery(&job.source).unwrap());
    let args = ["-o", "out", "--yes", "--output", "json"];
    let report = run(&mut job.migrate(&args)).code(0).json();
    job.source_is_untouched();
    assert!(needs_recovery(&job.source).unwrap());
    let notes = report["plan"]["notes"].to_string();
    assert!(notes.contains("journal was replayed"), "{notes}");
    assert!(notes.contains("not unmounted cleanly"), "{notes}");

    let (raw, partition) = (job.path("result.raw"), job.path("partition"));
    to_raw(&job.path("out/dirty-journal.qcow2"), &raw);
    assert!(!needs_recovery(&raw).unwrap());
    check_partition(&raw, &partition);
    assert_eq!(file_of(&partition, "/etc/motd"), MOTD_IN_JOURNAL);
}

#[test]
fn what_is_no_disk_is_refused_by_name() {
    let test = "what_is_no_disk_is_refused_by_name";
    let Some(mut job) = Job::new(test, Variant::NoSystem, Format::Raw) else {
        return;
    };
    for (name, content, words) in [
        ("missing.vmdk", None, "missing.vmdk"),
        (
            "short.qcow2",
            Some(&b"QFI\xfb\0\0\0\x03"[..]),
            "short.qcow2",
        ),
        (
            "empty.vmdk",
            Some(b"# Disk DescriptorFile\nversion=1\n"),
            "empty.vmdk",
        ),
    ] {
        job.source = job.path(name);
        if let Some(content) = content {
            std::fs::write(&job.source, content).unwrap();
        }
        let ran = run(&mut job.migrate(&["-o", "out", "--yes"])).code(1);
        ran.says(&["error: ", words]);
        assert!(!job.path("out").exists());
    }
}
