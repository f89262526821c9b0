//! Each limit alone of those that are counted by the host's functions or by call: the guest
//! reaches one, the others are at their ceilings, and nothing else was reached.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod guest;

use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::limits::LimitOverrides;
use cofferdam_contract::services::Context;
use cofferdam_runtime::{Options, PluginCode, State};
use guest::{Bench, TestHost, alone, assert_limit, fixer, import_cancelled, import_progress};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use wasmtime::StoreContextMut;
use wasmtime::component::LinkerInstance;

/// Calls the host's function so many times.
fn repeatedly(times: u32) -> Vec<u8> {
    let body = format!(
        "(local $i i32)
         (loop $again
            (drop (call $host))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))"
    );
    fixer(&import_cancelled(), &body)
}

/// A host whose `progress` takes a text and does nothing with it.
fn listening() -> impl cofferdam_runtime::Capability {
    TestHost(|linker: &mut LinkerInstance<'_, State>| {
        linker.func_wrap(
            "progress",
            |_: StoreContextMut<'_, State>, (_, _, text): (u64, u64, String)| {
                assert!(!text.is_empty());
                Ok(())
            },
        )
    })
}

#[tokio::test]
async fn host_call_bytes() {
    let host = listening();
    for (bytes, fine) in [(60 << 10, true), (65 << 10, false)] {
        let bench = Bench::new(&[&host]);
        let body = format!(
            "(call $progress (i64.const 0) (i64.const 0) (i32.const 8) (i32.const {bytes}))"
        );
        let guest = fixer(&import_progress(), &body);
        let code = bench.code("guest", &alone(&[("host-call-kib", 64)]), &guest);
        let result = bench.fix(&code).await;
        if fine {
            result.unwrap().unwrap();
            assert_eq!(bench.reached.by_guest(), []);
        } else {
            assert_limit(result, Limit::HostCallBytes, "fix", "64 KiB");
            assert_eq!(bench.reached.by_guest(), [Limit::HostCallBytes]);
        }
    }
}

#[tokio::test]
async fn instances_of_which_a_component_is_made() {
    let host = listening();
    // A function with a text needs the guest's memory, and so instances that hand it over.
    let body = "(call $progress (i64.const 0) (i64.const 0) (i32.const 8) (i32.const 1))";
    let guest = fixer(&import_progress(), body);
    for (instances, fine) in [(1, false), (40, true)] {
        let bench = Bench::new(&[&host]);
        let code = bench.code("guest", &alone(&[("instances", instances)]), &guest);
        let result = bench.fix(&code).await;
        if fine {
            result.unwrap().unwrap();
            assert_eq!(bench.reached.by_guest(), []);
        } else {
            assert_limit(result, Limit::Instances, "start", "1 core instances");
            assert_eq!(bench.reached.by_guest(), [Limit::Instances]);
        }
    }
}

#[tokio::test]
async fn open_handles() {
    let import = "(import \"wasi:clocks/monotonic-clock@0.2.6\" \"subscribe-duration\"
        (func $subscribe (param i64) (result i32)))";
    let body = "(local $i i32)
        (loop $again
            (drop (call $subscribe (i64.const 1)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const 50))))";
    // Each pollable is one handle of the guest and two of the host's resources: the timer,
    // and what polls it.
    for (handles, fine) in [(20, false), (100, true)] {
        let bench = Bench::new(&[]);
        let limits = alone(&[("open-handles", handles)]);
        let code = bench.code("guest", &limits, &fixer(import, body));
        let result = bench.fix(&code).await;
        if fine {
            result.unwrap().unwrap();
            assert_eq!(bench.reached.by_guest(), []);
        } else {
            assert_limit(result, Limit::OpenHandles, "fix", "20 handles");
            assert_eq!(bench.reached.by_guest(), [Limit::OpenHandles]);
        }
    }
}

/// A host whose `cancelled` sends 100 bytes, and ends the call or says so where they are
/// not left.
fn sending(ends: bool) -> impl cofferdam_runtime::Capability {
    TestHost(move |linker: &mut LinkerInstance<'_, State>| {
        linker.func_wrap(
            "cancelled",
            move |store: StoreContextMut<'_, State>, (): ()| match store.data().charge_egress(100) {
                Err(spent) if ends => Err(wasmtime::Error::new(spent)),
                charged => Ok((charged.is_err(),)),
            },
        )
    })
}

#[tokio::test]
async fn egress() {
    for (times, ends, fine) in [(10, true, true), (11, true, false), (11, false, true)] {
        let host = sending(ends);
        let bench = Bench::new(&[&host]);
        let code = bench.code("guest", &alone(&[("egress-kib", 1)]), &repeatedly(times));
        // Each call has a budget of its own.
        for _ in 0..2 {
            let result = bench.fix(&code).await;
            if fine {
                result.unwrap().unwrap();
            } else {
                assert_limit(result, Limit::Egress, "fix", "1 KiB a call");
            }
        }
        let reached: &[Limit] = if times > 10 { &[Limit::Egress] } else { &[] };
        assert_eq!(bench.reached.by_guest(), reached);
    }
}

/// A host whose `cancelled` logs a line of 100 bytes and counts those that were not dropped.
fn logging(logged: &Arc<AtomicUsize>) -> impl cofferdam_runtime::Capability {
    let logged = Arc::clone(logged);
    TestHost(move |linker: &mut LinkerInstance<'_, State>| {
        let logged = Arc::clone(&logged);
        linker.func_wrap(
            "cancelled",
            move |mut store: StoreContextMut<'_, State>, (): ()| {
                let charged = store.data_mut().charge_log(100);
                logged.fetch_add(usize::from(charged.is_ok()), Ordering::Relaxed);
                Ok((false,))
            },
        )
    })
}

