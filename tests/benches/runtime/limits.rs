//! What each limit costs: a call with it and without it.
//!
//! Each mechanism is the runtime's own, put around the same call of bare wasmtime, alone.
//! What a call costs with all of them is the runtime's own call.

#[allow(
    dead_code,
    unused_imports,
    reason = "the runtime's own, of which a bench needs a part"
)]
#[path = "../../../host/runtime/src/log_budget.rs"]
mod log_budget;
#[allow(
    dead_code,
    unused_imports,
    reason = "the runtime's own, of which a bench needs a part"
)]
#[path = "../../../host/runtime/src/queue.rs"]
mod queue;

use crate::calls::{Warm, fresh};
use crate::echo;
use crate::guest::{Bench, all_but};
use crate::spells::{Way, head, row, spell};
use cofferdam_contract::bindings::exports::cofferdam::plugin::step::{Guest, GuestIndices};
use cofferdam_contract::limits::Limits;
use cofferdam_contract::services::Context;
use cofferdam_runtime::engine::{Allocation, PoolSize, build_with};
use cofferdam_runtime::limiter::InstanceLimiter;
use cofferdam_runtime::meter::{Meter, Metered};
use log_budget::{LogBudget, LogRate};
use queue::CallQueue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Engine, Instance, Module, Store, StoreContextMut, UpdateDeadline};

const LIMITS: Limits = Limits::DEFAULT;

/// Which limits are on.
#[derive(Debug, Clone, Copy, Default)]
struct On {
    held: bool,
    bytes: bool,
    handles: bool,
    cpu: bool,
    wall: bool,
    queue: bool,
    log: bool,
}

fn ways() -> Vec<(&'static str, On)> {
    let off = On::default();
    vec![
        ("none", off),
        ("memory, tables, instances", On { held: true, ..off }),
        ("bytes in a host call", On { bytes: true, ..off }),
        (
            "open handles",
            On {
                handles: true,
                ..off
            },
        ),
        ("guest CPU", On { cpu: true, ..off }),
        ("wall clock", On { wall: true, ..off }),
        ("calls at once, queue", On { queue: true, ..off }),
        ("log bytes and lines", On { log: true, ..off }),
    ]
}

/// An instance's part.
struct Held {
    limiter: Option<InstanceLimiter>,
    meter: Option<Arc<Meter>>,
    log: Option<LogBudget>,
}

/// A plugin's part.
struct Plugin {
    code: InstancePre<Held>,
    exports: GuestIndices,
    queue: CallQueue,
    rate: Arc<LogRate>,
}

fn tick(store: StoreContextMut<'_, Held>) -> wasmtime::Result<UpdateDeadline> {
    let spent = store.data().meter.as_ref().is_some_and(|m| m.is_spent());
    assert!(!spent, "a short call spends nothing");
    let others = Box::pin(tokio::task::yield_now());
    Ok(UpdateDeadline::YieldCustom(1, others))
}

impl Plugin {
    fn new(component: &[u8], engine: &Engine) -> Self {
        let component = Component::new(engine, component).unwrap();
        let code = Linker::new(engine).instantiate_pre(&component).unwrap();
        Self {
            exports: GuestIndices::new(&code).unwrap(),
            code,
            queue: CallQueue::new(&LIMITS),
            rate: Arc::new(LogRate::new(&LIMITS)),
        }
    }

    async fn start(&self, on: On) -> (Store<Held>, Guest) {
        let held = Held {
            limiter: on.held.then(|| InstanceLimiter::new(&LIMITS)),
            meter: on.cpu.then(Arc::default),
            log: on
                .log
                .then(|| LogBudget::new(&LIMITS, Arc::clone(&self.rate))),
        };
        let mut store = Store::new(self.code.engine(), held);
        if on.held {
            store.limiter(|held| held.limiter.as_mut().unwrap());
        }
        if on.bytes {
            store.set_hostcall_fuel((LIMITS.host_call_kib as usize) << 10);
        }
        if on.handles {
            store.set_max_component_handles(LIMITS.open_handles as usize);
        }
        if on.cpu {
            store.epoch_deadline_callback(tick);
        }
        store.set_epoch_deadline(if on.cpu { 1 } else { u64::MAX / 2 });
        let instance = self.code.instantiate_async(&mut store).await.unwrap();
        let guest = self.exports.load(&mut store, &instance).unwrap();
        (store, guest)
    }

    async fn call(&self, on: On, store: &mut Store<Held>, guest: &Guest) {
        let _turn = if on.queue {
            Some(self.queue.enter(|| {}).await.unwrap())
        } else {
            None
        };
        let held = store.data_mut();
        if let Some(limiter) = &mut held.limiter {
            limiter.forget_refusals();
        }
        if let Some(log) = &mut held.log {
            log.begin_call();
        }
        let wall = Duration::from_millis(LIMITS.wall_ms.into());
        let meter = held.meter.clone();
        if let Some(meter) = &meter {
            meter.reset(Duration::from_millis(LIMITS.cpu_ms.into()));
            store.set_epoch_deadline(1);
        }
        let call = guest.call_execute(store, "");
        let output = match (meter, on.wall) {
            (None, false) => call.await,
            (Some(meter), _) => Metered::new(meter, call).await.unwrap(),
            (None, true) => tokio::time::timeout(wall, call).await.unwrap(),
        };
        assert!(output.unwrap().unwrap().is_empty());
    }

