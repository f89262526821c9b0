//! `cofferdam disk`: images without any plugin.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_fixtures::{DISK_SIZE, Format, PARTITION_OFFSET, PARTITION_SIZE, Variant};
use cofferdam_tests::{Job, Ran, cofferdam, run, sha256, tool};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

fn job(test: &str, format: Format) -> Option<Job> {
    Job::new(test, Variant::Bootable, format)
}

fn disk(job: &Job, args: &[&str]) -> Ran {
    let mut command = cofferdam(job.folder(), &["disk"]);
    run(command.args(args))
}

fn name(job: &Job) -> &str {
    job.source.file_name().unwrap().to_str().unwrap()
}

#[test]
fn info_says_the_same_of_a_disk_in_every_format() {
    let test = "info_says_the_same_of_a_disk_in_every_format";
    for (format, said) in [
        (Format::Raw, "raw"),
        (Format::Qcow2, "qcow2"),
        (Format::VmdkMonolithicSparse, "vmdk"),
        (Format::VmdkMonolithicFlat, "vmdk"),
        (Format::VmdkStreamOptimized, "vmdk"),
    ] {
        let Some(job) = job(test, format) else {
            return;
        };
        let info = disk(&job, &["info", name(&job), "--output", "json"])
            .code(0)
            .json_of("disk info");
        assert_eq!(info["format"], said);
        assert_eq!(info["virtual_size"], DISK_SIZE);
        let files = info["files"].as_array().unwrap();
        assert_eq!(
            files.len(),
            if format == Format::VmdkMonolithicFlat {
                2
            } else {
                1
            }
        );
        let parts = info["partition_table"]["partitions"].as_array().unwrap();
        assert_eq!(parts.len(), 1, "{info}");
        assert_eq!(parts[0]["start"], PARTITION_OFFSET);
        assert_eq!(parts[0]["length"], PARTITION_SIZE);

        let text = disk(&job, &["info", name(&job)]).code(0).stdout;
        for words in [
            format!("format:        {said}"),
            DISK_SIZE.to_string(),
            PARTITION_OFFSET.to_string(),
        ] {
            assert!(text.contains(&words), "{words} in {text}");
        }
        job.source_is_untouched();
    }
}

#[test]
fn a_map_covers_the_disk_and_its_zeros_are_zero() {
    let Some(job) = job("a_map_covers_the_disk_and_its_zeros_are_zero", Format::Raw) else {
        return;
    };
    let map = disk(&job, &["map", name(&job), "--output", "json"])
        .code(0)
        .json_of("disk map");
    let text = disk(&job, &["map", name(&job)]).code(0).stdout;
    let entries = map.as_array().unwrap();
    assert_eq!(text.lines().count(), entries.len() + 1);
    let file = File::open(&job.source).unwrap();
    let (mut end, mut data) = (0, 0);
    for entry in entries {
        let (offset, length) = (
            entry["offset"].as_u64().unwrap(),
            entry["length"].as_u64().unwrap(),
        );
        assert_eq!(offset, end, "{entry}");
        end = offset + length;
        if entry["kind"] == "data" {
            data += length;
        } else {
            let mut bytes = vec![1; usize::try_from(length).unwrap()];
            file.read_exact_at(&mut bytes, offset).unwrap();
            assert!(bytes.iter().all(|byte| *byte == 0), "{entry}");
        }
    }
    assert_eq!(end, DISK_SIZE);
    assert!(0 < data && data < DISK_SIZE, "{data} of {DISK_SIZE}");
}

