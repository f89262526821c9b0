//! The proof of the whole: a disk that does not boot on virtio boots there once migrated.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::{Boot, Format, Hardware, Outcome, Variant};
use cofferdam_tests::{Job, run};

#[test]
fn a_migrated_guest_boots_where_the_untouched_one_does_not() {
    let Some(job) = Job::new(
        "a_migrated_guest_boots_where_the_untouched_one_does_not",
        Variant::Bootable,
        Format::VmdkStreamOptimized,
    ) else {
        return;
    };
    let untouched = Boot::new(&job.source, Hardware::Virtio).run().unwrap();
    match untouched.outcome {
        Outcome::InitramfsShell(words) => {
            assert!(words.contains("/dev/sda1 does not exist"), "{words}");
        }
        other => panic!("the untouched guest must not find its disk: {other:?}"),
    }

    let _ = run(&mut job.migrate(&["--to", "qcow2", "-o", "out", "--yes"])).code(0);
    let migrated = job.path("out/guest.stream.qcow2");
    let booted = Boot::new(&migrated, Hardware::Virtio).run().unwrap();
    let Outcome::Booted(marker) = booted.outcome else {
        panic!("{:?}\n{}", booted.outcome, booted.console);
    };
    assert_eq!(marker.root, "/dev/vda1");
    assert_eq!(marker.fstab, marker.root);
    job.source_is_untouched();
}
