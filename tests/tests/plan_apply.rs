//! A plan is a file that writes nothing else, and what is applied is that plan or nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::{Format, Variant};
use cofferdam_tests::server::Server;
use cofferdam_tests::{Job, PLAN_TIME, Ran, cofferdam, link_plugins, plugins, read_json, run};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// A guest with its plan in `plan.json`.
fn planned(test: &str) -> Option<Job> {
    let job = Job::new(test, Variant::Bootable, Format::Qcow2)?;
    let _ = run(&mut job.migrate(&["--plan", "plan.json"])).code(0);
    Some(job)
}

fn apply(job: &Job, more: &[&str]) -> Ran {
    let mut args = vec!["migrate", "--apply", "plan.json", "-o", "out"];
    args.extend(more);
    run(&mut cofferdam(job.folder(), &args))
}

#[test]
fn a_plan_writes_one_file_and_is_what_is_applied() {
    let Some(job) = planned("a_plan_writes_one_file_and_is_what_is_applied") else {
        return;
    };
    job.source_is_untouched();
    job.only_has(&["plan.json"]);
    let plan = read_json(&job.path("plan.json"));
    assert_eq!(plan["binding"]["time"], PLAN_TIME);

    let report = apply(&job, &["--output", "json"]).code(0).json();
    assert_eq!(report["plan"], plan);
    assert_eq!(read_json(&job.path("out/report.json")), report);
    job.source_is_untouched();
    job.only_has(&[
        "plan.json",
        "out/",
        "out/guest.qcow2",
        "out/report.json",
        "out/report.md",
    ]);
}

#[test]
fn a_plan_is_refused_when_a_byte_of_the_source_changed() {
    let Some(job) = planned("a_plan_is_refused_when_a_byte_of_the_source_changed") else {
        return;
    };
    let modified = fs::metadata(&job.source).unwrap().modified().unwrap();
    let file = File::options()
        .read(true)
        .write(true)
        .open(&job.source)
        .unwrap();
    // Somewhere in the data, where only reading the whole finds it.
    let at = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
    file.set_modified(modified).unwrap();
    drop(file);
    apply(&job, &[])
        .code(5)
        .says(&["the source file guest.qcow2 changed"]);
    job.only_has(&["plan.json"]);
}

#[test]
fn a_plan_is_refused_when_a_plugin_changed() {
    let Some(job) = planned("a_plan_is_refused_when_a_plugin_changed") else {
        return;
    };
    let folder = job.path("plugins");
    link_plugins(&folder, &["fstab"]);
    let missing = ["--plugins", "plugins"];
    apply(&job, &missing)
        .code(5)
        .says(&["plugin fstab is no longer loaded"]);

    // The same code with one more custom section: an empty one of the name "x".
    let mut component = fs::read(plugins().join("fstab.wasm")).unwrap();
    component.extend([0, 2, 1, b'x']);
    fs::write(folder.join("fstab.wasm"), component).unwrap();
    apply(&job, &missing)
        .code(5)
        .says(&["plugin fstab changed"]);
    assert!(!job.path("out").exists() || cofferdam_tests::listing(&job.path("out")).is_empty());
    job.source_is_untouched();
}

#[test]
fn a_plan_is_refused_when_a_setting_or_the_target_changed() {
    let Some(job) = planned("a_plan_is_refused_when_a_setting_or_the_target_changed") else {
        return;
    };
    apply(&job, &["--set", "fstab.mode=noop"])
        .code(5)
        .says(&["the settings of plugin fstab changed", "noop"]);
    apply(&job, &["--to", "raw"])
        .code(5)
        .says(&["the target changed"]);
    apply(&job, &["--disk-bus", "virtio-scsi"])
        .code(5)
        .says(&["the target changed", "virtio-scsi"]);
    job.only_has(&["plan.json"]);
    job.source_is_untouched();
}

