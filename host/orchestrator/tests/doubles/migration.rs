//! Whole runs.

use crate::common::{Bench, JsonTrees, State, attributes, boot, fixer, guest, once};
use cofferdam_contract::types::{ErrorCode, Severity};
use cofferdam_orchestrator::MigrateError;
use cofferdam_orchestrator::migration::{Output, Plan, apply, reproduce, run};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[tokio::test]
async fn fixers_run_in_order_and_see_each_other() {
    let first = once("first", |guest| async move {
        guest.edits.append("/os", b"+1".to_vec(), "r").await
    });
    let second = once("second", |guest| async move {
        let seen = guest.view.read_at("/os", 0, 10).await?;
        guest.edits.write("/etc/other", seen, "r").await
    });
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![first, second]);
    let rehearsed = run::plan(&bench.request).await.unwrap();
    let fixers: Vec<&str> = rehearsed
        .plan
        .edits
        .iter()
        .map(|e| e.fixer.as_str())
        .collect();
    assert_eq!(fixers, ["first", "first", "second", "second"]);
    let source = std::fs::read(&bench.request.sources[0]).unwrap();
    let output = Output::prepare(&bench.out(), &rehearsed.plan.disk_names()).unwrap();
    apply(rehearsed, &bench.request, output, 1).await.unwrap();
    let result = State::of_disk(&bench.out().join("vm0.raw"));
    assert_eq!(result.at("/etc/other").unwrap().content, b"test+1");
    assert_eq!(std::fs::read(&bench.request.sources[0]).unwrap(), source);
}

#[tokio::test]
async fn a_fixer_that_is_never_done_is_refused() {
    let greedy = fixer("greedy", |guest| async move {
        guest.edits.append("/os", b"x".to_vec(), "r").await
    });
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![greedy]);
    let error = run::plan(&bench.request).await.err().unwrap();
    assert!(
        matches!(error, MigrateError::NotIdempotent { ref edits } if edits.len() == 1),
        "{error}"
    );
}

