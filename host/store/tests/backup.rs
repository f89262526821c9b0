//! Backups while writes go on, and their return.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use cofferdam_store::{EventFilter, RunState, StepState, Store, StoreError};
use common::{Place, attempt, audit, new_run, running, succeed, success};
use serde_json::json;

/// What holds at every moment, because it was written in one transaction.
fn is_consistent(store: &Store) {
    assert!(store.check().unwrap().is_sound());
    for detail in store.unfinished_runs(None, 1000).unwrap() {
        let filter = EventFilter {
            run: Some(detail.run.id.clone()),
            kinds: vec!["step.".to_owned()],
            ..EventFilter::default()
        };
        let events = store.events(0, &filter, 1000).unwrap();
        for step in &detail.steps {
            let last = events
                .iter()
                .rfind(|event| event.step.as_ref() == Some(&step.step));
            let expected = match last.map(|event| event.kind.as_str()) {
                None => StepState::Pending,
                Some("step.started") => StepState::Running,
                Some("step.succeeded") => StepState::Succeeded,
                Some(other) => panic!("{other}"),
            };
            assert_eq!(step.state, expected, "{} {}", step.run, step.step);
        }
        // The end of one is the beginning of the next.
        let running = detail
            .steps
            .iter()
            .filter(|step| step.state == StepState::Running)
            .count();
        let succeeded = detail
            .steps
            .iter()
            .filter(|step| step.state == StepState::Succeeded)
            .count();
        assert!(running == 1 || succeeded == 0 || succeeded == detail.steps.len());
    }
}

#[test]
fn a_backup_taken_while_writes_go_on_is_of_one_moment() {
    let place = Place::new();
    let store = &place.store;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let steps: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
            let names: Vec<&str> = steps.iter().map(String::as_str).collect();
            let mut runs = 0;
            while !stop.load(Ordering::Relaxed) {
                let run = running(store, &names);
                store.begin_attempt(&run, attempt("s0")).unwrap();
                for pair in names.windows(2) {
                    store
                        .end_attempt(&run, pair[0], 1, success(json!({})), vec![attempt(pair[1])])
                        .unwrap();
                }
                runs += 1;
            }
            runs
        });
        let mut last = 0;
        for number in 0..8 {
            // Each has what was written before it.
            let before = store.newest_event().unwrap();
            let path = place.folder.path().join(format!("backup-{number}.db"));
            let report = store.backup(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            assert!(
                !path
                    .with_file_name(format!("backup-{number}.db-wal"))
                    .exists()
            );
            let restored = place.folder.path().join(format!("restored-{number}.db"));
            assert_eq!(Store::restore(&path, &restored).unwrap().runs, report.runs);
            let copy = Store::open(&restored).unwrap();
            let newest = copy.newest_event().unwrap();
            assert!(newest >= before && newest >= last);
            last = newest;
            is_consistent(&copy);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0);
    });
    is_consistent(store);
}

#[test]
fn a_restore_brings_back_what_was_and_keeps_what_it_replaced() {
    let place = Place::new();
    let backup = place.folder.path().join("backup.db");
    let kept = running(&place.store, &["a"]);
    succeed(&place.store, &kept, "a");
    place.store.backup(&backup).unwrap();
    assert!(matches!(
        place.store.backup(&backup),
        Err(StoreError::Exists { .. })
    ));
    let lost = running(&place.store, &["a"]);
    let given_out = place.store.newest_event().unwrap();

    let path = place.database();
    let error = Store::restore(&backup, &path).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(place.store.run(&lost).is_ok(), "a refusal changes nothing");

    let Place { store, folder } = place;
    drop(store);
    let first = Store::restore(&backup, &path).unwrap().replaced.unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.steps(&kept).unwrap()[0].state, StepState::Succeeded);
    assert!(matches!(store.run(&lost), Err(StoreError::NotFound { .. })));
    // Numbers that were given out since the backup are not given out again.
    let events = store
        .create_run(&new_run(&["a"]), &audit("run.start"))
        .unwrap();
    assert!(events[0].id > given_out);
    drop(store);
    // Each restore keeps what it replaced, and none what another one kept.
    let mut kept = vec![first.clone()];
    for _ in 0..3 {
        kept.extend(Store::restore(&backup, &path).unwrap().replaced);
    }
    kept.sort();
    kept.dedup();
    assert_eq!(kept.len(), 4, "{kept:?}");
    for file in &kept {
        assert_eq!(file.parent(), Some(folder.path()));
        let name = file.file_name().unwrap().to_string_lossy();
        assert!(name.starts_with("cofferdam.db.replaced-20"), "{name}");
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }
    let replaced = Store::open(first).unwrap();
    assert_eq!(replaced.run(&lost).unwrap().state, RunState::Running);
}

#[test]
fn a_restore_to_where_nothing_was_keeps_nothing() {
    let place = Place::new();
    let backup = place.folder.path().join("backup.db");
    place.store.backup(&backup).unwrap();
    let report = Store::restore(&backup, place.folder.path().join("new.db")).unwrap();
    assert_eq!(report.replaced, None);
}

#[test]
fn a_damaged_database_is_replaced_and_a_damaged_backup_is_not_taken() {
    let place = Place::new();
    let run = running(&place.store, &["a"]);
    let backup = place.folder.path().join("backup.db");
    place.store.backup(&backup).unwrap();
    let path = place.database();
    let Place { store, folder } = place;
    drop(store);

    let damaged = folder.path().join("damaged.db");
    let mut bytes = fs::read(&backup).unwrap();
    let length = bytes.len();
    bytes[length / 2..length / 2 + 4096].fill(0xa5);
    fs::write(&damaged, &bytes).unwrap();
    let before = fs::read(&path).unwrap();
    for from in [
        &damaged,
        &folder.path().join("none"),
        &folder.path().to_owned(),
    ] {
        Store::restore(from, &path).unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    assert!(!folder.path().join("cofferdam.db.part").exists());

    // A log that belongs to the damaged file must not be applied to the one restored.
    fs::write(&path, &bytes[..4096]).unwrap();
    fs::write(folder.path().join("cofferdam.db-wal"), [1; 9000]).unwrap();
    Store::restore(&backup, &path).unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.run(&run).unwrap().state, RunState::Running);
    is_consistent(&store);
}

#[test]
fn a_damaged_database_is_not_backed_up() {
    let place = Place::new();
    // Enough that the second half holds rows and nothing of the schema.
    for _ in 0..200 {
        running(&place.store, &["a"]);
    }
    let path = place.database();
    let Place { store, folder } = place;
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    for page in pages / 2..pages {
        bytes[page * 4096..page * 4096 + 12].fill(0xff);
    }
    fs::write(&path, &bytes).unwrap();
    let store = Store::open(&path).unwrap();
    let backup = folder.path().join("backup.db");
    let error = store.backup(&backup).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(!backup.exists() && !folder.path().join("backup.db.part").exists());
    assert!(!store.check().unwrap().is_sound());
}
