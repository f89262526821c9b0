//! The output folder: never anything in it that only looks finished.

use crate::common::{Bench, JsonTrees, boot, guest};
use cofferdam_disk::DiskError;
use cofferdam_orchestrator::MigrateError;
use cofferdam_orchestrator::migration::apply::copy;
use cofferdam_orchestrator::migration::output::{CopiedDisk, published};
use cofferdam_orchestrator::migration::{Output, Report, apply, run};
use std::path::Path;
use std::sync::Arc;

#[tokio::test]
async fn what_is_there_decides_whether_a_run_may_begin() {
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![]);
    let (out, names) = (bench.out(), vec!["vm0.raw".to_owned()]);
    let staging = out.join(".cofferdam-unfinished");
    std::fs::create_dir_all(&staging).unwrap();
    std::fs::write(staging.join("vm0.raw.part"), "stale").unwrap();
    let first = Output::prepare(&out, &names).unwrap();
    assert!(!staging.join("vm0.raw.part").exists());
    let second = Output::prepare(&out, &names).err().unwrap();
    assert!(
        matches!(second, MigrateError::Disk(DiskError::Locked { .. })),
        "{second}"
    );
    let rehearsed = run::plan(&bench.request).await.unwrap();
    apply(rehearsed, &bench.request, first, 1).await.unwrap();
    assert!(!staging.exists());
    for names in [&names[..], &["another.raw".to_owned()]] {
        let error = Output::prepare(&out, names).err().unwrap();
        assert!(
            matches!(error, MigrateError::Disk(DiskError::Exists { .. })),
            "{error}"
        );
    }
    std::fs::remove_file(out.join("vm0.raw")).unwrap();
    assert!(Output::prepare(&out, &names).is_ok());
}

#[tokio::test]
async fn a_second_disk_that_fails_leaves_no_first_one() {
    let bench = Bench::new(&[guest(), boot()], JsonTrees::honest(), vec![]);
    for publishing in [false, true] {
        boot().disk(&bench.folder.path().join("vm1.img"));
        let rehearsed = run::plan(&bench.request).await.unwrap();
        let output = Output::prepare(&bench.out(), &rehearsed.plan.disk_names()).unwrap();
        if publishing {
            std::fs::create_dir(bench.out().join("vm0-sdb.raw")).unwrap();
        } else {
            let second = std::fs::OpenOptions::new()
                .write(true)
                .open(bench.folder.path().join("vm1.img"))
                .unwrap();
            second.set_len(4096).unwrap();
        }
        apply(rehearsed, &bench.request, output, 1)
            .await
            .unwrap_err();
        // A folder that was made for nothing may be gone again.
        let files: Vec<_> = std::fs::read_dir(bench.out())
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| entry.file_name())
            .collect();
        assert!(files.is_empty(), "{files:?}");
    }
}