#[tokio::test]
async fn failures_and_blocks_are_typed() {
    let failing = fixer("failing", |guest| async move {
        guest.view.stat("/nowhere", true).await.map(|_| ())
    });
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![failing]);
    let error = run::plan(&bench.request).await.err().unwrap();
    let MigrateError::Plugin(failure) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (failure.callee().plugin.as_str(), failure.code()),
        ("failing", ErrorCode::NotFound)
    );

    let blocking = fixer("blocking", |guest| async move {
        guest.edits.note(Severity::Block, "signed image")
    });
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![blocking]);
    let error = run::plan(&bench.request).await.err().unwrap();
    assert!(
        matches!(error, MigrateError::Blocked { .. }) && error.to_string().contains("signed image")
    );

    let bench = Bench::new(&[State::new()], JsonTrees::honest(), vec![]);
    let error = run::plan(&bench.request).await.err().unwrap();
    assert!(
        matches!(error, MigrateError::NoOperatingSystem { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_system_that_fails_at_any_write_ends_the_rehearsal() {
    for number in 1..=4 {
        let two = once("two", |guest| async move {
            guest.edits.append("/os", b"x".to_vec(), "r").await?;
            guest.edits.set_mode("/os", 0o600, "r").await
        });
        let mut trees = JsonTrees::honest();
        trees.fail_at = Some(number);
        let bench = Bench::new(&[guest()], trees, vec![two]);
        let error = run::plan(&bench.request).await.err().unwrap();
        assert!(
            matches!(error, MigrateError::Rehearsal { .. }),
            "{number}: {error}"
        );
        assert!(!bench.out().exists());
    }
}

#[tokio::test]
async fn a_plan_is_carried_out_again_or_refused() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let counting = once("counting", move |guest| {
        let calls = counter.fetch_add(1, Ordering::SeqCst) / 2;
        async move {
            guest
                .edits
                .write("/os", vec![b'0' + u8::try_from(calls).unwrap()], "r")
                .await
        }
    });
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![counting]);
    let plan = run::plan(&bench.request).await.unwrap().plan;
    assert_eq!(reproduce(&bench.request, &plan).await.unwrap().plan, plan);
    let error = reproduce(&bench.request, &plan).await.err().unwrap();
    assert!(
        matches!(error, MigrateError::PlanNotReproduced { .. }),
        "{error}"
    );
    guest().file("/more", "").disk(&bench.request.sources[0]);
    let error = reproduce(&bench.request, &plan).await.err().unwrap();
    assert!(
        matches!(error, MigrateError::PlanOutdated { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_edited_plan_file_is_refused() {
    let some = once("some", |guest| async move {
        guest.edits.write("/os", b"new".to_vec(), "r").await
    });
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![some]);
    let plan = run::plan(&bench.request).await.unwrap().plan;
    let file = bench.folder.path().join("plan.json");
    plan.write(&file).unwrap();
    assert_eq!(Plan::read(&file).unwrap(), plan);
    type Doctor = fn(&mut Plan);
    let cases: [(&str, Doctor); 5] = [
        ("edit", |p| p.edits[0].path = "/etc/shadow".to_owned()),
        ("diff", |p| p.changes[0].diff = None),
        ("name", |p| p.machine.name = "other".to_owned()),
        ("target", |p| p.binding.target.format = "qcow2".to_owned()),
        ("result", |p| p.results.clear()),
    ];
    for (what, doctor) in cases {
        let mut doctored = plan.clone();
        doctor(&mut doctored);
        doctored.write(&file).unwrap();
        let error = Plan::read(&file).unwrap_err();
        assert!(
            matches!(error, MigrateError::BadPlan { .. }),
            "{what}: {error}"
        );
    }
}

#[tokio::test]
async fn a_slow_plugin_is_cancelled_in_the_middle() {
    let slow = fixer("slow", |_| std::future::pending());
    let bench = Bench::new(&[guest()], JsonTrees::honest(), vec![slow]);
    let cancel = bench.request.cancel.clone();
    let stopper = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(run::plan(&bench.request), stopper);
    assert!(matches!(outcome, Err(MigrateError::Cancelled)));
}

#[tokio::test]
async fn edits_go_to_the_disk_that_holds_the_path() {
    let both = once("both", |guest| async move {
        guest
            .edits
            .append("/boot/kernel", b"!".to_vec(), "r")
            .await?;
        guest
            .edits
            .create("/boot/new", b"n".to_vec(), attributes(0o644), "r")
            .await
    });
    let bench = Bench::new(&[guest(), boot()], JsonTrees::honest(), vec![both]);
    let rehearsed = run::plan(&bench.request).await.unwrap();
    let output = Output::prepare(&bench.out(), &rehearsed.plan.disk_names()).unwrap();
    apply(rehearsed, &bench.request, output, 1).await.unwrap();
    let second = State::of_disk(&bench.out().join("vm0-sdb.raw"));
    assert_eq!(second.at("/kernel").unwrap().content, b"vmlinuz!");
    assert!(second.at("/new").is_ok());
    assert!(
        State::of_disk(&bench.out().join("vm0-sda.raw"))
            .at("/done-both")
            .is_ok()
    );
}

/// A machine whose second disk is in another folder, in a file of the same name.
fn two_folders() -> Bench {
    let both = once("both", |guest| async move {
        guest
            .edits
            .append("/boot/kernel", b"!".to_vec(), "r")
            .await?;
        guest.edits.append("/os", b"!".to_vec(), "r").await
    });
    let mut bench = Bench::new(&[guest()], JsonTrees::honest(), vec![both]);
    let folder = bench.folder.path().join("second");
    std::fs::create_dir(&folder).unwrap();
    let second = folder.join("vm0.img");
    boot().disk(&second);
    bench.request.sources.push(second.clone());
    bench.request.named.push(second);
    bench
}

#[tokio::test]
async fn disks_of_several_folders_are_one_machine() {
    let bench = two_folders();
    let rehearsed = run::plan(&bench.request).await.unwrap();
    let plan = rehearsed.plan.clone();
    assert_eq!(plan.cofferdam_plan, 2);
    assert_eq!(plan.sources(), bench.request.sources);
    assert_eq!(plan.disk_names(), ["vm0-sda.raw", "vm0-sdb.raw"]);
    let files: Vec<_> = plan
        .binding
        .source
        .iter()
        .map(|file| (file.given, file.name.as_str()))
        .collect();
    assert_eq!(files, [(0, "vm0.img"), (1, "vm0.img")]);
    let file = bench.folder.path().join("plan.json");
    plan.write(&file).unwrap();
    assert_eq!(Plan::read(&file).unwrap(), plan);
    assert_eq!(reproduce(&bench.request, &plan).await.unwrap().plan, plan);

    let output = Output::prepare(&bench.out(), &plan.disk_names()).unwrap();
    let report = apply(rehearsed, &bench.request, output, 2).await.unwrap();
    assert_eq!(report.disks.len(), 2);
    let first = State::of_disk(&bench.out().join("vm0-sda.raw"));
    assert_eq!(first.at("/os").unwrap().content, b"test!");
    let second = State::of_disk(&bench.out().join("vm0-sdb.raw"));
    assert_eq!(second.at("/kernel").unwrap().content, b"vmlinuz!");
    let report = std::fs::read_to_string(bench.out().join("report.md")).unwrap();
    for source in &bench.request.sources {
        assert!(report.contains(source.to_str().unwrap()), "{report}");
    }

    boot().file("/more", "").disk(&bench.request.sources[1]);
    let error = reproduce(&bench.request, &plan).await.err().unwrap();
    let MigrateError::PlanOutdated { changes } = error else {
        panic!("{error}")
    };
    assert_eq!(changes.len(), 1, "{changes:?}");
}

#[tokio::test]
async fn the_order_of_the_disks_is_part_of_the_plan() {
    let mut bench = two_folders();
    let plan = run::plan(&bench.request).await.unwrap().plan;
    bench.request.sources.reverse();
    let error = reproduce(&bench.request, &plan).await.err().unwrap();
    assert!(
        matches!(error, MigrateError::PlanOutdated { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_disk_that_is_given_twice_is_refused() {
    let mut bench = two_folders();
    let link = bench.folder.path().join("second/link.img");
    std::os::unix::fs::symlink(&bench.request.sources[0], &link).unwrap();
    for again in [bench.request.sources[0].clone(), link] {
        bench.request.sources.truncate(1);
        bench.request.sources.push(again);
        let error = run::plan(&bench.request).await.err().unwrap();
        assert!(matches!(error, MigrateError::SameFile { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_plan_of_another_format_says_so() {
    let bench = two_folders();
    let plan = run::plan(&bench.request).await.unwrap().plan;
    let file = bench.folder.path().join("plan.json");
    let mut json = serde_json::to_value(&plan).unwrap();
    json["cofferdam_plan"] = 3.into();
    json["what_is_new"] = true.into();
    std::fs::write(&file, json.to_string()).unwrap();
    let error = Plan::read(&file).unwrap_err().to_string();
    assert!(error.contains("format 3"), "{error}");
}
