//! The host killed at every single write to its journal, one after the other.

use crate::chance::Chance;
use crate::host::{Thread, killed_at, live};
use crate::ledger::Ledger;
use crate::verdict::Case;
use serde_json::json;
use std::path::Path;

#[track_caller]
fn check(state: &Path, fail: bool, kills: u32, what: &str) {
    let ledger = Ledger::at(&state.with_extension("ledger"));
    let case = Case {
        state,
        fail,
        kills,
        outputs: json!({"last": "s10", "noted": true}),
        what,
    };
    for operation in case.check(&ledger.done(what)) {
        assert!(ledger.has(&operation.key), "{what}: {operation:?}");
        let result = Some(json!({"key": operation.key}));
        assert_eq!(operation.result, result, "{what}");
    }
}

/// One run in a new folder whose host is killed at one write; false if it made fewer.
fn survives(fail: bool, thread: Thread, write: u32) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let killed = killed_at(&state, fail, thread, write);
    if killed {
        live(&state, fail);
    }
    let context = format!("fail: {fail}, killed at write {write} of {thread:?}");
    check(&state, fail, u32::from(killed), &context);
    killed
}

/// Every write, each once.
fn every_write(fail: bool, least: [u32; 2]) {
    for (thread, least) in [Thread::Main, Thread::Blocking].into_iter().zip(least) {
        let unharmed = (1..)
            .find(|write| !survives(fail, thread, *write))
            .unwrap_or_default();
        println!("fail: {fail}: {thread:?} made {} writes", unharmed - 1);
        assert!(unharmed > least, "only {unharmed} writes of {thread:?}");
    }
}

#[test]
fn a_run_killed_at_every_write_succeeds_all_the_same() {
    every_write(false, [100, 100]);
}

#[test]
fn a_run_killed_at_every_write_is_compensated_all_the_same() {
    every_write(true, [100, 100]);
}

#[test]
fn a_run_killed_many_times_ends_the_same() {
    let mut chance = Chance::new("many kills of one run");
    for fail in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut kills = 0;
        loop {
            let thread = [Thread::Main, Thread::Blocking][usize::from(chance.below(3) == 0)];
            let write = 1 + u32::try_from(chance.below(60)).unwrap();
            if !killed_at(&state, fail, thread, write) {
                break;
            }
            kills += 1;
            assert!(kills < 500, "it never ends");
        }
        println!("fail: {fail}: {kills} kills of one run");
        check(&state, fail, kills, "killed many times");
    }
}
