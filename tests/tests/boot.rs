//! The proof of the whole: a disk that does not boot on virtio boots there once migrated.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::{Boot, Format, Hardware, Outcome, Variant};
use cofferdam_tests::{Job, link_plugins, run, workspace};

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

/// The operator's leave to run QEMU, as the plugin's README says to write it.
fn grant_qemu(job: &Job) {
    let readme = workspace().join("plugins/steps/boot-test/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once("\n## Grant\n").unwrap();
    let (_, block) = section.split_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    std::fs::write(job.path("cofferdam.toml"), block).unwrap();
}

const BOOT: [&str; 6] = [
    "-o",
    "out",
    "--yes",
    "--boot-test",
    "--marker",
    "COFFERDAM-BOOT-OK",
];

#[test]
fn the_last_step_boots_what_was_made() {
    let test = "the_last_step_boots_what_was_made";
    let Some(job) = Job::new(test, Variant::Bootable, Format::VmdkStreamOptimized) else {
        return;
    };
    grant_qemu(&job);
    let ran = run(&mut job.migrate(&BOOT)).code(0);
    assert!(ran.stdout.contains("boot test: passed"), "{}", ran.stdout);
    job.source_is_untouched();
}

#[test]
fn a_disk_that_does_not_boot_is_told_with_what_the_console_said() {
    let test = "a_disk_that_does_not_boot_is_told_with_what_the_console_said";
    let Some(job) = Job::new(test, Variant::Bootable, Format::Qcow2) else {
        return;
    };
    grant_qemu(&job);
    // Nobody mends what keeps it from booting.
    link_plugins(
        &job.path("plugins"),
        &["initramfs", "grub", "fstab", "device-map"],
    );
    let mut args = BOOT.to_vec();
    args.extend(["--plugins", "plugins"]);
    let ran = run(&mut job.migrate(&args)).code(1);
    ran.says(&["does not boot", "initramfs"]);
    // What was made is there to be looked at.
    assert!(job.path("out/guest.qcow2").exists());
    job.source_is_untouched();
}
