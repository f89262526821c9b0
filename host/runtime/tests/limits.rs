//! Each limit alone: the guest breaks one, the others are generous, and the failure names
//! the plugin, the call and the limit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod guest;

use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::services::Context;
use guest::{
    Bench, TestHost, all_but, alone, assert_limit, component, component_with_memory, fixer,
    import_cancelled, import_progress,
};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wasmtime::StoreContextMut;

const LOOP: &str = "(loop $again (br $again))";

/// Runs `fix` of a guest that needs no host functions, all limits but these at their
/// ceilings. Only the limit that ends the call is reached.
async fn run(component: &[u8], tight: &[(&str, u32)]) -> Result<(), CallError> {
    let bench = Bench::new(&[]);
    let code = bench.code("guest", &alone(tight), component);
    let result = bench.fix(&code).await.map(|result| result.unwrap());
    match &result {
        Err(CallError::Limit { limit, .. }) => assert_eq!(bench.reached.by_guest(), [*limit]),
        _ => assert_eq!(bench.reached.by_guest(), []),
    }
    result
}

/// A host function `cancelled` that does `work` and returns false.
macro_rules! host {
    ($work:expr) => {
        TestHost(
            move |linker: &mut wasmtime::component::LinkerInstance<'_, _>| {
                linker.func_wrap_async("cancelled", |_: StoreContextMut<'_, _>, (): ()| {
                    Box::new(async move {
                        $work;
                        Ok((false,))
                    })
                })
            },
        )
    };
}

#[tokio::test]
async fn a_good_guest_stays_within_all_of_them() {
    run(&fixer("", ""), &[]).await.unwrap();
}

#[tokio::test]
async fn cpu_a_busy_loop() {
    let result = run(&fixer("", LOOP), &[("cpu-ms", 100)]).await;
    assert_limit(result, Limit::Cpu, "fix", "100 ms");
}

#[tokio::test]
async fn cpu_a_loop_of_cheap_host_calls() {
    let host = host!({});
    let bench = Bench::new(&[&host]);
    let body = "(loop $again (drop (call $host)) (br $again))";
    let guest = fixer(&import_cancelled(), body);
    let code = bench.code("guest", &all_but(&[("cpu-ms", 100)]), &guest);
    assert_limit(bench.fix(&code).await, Limit::Cpu, "fix", "100 ms");
}

#[tokio::test]
async fn cpu_work_of_one_host_call_counts() {
    let host = host!({
        let until = std::time::Instant::now() + Duration::from_secs(2);
        while std::time::Instant::now() < until {}
    });
    let bench = Bench::new(&[&host]);
    let guest = fixer(&import_cancelled(), "(drop (call $host))");
    let code = bench.code("guest", &all_but(&[("cpu-ms", 20)]), &guest);
    assert_limit(bench.fix(&code).await, Limit::Cpu, "fix", "20 ms");
}

