//! A call in a fresh instance and in a warm one, beside bare wasmtime and beside processes.

use crate::echo;
use crate::guest::{Bench, all_but};
use crate::peers::{Extism, Resident, spawned};
use crate::spells::{Way, head, row, spell};
use cofferdam_contract::bindings::exports::cofferdam::plugin::step::{Guest, GuestIndices};
use cofferdam_contract::services::Context;
use cofferdam_runtime::engine::{Allocation, PoolSize, build_with};
use cofferdam_runtime::{Extensions, PluginCode, Session};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::Store;
use wasmtime::component::{Component, InstancePre, Linker};

/// What is handed over and given back, bytes.
const SIZES: [usize; 3] = [0, 1 << 10, 64 << 10];

/// The same component without host: no limits, no services, no checks.
struct Bare {
    code: InstancePre<()>,
    exports: GuestIndices,
    warm: Option<(Store<()>, Guest)>,
}

impl Bare {
    fn new(component: &[u8]) -> Self {
        let engine = build_with(PoolSize { instances: 4 }, Allocation::Pool).unwrap();
        let component = Component::new(&engine, component).unwrap();
        let code = Linker::new(&engine).instantiate_pre(&component).unwrap();
        Self {
            exports: GuestIndices::new(&code).unwrap(),
            code,
            warm: None,
        }
    }

    async fn start(&self) -> (Store<()>, Guest) {
        let mut store = Store::new(self.code.engine(), ());
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.code.instantiate_async(&mut store).await.unwrap();
        let guest = self.exports.load(&mut store, &instance).unwrap();
        (store, guest)
    }

    async fn fresh(&self, input: &str) {
        let (mut store, guest) = self.start().await;
        let output = guest.call_execute(&mut store, input).await.unwrap();
        assert_eq!(output.unwrap().len(), input.len());
    }

    async fn warm(&mut self, input: &str) {
        if self.warm.is_none() {
            self.warm = Some(self.start().await);
        }
        let (store, guest) = self.warm.as_mut().unwrap();
        let output = guest.call_execute(store, input).await.unwrap();
        assert_eq!(output.unwrap().len(), input.len());
    }
}

/// One call in a fresh instance.
pub async fn fresh(
    code: &Arc<PluginCode>,
    exports: GuestIndices,
    run: &Arc<dyn Context>,
    input: &str,
) {
    let (given, length) = (input.to_owned(), input.len());
    let called = code.call_once(
        "execute",
        Arc::clone(run),
        Extensions::default(),
        move |store, instance| {
            Box::pin(async move {
                let guest = exports.load(&mut *store, instance)?;
                guest.call_execute(store, &given).await
            })
        },
    );
    assert_eq!(called.await.unwrap().unwrap().len(), length);
}

/// An instance that stays.
pub struct Warm {
    session: Session,
    guest: Guest,
}

impl Warm {
    pub async fn start(
        code: &Arc<PluginCode>,
        exports: GuestIndices,
        run: &Arc<dyn Context>,
    ) -> Self {
        let (code, run) = (Arc::clone(code), Arc::clone(run));
        let started = Session::start(code, run, Extensions::default(), Box::new(()));
        let mut session = started.await.unwrap();
        let guest = session.call("load", move |store, instance| {
            Box::pin(async move { exports.load(store, instance) })
        });
        let guest = guest.await.unwrap();
        Self { session, guest }
    }

    pub async fn call(&mut self, input: &str) {
        let (guest, given, length) = (self.guest.clone(), input.to_owned(), input.len());
        let called = self.session.call("execute", move |store, _| {
            Box::pin(async move { guest.call_execute(store, &given).await })
        });
        assert_eq!(called.await.unwrap().unwrap().len(), length);
    }
}

/// Ours, as the table has them: fresh and warm, from a guest thread and from another one.
struct Ours {
    bench: Bench,
    code: Arc<PluginCode>,
    exports: GuestIndices,
    run: Arc<dyn Context>,
}