#[tokio::test]
async fn log_bytes_by_call() {
    let logged = Arc::default();
    let host = logging(&logged);
    let bench = Bench::new(&[&host]);
    let code = bench.code("guest", &alone(&[("log-kib", 1)]), &repeatedly(50));
    for calls in 1..3 {
        bench.fix(&code).await.unwrap().unwrap();
        // A line costs 64 bytes beside its text.
        assert_eq!(logged.load(Ordering::Relaxed), calls * (1_024 / 164));
    }
    assert_eq!(bench.reached.by_guest(), [Limit::LogBytes]);
}

#[tokio::test]
async fn log_rate_over_all_calls() {
    let logged = Arc::default();
    let host = logging(&logged);
    let bench = Bench::new(&[&host]);
    let limits = alone(&[("log-lines-per-second", 1)]);
    let code = bench.code("guest", &limits, &repeatedly(1_000));
    let began = std::time::Instant::now();
    for _ in 0..3 {
        bench.fix(&code).await.unwrap().unwrap();
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    let logged = logged.load(Ordering::Relaxed);
    assert!((1..=seconds + 2).contains(&logged), "{logged} lines");
    assert_eq!(bench.reached.by_guest(), [Limit::LogRate]);
}

/// A host whose `cancelled` waits for `go`, and knows how many are there at once.
#[derive(Clone)]
struct Meeting {
    go: Arc<Semaphore>,
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Meeting {
    fn new() -> Self {
        Self {
            go: Arc::new(Semaphore::new(0)),
            inside: Arc::default(),
            most: Arc::default(),
        }
    }

    fn host(&self) -> impl cofferdam_runtime::Capability {
        let meeting = self.clone();
        TestHost(move |linker: &mut LinkerInstance<'_, State>| {
            let meeting = meeting.clone();
            linker.func_wrap_async("cancelled", move |_: StoreContextMut<'_, State>, (): ()| {
                let meeting = meeting.clone();
                Box::new(async move {
                    let now = meeting.inside.fetch_add(1, Ordering::SeqCst) + 1;
                    meeting.most.fetch_max(now, Ordering::SeqCst);
                    meeting.go.acquire().await.unwrap().forget();
                    meeting.inside.fetch_sub(1, Ordering::SeqCst);
                    Ok((false,))
                })
            })
        })
    }

    async fn until_inside(&self, expected: usize) {
        while self.inside.load(Ordering::SeqCst) != expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn spawn(bench: &Bench, code: &Arc<PluginCode>) -> tokio::task::JoinHandle<Result<(), CallError>> {
    let (code, run) = (Arc::clone(code), bench.run.clone() as Arc<dyn Context>);
    tokio::spawn(async move { guest::fix(&code, run).await.map(|result| result.unwrap()) })
}

#[tokio::test]
async fn concurrent_calls_wait_for_each_other() {
    let meeting = Meeting::new();
    let host = meeting.host();
    let bench = Bench::new(&[&host]);
    let code = bench.code("guest", &alone(&[("concurrent-calls", 2)]), &repeatedly(1));
    let calls: Vec<_> = (0..6).map(|_| spawn(&bench, &code)).collect();
    meeting.until_inside(2).await;
    meeting.go.add_permits(6);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(meeting.most.load(Ordering::SeqCst), 2);
    assert_eq!(bench.reached.by_guest(), [Limit::ConcurrentCalls]);
}

#[tokio::test]
async fn a_full_queue_fails_at_once_and_those_in_it_go_on() {
    let meeting = Meeting::new();
    let host = meeting.host();
    let bench = Bench::new(&[&host]);
    let limits = alone(&[("concurrent-calls", 1), ("queue-length", 2)]);
    let code = bench.code("guest", &limits, &repeatedly(1));
    let first = spawn(&bench, &code);
    meeting.until_inside(1).await;
    // As many as wait, whichever comes first; the others find the queue full.
    let mut others: Vec<_> = (0..5).map(|_| spawn(&bench, &code)).collect();
    let mut refused = Vec::new();
    while refused.len() < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        while let Some(place) = others.iter().position(|call| call.is_finished()) {
            refused.push(others.remove(place));
        }
    }
    for call in refused {
        let result = call.await.unwrap();
        assert_limit(result, Limit::QueueLength, "fix", "2 waiting calls");
    }
    meeting.go.add_permits(3);
    for call in others.into_iter().chain([first]) {
        call.await.unwrap().unwrap();
    }
    assert_eq!(
        bench.reached.by_guest(),
        [Limit::ConcurrentCalls, Limit::QueueLength]
    );
}

#[tokio::test]
async fn the_operator_decides_over_the_manifest() {
    let meeting = Meeting::new();
    let host = meeting.host();
    let decided = LimitOverrides {
        wall_ms: Some(150),
        ..LimitOverrides::default()
    };
    let options = Options {
        limits: BTreeMap::from([("guest".to_owned(), decided)]),
        ..Options::uncached()
    };
    let bench = Bench::with(&options, &[&host]);
    let code = bench.code("guest", &alone(&[]), &repeatedly(1));
    assert_limit(bench.fix(&code).await, Limit::WallClock, "fix", "150 ms");
    let other = bench.code("other", &alone(&[]), &repeatedly(1));
    meeting.go.add_permits(1);
    bench.fix(&other).await.unwrap().unwrap();
    let text = bench.fix(&code).await.unwrap_err().to_string();
    assert_eq!(
        text,
        "plugin guest, call fix: stopped at its wall-clock limit of 150 ms; raise `wall-ms` in \
         [plugins.guest.limits] of cofferdam.toml (at most 3600000) if the plugin is to be \
         trusted with more"
    );
}