    async fn fresh(&self, on: On) {
        let (mut store, guest) = self.start(on).await;
        self.call(on, &mut store, &guest).await;
    }
}

/// Counts the epochs of an engine, as the runtime does, until it is dropped.
struct Ticker(Arc<AtomicBool>);

impl Ticker {
    fn start(engine: &Engine) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
                engine.increment_epoch();
            }
        });
        Self(stop)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The runtime's own call, on its own threads; fresh and warm.
async fn whole(bench: &Bench, component: &[u8]) -> impl AsyncFn() -> (Duration, Duration) {
    let code = bench.code("echo", &all_but(&[]), component);
    let exports = GuestIndices::new(code.load().await.unwrap()).unwrap();
    let handle = bench.runtime.handle().clone();
    let run: Arc<dyn Context> = bench.run.clone();
    async move || {
        let (code, exports, run) = (Arc::clone(&code), exports.clone(), Arc::clone(&run));
        let spells = handle.spawn(async move {
            let cold = spell!(fresh(&code, exports.clone(), &run, "").await);
            let mut warm = Warm::start(&code, exports, &run).await;
            (cold, spell!(warm.call("").await))
        });
        spells.await.unwrap()
    }
}

/// A function that only computes, and the same with the points where it can be stopped.
fn computing(interruptible: bool) -> impl FnMut() {
    let mut config = Config::new();
    config.epoch_interruption(interruptible);
    let engine = Engine::new(&config).unwrap();
    let text = "(module (func (export \"mix\") (result i64) (local $i i32) (local $hash i64)
        (loop $on
            (local.set $hash (i64.mul (i64.const 0x100000001b3)
                (i64.xor (local.get $hash) (i64.extend_i32_u (local.get $i)))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $on (i32.lt_u (local.get $i) (i32.const 100000))))
        (local.get $hash)))";
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    if interruptible {
        store.set_epoch_deadline(u64::MAX / 2);
    }
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let mix = instance
        .get_typed_func::<(), i64>(&mut store, "mix")
        .unwrap();
    move || {
        mix.call(&mut store, ()).unwrap();
    }
}

async fn table(rounds: usize) {
    let component = echo::component();
    let engine = build_with(PoolSize { instances: 4 }, Allocation::Pool).unwrap();
    let _ticker = Ticker::start(&engine);
    let plugin = Plugin::new(&component, &engine);
    let bench = Bench::new(&[]);
    let whole = whole(&bench, &component).await;
    let (mut plain, mut stoppable) = (computing(false), computing(true));

    let ways = ways();
    let columns = || ways.iter().map(|(name, _)| Way::new(name)).collect();
    let (mut fresh, mut warm): (Vec<Way>, Vec<Way>) = (columns(), columns());
    let mut all = [Way::new("all of them"), Way::new("all of them")];
    let mut loops = [Way::new("plain"), Way::new("stoppable")];
    for round in 0..=rounds {
        for (at, (_, on)) in ways.iter().enumerate() {
            let cold = spell!(plugin.fresh(*on).await);
            let (mut store, guest) = plugin.start(*on).await;
            let stays = spell!(plugin.call(*on, &mut store, &guest).await);
            if round > 0 {
                fresh[at].rounds.push(cold);
                warm[at].rounds.push(stays);
            }
        }
        let (cold, stays) = whole().await;
        let mixes = [spell!(plain()), spell!(stoppable())];
        if round > 0 {
            all[0].rounds.push(cold);
            all[1].rounds.push(stays);
            loops[0].rounds.push(mixes[0]);
            loops[1].rounds.push(mixes[1]);
        }
    }

    head(&["limit", "on a fresh call, ns", "on a warm call, ns"]);
    for (fresh_way, warm_way) in fresh.iter().zip(&warm).skip(1) {
        row(&[
            fresh_way.name.to_owned(),
            format!("{:+.0}", fresh_way.beyond(&fresh[0])),
            format!("{:+.0}", warm_way.beyond(&warm[0])),
        ]);
    }
    row(&[
        "all, and everything else that the runtime does".to_owned(),
        format!("{:+.0}", all[0].beyond(&fresh[0])),
        format!("{:+.0}", all[1].beyond(&warm[0])),
    ]);
    row(&[
        "none: the call itself".to_owned(),
        format!("{:.0}", fresh[0].micros() * 1e3),
        format!("{:.0}", warm[0].micros() * 1e3),
    ]);
    println!(
        "\nGuest CPU also makes the guest's own loops slower: {:.2} x, in one that only computes.",
        loops[1].times(&loops[0])
    );
}

/// Prints the table.
pub fn measure(rounds: usize) {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    tokio.block_on(table(rounds));
}