/// Two disks of a run, copied and not published.
async fn copied(bench: &Bench) -> (Vec<CopiedDisk>, Report) {
    let rehearsed = run::plan(&bench.request).await.unwrap();
    let names = rehearsed.plan.disk_names();
    let output = Arc::new(Output::of_run(&bench.out(), &names, "run-1").unwrap());
    let disks = copy(&rehearsed, &bench.request, &output, 2).await.unwrap();
    let again = copy(&rehearsed, &bench.request, &output, 2).await.unwrap();
    assert_eq!(again, disks, "what is copied is not copied again");
    let report = Report {
        disks: disks.iter().map(|copied| copied.disk.clone()).collect(),
        timings: std::collections::BTreeMap::new(),
        plan: rehearsed.plan,
    };
    (disks, report)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const ALL: [&str; 4] = ["report.json", "report.md", "vm0-sda.raw", "vm0-sdb.raw"];

#[tokio::test]
async fn publishing_goes_on_after_a_kill_at_any_point() {
    // What was moved before the kill; more than all: the unfinished folder is gone, too.
    for moved in 0..=ALL.len() + 1 {
        let bench = Bench::new(&[guest(), boot()], JsonTrees::honest(), vec![]);
        let (disks, mut report) = copied(&bench).await;
        let staging = bench.out().join(".cofferdam-unfinished");
        report.timings.insert("first".to_owned(), 1);
        std::fs::write(staging.join(ALL[0]), report.json().unwrap()).unwrap();
        std::fs::write(staging.join(ALL[1]), report.markdown()).unwrap();
        for name in ALL.iter().take(moved) {
            std::fs::rename(staging.join(name), bench.out().join(name)).unwrap();
        }
        if moved > ALL.len() {
            std::fs::remove_dir_all(&staging).unwrap();
        }
        assert_eq!(
            published(&bench.out(), &disks).is_some(),
            moved >= ALL.len()
        );
        if moved <= ALL.len() {
            let second = Report {
                timings: std::collections::BTreeMap::new(),
                ..report.clone()
            };
            let output = Output::of_run(&bench.out(), &report.plan.disk_names(), "run-1").unwrap();
            let shown = output.publish(&disks, second.clone()).unwrap();
            let expected = if moved > 2 { &report } else { &second };
            assert_eq!(&shown, expected, "{moved}");
        }
        assert_eq!(names(&bench.out()), ALL, "{moved}");
    }
}

#[tokio::test]
async fn what_somebody_else_put_there_meanwhile_stays() {
    for name in ALL {
        let bench = Bench::new(&[guest(), boot()], JsonTrees::honest(), vec![]);
        let (disks, report) = copied(&bench).await;
        std::fs::write(bench.out().join(name), "mine").unwrap();
        let names_of_disks = report.plan.disk_names();
        let publish = || {
            let output = Output::of_run(&bench.out(), &names_of_disks, "run-1").unwrap();
            output.publish(&disks, report.clone())
        };
        let error = publish().unwrap_err();
        assert!(
            matches!(error, MigrateError::Disk(DiskError::Exists { .. })),
            "{name}: {error}"
        );
        assert_eq!(names(&bench.out()), [".cofferdam-unfinished", name]);
        assert_eq!(std::fs::read(bench.out().join(name)).unwrap(), b"mine");
        // Nothing is lost: with the obstacle away it goes on.
        std::fs::remove_file(bench.out().join(name)).unwrap();
        publish().unwrap();
        assert_eq!(names(&bench.out()), ALL);
    }
}

#[tokio::test]
async fn an_unfinished_folder_belongs_to_one_run() {
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![]);
    let (out, disks) = (bench.out(), ["vm0.raw".to_owned()]);
    let staged = || names(&out.join(".cofferdam-unfinished"));
    let first = Output::of_run(&out, &disks, "run-1").unwrap();
    std::fs::write(first.staged("vm0.raw.part"), "half").unwrap();
    let error = Output::discard(&out, "run-1").unwrap_err();
    assert!(matches!(
        error,
        MigrateError::Disk(DiskError::Locked { .. })
    ));
    drop(first);
    // Its own again, with what it had; another's discard does nothing to it.
    Output::discard(&out, "run-2").unwrap();
    drop(Output::of_run(&out, &disks, "run-1").unwrap());
    assert_eq!(staged(), ["lock", "owner.json", "vm0.raw.part"]);
    // Another run begins anew.
    drop(Output::of_run(&out, &disks, "run-2").unwrap());
    assert_eq!(staged(), ["lock", "owner.json"]);
    Output::discard(&out, "run-2").unwrap();
    assert!(out.exists(), "it was there when the second run came");
    std::fs::remove_dir(&out).unwrap();
    drop(Output::of_run(&out, &disks, "run-3").unwrap());
    Output::discard(&out, "run-3").unwrap();
    assert!(
        !out.exists(),
        "it was made for the run, and nothing is in it"
    );
    Output::discard(&out, "run-3").unwrap();
}