#[test]
fn an_edited_plan_is_refused() {
    let Some(job) = planned("an_edited_plan_is_refused") else {
        return;
    };
    let text = fs::read_to_string(job.path("plan.json")).unwrap();
    let edits = [
        ("\"operation\": \"append\"", "\"operation\": \"remove\""),
        (
            "\"disk_bus\": \"virtio-blk\"",
            "\"disk_bus\": \"virtio-scsi\"",
        ),
        ("\"cofferdam_plan\": 1", "\"cofferdam_plan\": 2"),
    ];
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        fs::write(job.path("plan.json"), text.replacen(from, to, 1)).unwrap();
        apply(&job, &[]).code(1).says(&["plan.json is not a plan"]);
    }
    fs::write(job.path("plan.json"), &text[..text.len() / 2]).unwrap();
    apply(&job, &[]).code(1).says(&["plan.json is not a plan"]);
    job.only_has(&["plan.json"]);
}

#[test]
fn what_is_no_plan_is_not_overwritten_by_one() {
    let Some(job) = planned("what_is_no_plan_is_not_overwritten_by_one") else {
        return;
    };
    // The disk itself, mistyped.
    run(&mut job.migrate(&["--plan", "guest.qcow2"]))
        .code(1)
        .says(&["guest.qcow2 exists and is not a plan"]);
    job.source_is_untouched();
    let _ = run(&mut job.migrate(&["--plan", "plan.json"])).code(0);
    job.only_has(&["plan.json"]);
}

#[test]
fn nothing_is_written_without_approval() {
    let test = "nothing_is_written_without_approval";
    let Some(job) = Job::new(test, Variant::Bootable, Format::Qcow2) else {
        return;
    };
    for more in [&[][..], &["--output", "json"]] {
        let mut args = vec!["-o", "out"];
        args.extend(more);
        run(&mut job.migrate(&args))
            .code(3)
            .says(&["not approved", "--yes"]);
        job.only_has(&[]);
    }
    job.source_is_untouched();
}

#[test]
fn what_is_there_is_not_overwritten() {
    let test = "what_is_there_is_not_overwritten";
    let Some(job) = Job::new(test, Variant::Bootable, Format::Qcow2) else {
        return;
    };
    fs::create_dir(job.path("out")).unwrap();
    fs::write(job.path("out/guest.qcow2"), "mine").unwrap();
    run(&mut job.migrate(&["-o", "out", "--yes"]))
        .code(1)
        .says(&["out/guest.qcow2"]);
    assert_eq!(fs::read(job.path("out/guest.qcow2")).unwrap(), b"mine");
    job.only_has(&["out/", "out/guest.qcow2"]);

    // Of another run, a report whose disk is there.
    fs::remove_file(job.path("out/guest.qcow2")).unwrap();
    let _ = run(&mut job.migrate(&["-o", "out", "--yes"])).code(0);
    let report = fs::read(job.path("out/report.json")).unwrap();
    run(&mut job.migrate(&["-o", "out", "--yes", "--to", "raw"]))
        .code(1)
        .says(&["out/report.json"]);
    assert_eq!(fs::read(job.path("out/report.json")).unwrap(), report);
    assert!(!job.path("out/guest.raw").exists());
    job.source_is_untouched();
}

#[test]
fn a_server_applies_a_plan_that_names_its_own_disks() {
    let test = "a_server_applies_a_plan_that_names_its_own_disks";
    let Some(job) = Job::new(test, Variant::Bootable, Format::Qcow2) else {
        return;
    };
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (source, plan, out) = (
        text(&job.source),
        text(&job.path("plan.json")),
        text(&job.path("out")),
    );
    let _ = run(&mut cofferdam(
        job.folder(),
        &["migrate", &source, "--plan", &plan],
    ))
    .code(0);
    let server = Server::start(job.folder(), &["--file-root", &text(job.folder())]);
    let ran = run(cofferdam(
        job.folder(),
        &[
            "migrate", "--apply", &plan, "-o", &out, "--yes", "--output", "json",
        ],
    )
    .env("COFFERDAM_SERVER", server.url())
    .env("COFFERDAM_TOKEN", server.token()));
    let report = read_json(&job.path("out/report.json"));
    assert_eq!(ran.code(0).json_of("migrate"), report);
    assert_eq!(report["plan"], read_json(&job.path("plan.json")));
    server.stop();
}
