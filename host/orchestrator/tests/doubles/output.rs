//! The output folder: never anything in it that only looks finished.

use crate::common::{Bench, JsonTrees, boot, guest};
use cofferdam_disk::DiskError;
use cofferdam_orchestrator::MigrateError;
use cofferdam_orchestrator::migration::run::{self, Output};

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
    run::apply(rehearsed, &bench.request, first, 1)
        .await
        .unwrap();
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
        run::apply(rehearsed, &bench.request, output, 1)
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