impl Ours {
    async fn new(component: &[u8]) -> Self {
        let bench = Bench::new(&[]);
        let code = bench.code("echo", &all_but(&[]), component);
        let exports = GuestIndices::new(code.load().await.unwrap()).unwrap();
        Self {
            run: bench.run.clone(),
            bench,
            code,
            exports,
        }
    }

    async fn fresh(&self, input: &str) -> Duration {
        spell!(fresh(&self.code, self.exports.clone(), &self.run, input).await)
    }

    async fn warm(&self, input: &str) -> Duration {
        let mut warm = Warm::start(&self.code, self.exports.clone(), &self.run).await;
        spell!(warm.call(input).await)
    }
}

/// On the guest threads, as work that mostly calls plugins is.
async fn near(ours: &Arc<Ours>, input: &Arc<str>, is_fresh: bool) -> Duration {
    let handle = ours.bench.runtime.handle();
    let (ours, input) = (Arc::clone(ours), Arc::clone(input));
    let spell = handle.spawn(async move {
        if is_fresh {
            ours.fresh(&input).await
        } else {
            ours.warm(&input).await
        }
    });
    spell.await.unwrap()
}

const NAMES: [&str; 10] = [
    "fresh instance, bare wasmtime",
    "fresh instance, from the guest threads",
    "fresh instance, from another thread",
    "warm instance, bare wasmtime",
    "warm instance, from the guest threads",
    "warm instance, from another thread",
    "a process for each call (`cat`)",
    "a resident process over a pipe (`cat`)",
    "fresh plugin, Extism",
    "warm plugin, Extism",
];

async fn size(
    bare: &mut Bare,
    ours: &Arc<Ours>,
    extism: &mut Option<Extism>,
    size: usize,
    rounds: usize,
) -> Vec<Way> {
    let input: Arc<str> = "x".repeat(size).into();
    let mut ways = Vec::from(NAMES.map(Way::new));
    if extism.is_none() {
        ways.truncate(8);
    }
    let mut resident = Resident::start();
    // The first round fills caches and is not counted.
    for round in 0..=rounds {
        let mut took = vec![
            spell!(bare.fresh(&input).await),
            near(ours, &input, true).await,
            ours.fresh(&input).await,
            spell!(bare.warm(&input).await),
            near(ours, &input, false).await,
            ours.warm(&input).await,
            spell!(spawned(input.as_bytes())),
            spell!(resident.call(input.as_bytes())),
        ];
        if let Some(extism) = extism {
            took.push(extism.ask("fresh", size));
            took.push(extism.ask("warm", size));
        }
        for (way, took) in ways.iter_mut().zip(took) {
            if round > 0 {
                way.rounds.push(took);
            }
        }
    }
    ways
}

/// A figure, and how it stands to what it is compared with.
fn cell(ways: &[Way], at: usize) -> String {
    let own = &ways[at];
    let micros = own.micros();
    let against = match at {
        1 | 2 => format!(" ({:.2} x bare)", own.times(&ways[0])),
        4 | 5 => format!(" ({:.2} x bare)", own.times(&ways[3])),
        6..9 => format!(" ({:.1} x our fresh one)", own.times(&ways[1])),
        9 => format!(" ({:.1} x our warm one)", own.times(&ways[4])),
        _ => String::new(),
    };
    format!("{micros:.1}{against}")
}

/// Prints the table.
pub fn measure(rounds: usize) {
    // One worker beside the caller, as a server's handlers have.
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    tokio.block_on(async {
        let component = echo::component();
        let mut bare = Bare::new(&component);
        let ours = Arc::new(Ours::new(&component).await);
        let mut extism = Extism::start();
        let mut sizes = Vec::new();
        for bytes in SIZES {
            sizes.push(size(&mut bare, &ours, &mut extism, bytes, rounds).await);
        }
        head(&["one call, µs", "0", "1 KiB", "64 KiB"]);
        for (at, name) in NAMES.iter().enumerate().take(sizes[0].len()) {
            let cells = sizes.iter().map(|ways| cell(ways, at));
            row(&[(*name).to_owned()]
                .into_iter()
                .chain(cells)
                .collect::<Vec<_>>());
        }
    });
}
