//! The engine, the guest threads, a linker for each kind of plugin, slots and cache.

use crate::cache::Cache;
use crate::capability::Capability;
use crate::compiler::Compiler;
use crate::engine::{self, Allocation, PoolSize};
use crate::error::StartError;
use crate::guest_threads::GuestThreads;
use crate::slots::Slots;
use crate::state::State;
use crate::ticker;
use crate::turns::Turns;
use cofferdam_contract::kinds::{Kind, SessionSlots};
use cofferdam_contract::limits::{HostLimits, LimitObserver, LimitOverrides};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::runtime::Handle;
use wasmtime::Engine;
use wasmtime::component::Linker;

/// Components that are compiled at once; further ones wait. One would have everybody wait for
/// a component that was made to compile slowly, for as long as compiling may take; each more
/// could take the memory that compiling may take once more.
const COMPILERS: usize = 2;

/// How a runtime is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Outer calls (sources, inspectors, fixers) at once.
    pub calls: u32,
    /// Sessions (file systems) at once.
    pub sessions: u32,
    /// Calls of workflow steps at once: they may wait for a program for an hour, and must
    /// not take the places of the others.
    pub steps: u32,
    /// Where compiled code is kept.
    pub cache: Cache,
    /// Who compiles what is not in the cache.
    pub compiler: Compiler,
    /// What compiling may cost, where `limits` say nothing else of a plugin.
    pub host_limits: HostLimits,
    /// The operator's limits, by plugin id, instead of what manifests ask for and
    /// `host_limits` say.
    pub limits: BTreeMap<String, LimitOverrides>,
    /// Who is told of limits that are reached.
    pub observer: Arc<dyn LimitObserver>,
}

impl Options {
    /// Enough for a few migrations at once, with the cache in its default folder.
    pub fn with_default_cache() -> Self {
        Self {
            cache: crate::cache::default_folder()
                .map_or_else(Cache::disabled, |folder| Cache::open(&folder)),
            ..Self::uncached()
        }
    }

    /// The same sizes, with nothing kept.
    pub fn uncached() -> Self {
        Self {
            calls: 16,
            sessions: 64,
            steps: 128,
            cache: Cache::disabled(),
            compiler: Compiler::InThisProcess,
            host_limits: HostLimits::DEFAULT,
            limits: BTreeMap::new(),
            observer: Arc::new(()),
        }
    }
}

/// Some of the interfaces that a kind may be granted.
pub(crate) type Grantable = BTreeSet<&'static str>;

/// Runs plugins.
pub struct Runtime {
    engine: Engine,
    allocation: Allocation,
    linkers: BTreeMap<(Kind, Grantable), Linker<State>>,
    slots: Arc<Slots>,
    cache: Cache,
    compiler: Compiler,
    compiling: Turns,
    host_limits: HostLimits,
    overrides: BTreeMap<String, LimitOverrides>,
    observer: Arc<dyn LimitObserver>,
    threads: GuestThreads,
}

impl Runtime {
    /// Starts a runtime whose plugins may import the capabilities: each kind those of its
    /// world, and each plugin those that are granted to it.
    pub fn new(
        options: &Options,
        capabilities: &[&dyn Capability],
    ) -> Result<Arc<Self>, StartError> {
        let size = PoolSize {
            instances: options
                .calls
                .saturating_add(options.sessions)
                .saturating_add(options.steps),
        };
        let (engine, allocation) = engine::build(size)?;
        ticker::start(&engine)?;
        let mut linkers = BTreeMap::new();
        for kind in Kind::ALL {
            for granted in subsets(kind.grantable_imports()) {
                let linker = linker(&engine, kind, &granted, capabilities)?;
                linkers.insert((kind, granted), linker);
            }
        }
        Ok(Arc::new(Self {
            engine,
            allocation,
            linkers,
            slots: Arc::new(Slots::new(options)),
            cache: options.cache.clone(),
            compiler: options.compiler.clone(),
            compiling: Turns::new(COMPILERS),
            host_limits: options.host_limits,
            overrides: options.limits.clone(),
            observer: Arc::clone(&options.observer),
            threads: GuestThreads::start()?,
        }))
    }

    /// The threads that guests run on. Work that mostly calls plugins is cheaper when it
    /// is spawned here: its calls then need not change threads.
    pub fn handle(&self) -> &Handle {
        self.threads.handle()
    }

    /// Where instances come from.
    pub fn allocation(&self) -> Allocation {
        self.allocation
    }

    /// Where sessions of file systems come from.
    pub fn session_slots(&self) -> Arc<dyn SessionSlots> {
        Arc::clone(&self.slots) as Arc<dyn SessionSlots>
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The linker that has the imports of the kind's world and `granted`, and no other.
    pub(crate) fn linker(&self, kind: Kind, granted: Grantable) -> Option<&Linker<State>> {
        self.linkers.get(&(kind, granted))
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// What the operator decided on a plugin's limits.
    pub(crate) fn overrides(&self, plugin: &str) -> LimitOverrides {
        self.overrides.get(plugin).copied().unwrap_or_default()
    }

    pub(crate) fn observer(&self) -> &Arc<dyn LimitObserver> {
        &self.observer
    }

    pub(crate) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    pub(crate) fn compiling(&self) -> &Turns {
        &self.compiling
    }

    /// What compiling a plugin may cost.
    pub(crate) fn host_limits(&self, plugin: &str) -> HostLimits {
        self.host_limits.overridden(&self.overrides(plugin))
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn threads(&self) -> &GuestThreads {
        &self.threads
    }
}

/// Every choice out of a few interfaces.
fn subsets(interfaces: &[&'static str]) -> Vec<Grantable> {
    let mut subsets = vec![Grantable::new()];
    for interface in interfaces {
        let mut with: Vec<Grantable> = subsets.clone();
        for subset in &mut with {
            subset.insert(interface);
        }
        subsets.append(&mut with);
    }
    subsets
}

fn linker(
    engine: &Engine,
    kind: Kind,
    granted: &Grantable,
    capabilities: &[&dyn Capability],
) -> Result<Linker<State>, StartError> {
    let refused = |interface: &str, error: wasmtime::Error| StartError::Capability {
        interface: interface.to_owned(),
        reason: format!("{error:#}"),
    };
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(|error| refused("wasi", error))?;
    let inherent = kind.inherent_imports();
    for capability in capabilities {
        let interface = capability.interface();
        if inherent.contains(&interface) || granted.contains(interface) {
            capability
                .add_to_linker(&mut linker)
                .map_err(|error| refused(interface, error))?;
        }
    }
    Ok(linker)
}