#[test]
fn convert_gives_the_same_disk_and_overwrites_nothing() {
    let test = "convert_gives_the_same_disk_and_overwrites_nothing";
    let Some(job) = job(test, Format::VmdkStreamOptimized) else {
        return;
    };
    let source = name(&job).to_owned();
    let report = disk(&job, &["convert", &source, "a.qcow2", "--output", "json"])
        .code(0)
        .json_of("disk convert");
    assert_eq!(report["virtual_size"], DISK_SIZE);
    assert_eq!(
        report["file_size"],
        fs::metadata(job.path("a.qcow2")).unwrap().len()
    );
    let said = disk(&job, &["convert", &source, "b.img"]).code(0).stdout;
    assert!(said.contains("b.img"), "{said}");
    let _ = disk(
        &job,
        &["convert", &source, "c", "--to", "qcow2", "--compress", "1"],
    )
    .code(0);
    assert!(
        job.path("c").metadata().unwrap().len() < job.path("a.qcow2").metadata().unwrap().len()
    );
    for made in ["a.qcow2", "b.img", "c"] {
        let (made, source) = (job.path(made), job.source.clone());
        tool(
            "qemu-img",
            &["compare".as_ref(), source.as_ref(), made.as_ref()],
        );
    }
    tool("qemu-img", &["check".as_ref(), job.path("c").as_ref()]);

    let before = sha256(&job.path("a.qcow2"));
    disk(&job, &["convert", &source, "a.qcow2"])
        .code(1)
        .says(&["a.qcow2"]);
    assert_eq!(sha256(&job.path("a.qcow2")), before);
    disk(&job, &["convert", &source, "d"])
        .code(1)
        .says(&["--to qcow2"]);
    disk(&job, &["convert", &source, "d.raw", "--compress", "1"])
        .code(1)
        .says(&["only qcow2"]);
    job.only_has(&["a.qcow2", "b.img", "c"]);
    job.source_is_untouched();
}

#[test]
fn compare_ends_with_0_1_or_2() {
    let Some(job) = job("compare_ends_with_0_1_or_2", Format::Qcow2) else {
        return;
    };
    let _ = disk(&job, &["convert", "guest.qcow2", "same.raw"]).code(0);
    let same = ["compare", "guest.qcow2", "same.raw"];
    assert!(disk(&job, &same).code(0).stdout.contains("identical"));
    let _ = disk(&job, &["convert", "same.raw", "other.raw"]).code(0);
    let at = PARTITION_OFFSET + 1234;
    let other = File::options()
        .read(true)
        .write(true)
        .open(job.path("other.raw"))
        .unwrap();
    let mut byte = [0];
    other.read_exact_at(&mut byte, at).unwrap();
    other.write_all_at(&[!byte[0]], at).unwrap();
    let differ = ["compare", "guest.qcow2", "other.raw"];
    let text = disk(&job, &differ).code(1).stdout;
    assert!(text.contains(&format!("first at byte {at}")), "{text}");
    let json = disk(&job, &[&differ[..], &["--output", "json"]].concat())
        .code(1)
        .json_of("disk compare");
    assert_eq!(json["identical"], false);
    assert_eq!(json["first_difference"], at);
    // A longer disk whose rest is zero is the same disk.
    File::options()
        .append(true)
        .open(job.path("same.raw"))
        .unwrap()
        .set_len(DISK_SIZE + 512)
        .unwrap();
    let longer = disk(&job, &same).code(0).stdout;
    assert!(longer.contains("but for their size"), "{longer}");
    disk(&job, &["compare", "guest.qcow2", "missing.raw"])
        .code(2)
        .says(&["missing.raw"]);
    let missing = ["info", "missing.raw", "--output", "json"];
    assert_eq!(disk(&job, &missing).code(1).problem()["code"], "not-found");
}

#[test]
fn a_cut_file_is_an_error_that_names_file_and_place() {
    let test = "a_cut_file_is_an_error_that_names_file_and_place";
    for format in [
        Format::Qcow2,
        Format::VmdkStreamOptimized,
        Format::VmdkMonolithicSparse,
    ] {
        let Some(job) = job(test, format) else {
            return;
        };
        let length = fs::metadata(&job.source).unwrap().len();
        for keep in [300, length / 2] {
            let cut = job.path("cut");
            fs::copy(&job.source, &cut).unwrap();
            File::options()
                .write(true)
                .open(&cut)
                .unwrap()
                .set_len(keep)
                .unwrap();
            let said = ["qcow2", "vmdk"][usize::from(format != Format::Qcow2)];
            let ran = disk(&job, &["convert", "cut", "made.raw", "--format", said]).code(1);
            ran.says(&["error: ", "cut", "byte"]);
            assert!(!job.path("made.raw").exists());
            fs::remove_file(cut).unwrap();
            job.only_has(&[]);
        }
    }
}
