//! Databases of every earlier schema, with rows in them, open and go on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use cofferdam_store::{
    Decision, EventFilter, IdempotencyClaim, IdempotencyKey, LogFilter, NewToken, OperationBegun,
    RunState, StepState, Store, new_token_id,
};
use common::{attempt, audit, success};
use serde_json::json;

/// The crate's own statements, in order.
fn schemas() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/schema");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// A database as the host of `version` left it.
fn database(path: &Path, version: usize) {
    let sql = rusqlite::Connection::open(path).unwrap();
    sql.execute_batch("PRAGMA journal_mode = WAL").ok();
    for schema in schemas().iter().take(version) {
        sql.execute_batch(&fs::read_to_string(schema).unwrap())
            .unwrap();
    }
    for earlier in 1..=version {
        let rows = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/fixtures/schema_{earlier}.sql"));
        let rows = fs::read_to_string(&rows)
            .unwrap_or_else(|error| panic!("schema {earlier} has no rows to test: {error}"));
        sql.execute_batch(&rows).unwrap();
    }
    sql.pragma_update(None, "application_id", 0x4346_444d)
        .unwrap();
    sql.pragma_update(None, "user_version", i64::try_from(version).unwrap())
        .unwrap();
}

#[test]
fn every_earlier_schema_opens_and_goes_on() {
    let newest = schemas().len();
    assert!(newest >= 2);
    for version in 1..newest {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cofferdam.db");
        database(&path, version);
        let store = Store::open(&path).unwrap();
        let report = store.check().unwrap();
        assert_eq!(report.schema, i64::try_from(newest).unwrap());
        assert!(report.is_sound(), "{:?}", report.damage);

        // What was written is there.
        let detail = store.unfinished_runs(None, 10).unwrap().remove(0);
        assert_eq!(detail.run.id, "run-01");
        assert_eq!(detail.run.inputs, json!({ "size": 3 }));
        assert_eq!(detail.run.labels["team"], "red");
        let states: Vec<_> = detail.steps.iter().map(|step| step.state).collect();
        assert_eq!(
            states,
            [
                StepState::Succeeded,
                StepState::Running,
                StepState::WaitingApproval
            ]
        );
        assert_eq!(detail.approvals[0].digest, "d");
        assert_eq!(detail.artifacts[0].size, 4096);
        assert_eq!(detail.plugins[0].version, "0.1.0");
        let events = store.events(0, &EventFilter::default(), 100).unwrap();
        assert_eq!(events.len(), 6);
        let lines = store.logs("run-01", 0, &LogFilter::default(), 10).unwrap();
        assert_eq!(lines[0].message, "booting");
        assert_eq!(store.workflow("default", "nightly").unwrap().digest, "d1");

        if version >= 3 {
            // Answers that were kept without headers get the one that they had.
            for (key, media) in [
                ("made", Some("application/json")),
                ("refused", Some("application/problem+json")),
                ("nothing", None),
            ] {
                let key = IdempotencyKey {
                    actor: "grace".to_owned(),
                    key: key.to_owned(),
                };
                let claim = store.claim_request(&key, "POST /api/v1/runs", "d").unwrap();
                let IdempotencyClaim::Done(answer) = claim else {
                    panic!("{claim:?}");
                };
                let sent = answer.headers.get("content-type").map(String::as_str);
                assert_eq!(sent, media, "{key:?}");
            }
        }

        // And it goes on.
        store
            .decide_approval("run-01", "c", "d", Decision::Reject, None, &audit("x"))
            .unwrap();
        let mut again = attempt("b");
        again.interrupted = true;
        store.begin_attempt("run-01", again).unwrap();
        let (begun, _) = store
            .begin_operation("run-01", "b", "boot", &json!({}))
            .unwrap();
        assert!(matches!(begun, OperationBegun::Started { .. }));
        let ended = store
            .end_attempt("run-01", "b", 2, success(json!({})), vec![])
            .unwrap();
        assert!(ended[0].id > 6);
        assert_eq!(store.run("run-01").unwrap().state, RunState::Running);
        let token = NewToken {
            id: new_token_id(),
            user: "admin".to_owned(),
            label: "first".to_owned(),
            hash: "$argon2id$".to_owned(),
            expires: None,
        };
        assert!(
            store
                .create_first_admin(&token, &audit("token.create"))
                .unwrap()
        );
    }
}

#[test]
fn a_backup_of_an_earlier_schema_is_restored_and_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup.db");
    database(&backup, 1);
    rusqlite::Connection::open(&backup)
        .unwrap()
        .execute_batch("PRAGMA journal_mode = DELETE")
        .ok();
    let path = folder.path().join("cofferdam.db");
    let report = Store::restore(&backup, &path).unwrap();
    assert_eq!((report.schema, report.runs), (1, 1));
    let store = Store::open(&path).unwrap();
    assert_eq!(store.steps("run-01").unwrap().len(), 3);
}
