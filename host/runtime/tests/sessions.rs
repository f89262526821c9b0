//! Instances that live for several calls, and what ends them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod guest;

use cofferdam_contract::bindings::exports::cofferdam::plugin::fixing::GuestIndices;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::SessionSlot;
use cofferdam_contract::types::Error;
use cofferdam_runtime::{Extensions, Options, PluginCode, Session};
use guest::{Bench, CONTEXT, FIX, TestHost, all_but, component, fixer};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wasmtime::StoreContextMut;

/// Traps at its third call.
fn traps_at_third() -> Vec<u8> {
    component(
        "fixer",
        "",
        &format!(
            "(global $calls (mut i32) (i32.const 0))
             (func (export \"{FIX}\") (result i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (if (i32.eq (global.get $calls) (i32.const 3)) (then unreachable))
                (i32.const 0))"
        ),
    )
}

struct Open {
    session: Session,
    exports: GuestIndices,
}

async fn open(bench: &Bench, code: &Arc<PluginCode>, slot: SessionSlot) -> Open {
    let exports = GuestIndices::new(code.load().await.unwrap()).unwrap();
    let session = Session::start(
        Arc::clone(code),
        bench.run.clone(),
        Extensions::default(),
        Box::new(slot),
    )
    .await
    .unwrap();
    Open { session, exports }
}

impl Open {
    async fn fix(&mut self) -> Result<Result<(), Error>, CallError> {
        let exports = self.exports.clone();
        self.session
            .call("fix", move |store, instance| {
                guest::call_fix(exports, store, instance)
            })
            .await
    }
}

#[tokio::test]
async fn an_instance_keeps_its_memory_until_it_traps_and_is_never_used_again() {
    let bench = Bench::new(&[]);
    let code = bench.code("guest", &all_but(&[]), &traps_at_third());
    let mut open = open(&bench, &code, SessionSlot::unlimited()).await;
    open.fix().await.unwrap().unwrap();
    open.fix().await.unwrap().unwrap();
    let first = open.fix().await.unwrap_err();
    assert!(matches!(first, CallError::Trapped { .. }), "{first}");
    for _ in 0..2 {
        let later = open.fix().await.unwrap_err().to_string();
        assert!(later.contains("its session is over"), "{later}");
        assert!(later.contains("unreachable"), "it says why: {later}");
    }
}

#[tokio::test]
async fn limits_begin_anew_with_each_call_of_a_session() {
    let work = "(local $i i64)
        (loop $again
            (local.set $i (i64.add (local.get $i) (i64.const 1)))
            (br_if $again (i64.lt_u (local.get $i) (i64.const 50000000))))";
    let bench = Bench::new(&[]);
    let code = bench.code("guest", &all_but(&[("cpu-ms", 300)]), &fixer("", work));
    let mut open = open(&bench, &code, SessionSlot::unlimited()).await;
    for _ in 0..60 {
        open.fix().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_abandoned_call_stops_the_guest_and_gives_the_slot_back() {
    let bench = Bench::with(
        &Options {
            sessions: 1,
            ..Options::uncached()
        },
        &[],
    );
    let looping = fixer("", "(loop $again (br $again))");
    let code = bench.code("guest", &all_but(&[]), &looping);
    let slots = bench.runtime.session_slots();
    let slot = slots.reserve(1).await.unwrap().pop().unwrap();
    let mut open = open(&bench, &code, slot).await;
    let abandoned = tokio::time::timeout(Duration::from_millis(50), open.fix()).await;
    assert!(abandoned.is_err());
    let later = open.fix().await.unwrap_err().to_string();
    assert!(later.contains("abandoned"), "{later}");
    // The only slot is free again although the session is still held.
    assert_eq!(slots.reserve(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn more_callers_than_slots_wait_for_each_other() {
    let bench = Bench::with(
        &Options {
            calls: 2,
            ..Options::uncached()
        },
        &[],
    );
    let code = bench.code("guest", &all_but(&[]), &fixer("", ""));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (code, run) = (Arc::clone(&code), bench.run.clone());
        calls.spawn(async move { guest::fix(&code, run).await });
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn time_and_random_are_the_plans_and_nothing_else_is_there() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let host = TestHost(
        move |linker: &mut wasmtime::component::LinkerInstance<'_, _>| {
            let record = Arc::clone(&record);
            linker.func_wrap(
                "progress",
                move |_: StoreContextMut<'_, _>, (done, total, _): (u64, u64, String)| {
                    record.lock().unwrap().push((done, total));
                    Ok(())
                },
            )
        },
    );
    let bench = Bench::new(&[&host]);
    let imports = format!(
        "(import \"{CONTEXT}\" \"progress\" (func $progress (param i64 i64 i32 i32)))
         (import \"wasi:clocks/wall-clock@0.2.6\" \"now\" (func $now (param i32)))
         (import \"wasi:random/random@0.2.6\" \"get-random-u64\" (func $random (result i64)))
         (import \"wasi:cli/environment@0.2.6\" \"get-environment\" (func $env (param i32)))"
    );
    let body = "(call $now (i32.const 64))
        (call $progress (i64.load (i32.const 64)) (call $random) (i32.const 0) (i32.const 0))
        (call $env (i32.const 64))
        (if (i32.load (i32.const 68)) (then unreachable))";
    let code = bench.code("guest", &all_but(&[]), &fixer(&imports, body));
    for _ in 0..2 {
        bench.fix(&code).await.unwrap().unwrap();
    }
    let seen = seen.lock().unwrap();
    let [first, second] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!(first.0, u64::try_from(guest::PLAN_TIME.seconds).unwrap());
    assert_eq!(first, second, "the same input gives the same bytes");
    assert_ne!(first.1, 0);
}