#[tokio::test]
async fn cpu_a_start_function_counts() {
    let guest = component(
        "fixer",
        "",
        &format!(
            "(func $start {LOOP}) (start $start)
             (func (export \"{}\") (result i32) (i32.const 0))",
            guest::FIX
        ),
    );
    let result = run(&guest, &[("cpu-ms", 100)]).await;
    assert_limit(result, Limit::Cpu, "start", "100 ms");
}

#[tokio::test]
async fn cpu_a_sleeping_host_call_is_free() {
    let host = host!(tokio::time::sleep(Duration::from_secs(5)).await);
    let bench = Bench::new(&[&host]);
    let guest = fixer(&import_cancelled(), "(drop (call $host))");
    let code = bench.code("guest", &all_but(&[("cpu-ms", 100)]), &guest);
    bench.fix(&code).await.unwrap().unwrap();
}

#[tokio::test]
async fn wall_clock_a_busy_loop() {
    let result = run(&fixer("", LOOP), &[("wall-ms", 200)]).await;
    assert_limit(result, Limit::WallClock, "fix", "200 ms");
}

#[tokio::test]
async fn wall_clock_a_sleeping_host_call() {
    let host = host!(tokio::time::sleep(Duration::from_secs(3_600)).await);
    let bench = Bench::new(&[&host]);
    let guest = fixer(&import_cancelled(), "(drop (call $host))");
    let code = bench.code("guest", &all_but(&[("wall-ms", 200)]), &guest);
    assert_limit(bench.fix(&code).await, Limit::WallClock, "fix", "200 ms");
}

const GROW_UNTIL_REFUSED: &str = "(block $refused (loop $again
    (br_if $refused (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
    (br $again)))";

#[tokio::test]
async fn memory_a_guest_that_dies_of_it() {
    let body = format!("{GROW_UNTIL_REFUSED} (unreachable)");
    let result = run(&fixer("", &body), &[("memory-mib", 16)]).await;
    assert_limit(result, Limit::Memory, "fix", "16 MiB");
}

#[tokio::test]
async fn memory_a_guest_that_copes_goes_on() {
    run(&fixer("", GROW_UNTIL_REFUSED), &[("memory-mib", 16)])
        .await
        .unwrap();
}

#[tokio::test]
async fn memory_what_a_guest_begins_with_counts() {
    let fix = format!(
        "(func (export \"{}\") (result i32) (i32.const 0))",
        guest::FIX
    );
    let guest = component_with_memory("fixer", "", "(memory (export \"memory\") 257)", &fix);
    let result = run(&guest, &[("memory-mib", 16)]).await;
    assert_limit(result, Limit::Memory, "start", "16 MiB");
}

#[tokio::test]
async fn memory_the_highest_limit_can_be_used() {
    let body = "(if (i32.eq (memory.grow (i32.const 16000)) (i32.const -1)) (then unreachable))";
    run(&fixer("", body), &[("memory-mib", 1_024)])
        .await
        .unwrap();
}

#[tokio::test]
async fn table_elements_of_a_guest_that_dies_of_them() {
    let table = |body: &str| {
        let fields = format!(
            "(table $table 10 funcref)
             (func (export \"{}\") (result i32) {body} (i32.const 0))",
            guest::FIX
        );
        component("fixer", "", &fields)
    };
    let grow = "(i32.eq (table.grow $table (ref.null func) (i32.const 991)) (i32.const -1))";
    let dies = table(&format!("(if {grow} (then unreachable))"));
    let tight = [("table-elements", 1_000)];
    let result = run(&dies, &tight).await;
    assert_limit(result, Limit::TableElements, "fix", "1000 elements");
    run(&dies, &[("table-elements", 1_001)]).await.unwrap();
    run(&table(&format!("(drop {grow})")), &tight)
        .await
        .unwrap();
}

#[tokio::test]
async fn table_elements_that_a_guest_begins_with_count() {
    let fields = format!(
        "(table 2000 funcref) (func (export \"{}\") (result i32) (i32.const 0))",
        guest::FIX
    );
    let guest = component("fixer", "", &fields);
    let result = run(&guest, &[("table-elements", 1_000)]).await;
    assert_limit(result, Limit::TableElements, "start", "1000 elements");
}

#[tokio::test]
async fn stack_deep_recursion() {
    let guest = component(
        "fixer",
        "",
        &format!(
            "(func $deep (param i32) (result i32)
                (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
             (func (export \"{}\") (result i32) (call $deep (i32.const 0)))",
            guest::FIX
        ),
    );
    assert_limit(run(&guest, &[]).await, Limit::Stack, "fix", "512 KiB");
}

#[tokio::test]
async fn host_call_bytes_end_where_they_are_said_to() {
    let host = TestHost(|linker: &mut wasmtime::component::LinkerInstance<'_, _>| {
        linker.func_wrap(
            "progress",
            |_: StoreContextMut<'_, _>, (_, _, text): (u64, u64, String)| {
                assert!(!text.is_empty());
                Ok(())
            },
        )
    });
    let bench = Bench::new(&[&host]);
    for (bytes, fine) in [(16 << 20, true), (17 << 20, false)] {
        let body = format!(
            "(drop (memory.grow (i32.const 300)))
             (call $progress (i64.const 0) (i64.const 0) (i32.const 8) (i32.const {bytes}))"
        );
        let guest = fixer(&import_progress(), &body);
        let code = bench.code("guest", &all_but(&[]), &guest);
        let result = bench.fix(&code).await;
        if fine {
            result.unwrap().unwrap();
        } else {
            assert_limit(result, Limit::HostCallBytes, "fix", "16448 KiB");
        }
    }
}

#[tokio::test]
async fn a_trap_is_no_limit() {
    match run(&fixer("", "(unreachable)"), &[]).await {
        Err(CallError::Trapped { callee, reason }) => {
            assert_eq!(callee.to_string(), "plugin guest, call fix");
            assert!(reason.contains("unreachable"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_guest_that_does_not_heed_cancelling_is_stopped() {
    let bench = Bench::new(&[]);
    bench.run.cancelled.store(true, Ordering::Relaxed);
    let code = bench.code("guest", &all_but(&[]), &fixer("", LOOP));
    let result = bench.fix(&code).await;
    assert!(
        matches!(result, Err(CallError::Cancelled { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_busy_guest_does_not_keep_others_from_running() {
    let bench = Bench::new(&[]);
    let busy = bench.code("busy", &all_but(&[]), &fixer("", LOOP));
    let quick = bench.code("quick", &all_but(&[]), &fixer("", ""));
    let run: Arc<dyn Context> = bench.run.clone();
    let busy = tokio::spawn(async move { guest::fix(&busy, run).await });
    for _ in 0..20 {
        bench.fix(&quick).await.unwrap().unwrap();
    }
    assert!(!busy.is_finished());
    busy.abort();
}

/// A runtime whose `cancelled` calls another plugin, and says whether that succeeded.
fn nesting(inner: &Arc<OnceLock<Arc<cofferdam_runtime::PluginCode>>>) -> Bench {
    let inner = Arc::clone(inner);
    let host = TestHost(
        move |linker: &mut wasmtime::component::LinkerInstance<'_, cofferdam_runtime::State>| {
            let inner = Arc::clone(&inner);
            linker.func_wrap_async(
                "cancelled",
                move |store: StoreContextMut<'_, cofferdam_runtime::State>, (): ()| {
                    let inner = inner.get().cloned();
                    let context = Arc::clone(store.data().context());
                    Box::new(async move {
                        let ended = guest::fix(&inner.unwrap(), context).await;
                        if let Err(error) = &ended {
                            assert_eq!(error.callee().plugin, "inner");
                            assert!(matches!(
                                error,
                                CallError::Limit {
                                    limit: Limit::Cpu,
                                    ..
                                }
                            ));
                        }
                        Ok((ended.is_ok(),))
                    })
                },
            )
        },
    );
    Bench::new(&[&host])
}

/// About a second of work on any machine that runs these tests.
const WORK: &str = "(local $i i64)
    (loop $again
        (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (br_if $again (i64.lt_u (local.get $i) (i64.const 1000000000))))";

#[tokio::test]
async fn a_nested_plugin_is_charged_for_itself_alone() {
    let inner = Arc::new(OnceLock::new());
    let bench = nesting(&inner);
    let worker = bench.code("inner", &all_but(&[]), &fixer("", WORK));
    inner.set(worker).ok().unwrap();
    let body = "(if (i32.eqz (call $host)) (then unreachable))";
    let outer = fixer(&import_cancelled(), body);
    let code = bench.code("guest", &all_but(&[("cpu-ms", 50)]), &outer);
    bench.fix(&code).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_nested_plugin_is_stopped_at_its_own_limit() {
    let inner = Arc::new(OnceLock::new());
    let bench = nesting(&inner);
    let looping = bench.code("inner", &all_but(&[("cpu-ms", 100)]), &fixer("", LOOP));
    inner.set(looping).ok().unwrap();
    let body = "(if (call $host) (then unreachable))";
    let outer = fixer(&import_cancelled(), body);
    let code = bench.code("guest", &all_but(&[("cpu-ms", 50)]), &outer);
    bench.fix(&code).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_nested_plugin_does_not_free_the_outer_one() {
    let inner = Arc::new(OnceLock::new());
    let bench = nesting(&inner);
    let quick = bench.code("inner", &all_but(&[]), &fixer("", ""));
    inner.set(quick).ok().unwrap();
    let outer = fixer(&import_cancelled(), &format!("(drop (call $host)) {LOOP}"));
    let code = bench.code("guest", &all_but(&[("cpu-ms", 100)]), &outer);
    assert_limit(bench.fix(&code).await, Limit::Cpu, "fix", "100 ms");
}
