//! What the host keeps for one instance.

use crate::egress::{EgressBudget, EgressSpent};
use crate::limiter::InstanceLimiter;
use crate::log_budget::{LogBudget, LogRate};
use crate::meter::Meter;
use crate::wasi;
use crate::watched::Watched;
use cofferdam_contract::failure::Limit;
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::limits::Limits;
use cofferdam_contract::services::Context;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// What capabilities keep for one instance, by type.
#[derive(Default)]
pub struct Extensions(HashMap<TypeId, Box<dyn Any + Send>>);

impl Extensions {
    /// Keeps `value`; an earlier one of the same type is replaced.
    pub fn insert<T: Any + Send>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// What was kept of this type, made now where there is nothing.
    #[expect(
        clippy::expect_used,
        reason = "what is kept under a type's key is of that type"
    )]
    pub fn get_or_default<T: Any + Send + Default>(&mut self) -> &mut T {
        self.0
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Box::new(T::default()))
            .downcast_mut()
            .expect("a value under the key of its type")
    }

    /// What was kept of this type.
    pub fn get<T: Any + Send>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// What was kept of this type, to change.
    pub fn get_mut<T: Any + Send>(&mut self) -> Option<&mut T> {
        self.0.get_mut(&TypeId::of::<T>())?.downcast_mut()
    }
}

/// What all instances of a plugin have in common.
pub(crate) struct PluginParts {
    pub(crate) watched: Watched,
    pub(crate) digest: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) log_rate: Arc<LogRate>,
}

/// The data of one instance's store.
pub struct State {
    watched: Watched,
    digest: Arc<str>,
    kind: Kind,
    context: Arc<dyn Context>,
    wasi: Option<WasiCtx>,
    table: ResourceTable,
    pub(crate) limits: Limits,
    pub(crate) limiter: InstanceLimiter,
    pub(crate) meter: Arc<Meter>,
    pub(crate) stop: Option<Stop>,
    /// Until the instance is made.
    pub(crate) starting: bool,
    /// When this call was first seen to be cancelled.
    pub(crate) cancelled_at: Option<Instant>,
    deadline: Option<Instant>,
    egress: Arc<EgressBudget>,
    log: LogBudget,
    /// Whether a log line of this call was dropped.
    drops: bool,
    calls: u64,
    extensions: Extensions,
}

/// Why the epoch callback interrupted the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its CPU time is spent.
    Cpu,
    /// The run was cancelled and the guest did not heed it.
    Cancelled,
}

impl State {
    pub(crate) fn new(
        plugin: &PluginParts,
        kind: Kind,
        context: Arc<dyn Context>,
        extensions: Extensions,
    ) -> Self {
        let limits = plugin.limits;
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.open_handles as usize);
        Self {
            watched: plugin.watched.clone(),
            digest: Arc::clone(&plugin.digest),
            kind,
            context,
            wasi: None,
            table,
            limits,
            limiter: InstanceLimiter::new(&limits),
            meter: Arc::default(),
            stop: None,
            starting: true,
            cancelled_at: None,
            deadline: None,
            egress: Arc::new(EgressBudget::new(limits.egress_kib, plugin.watched.clone())),
            log: LogBudget::new(&limits, Arc::clone(&plugin.log_rate)),
            drops: false,
            calls: 0,
            extensions,
        }
    }

    /// Begins a call: every limit that is counted by call starts anew.
    pub(crate) fn begin_call(&mut self, cpu: Duration, wall: Duration) {
        self.calls = self.calls.wrapping_add(1);
        self.meter.reset(cpu);
        self.limiter.forget_refusals();
        self.stop = None;
        self.cancelled_at = None;
        self.deadline = Instant::now().checked_add(wall);
        let egress = EgressBudget::new(self.limits.egress_kib, self.watched.clone());
        self.egress = Arc::new(egress);
        self.log.begin_call();
        self.drops = false;
    }

    /// The plugin's id.
    pub fn plugin(&self) -> &str {
        self.watched.plugin()
    }

    /// The run that the call belongs to.
    pub fn context(&self) -> &Arc<dyn Context> {
        &self.context
    }

    /// How long until the host stops the call.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// What the plugin may use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes a line of so many bytes from what the plugin may log.
    ///
    /// # Errors
    /// The limit that it is beyond; the line must be dropped.
    pub fn charge_log(&mut self, bytes: usize) -> Result<(), Limit> {
        self.log.charge(bytes).inspect_err(|limit| {
            if !self.drops {
                self.watched.reached(*limit);
            }
            self.drops = true;
        })
    }

    /// Takes `bytes` from what the call going on may send through the network; to be asked
    /// before they are sent.
    ///
    /// # Errors
    /// So many are not left.
    pub fn charge_egress(&self, bytes: u64) -> Result<(), EgressSpent> {
        self.egress.charge(bytes)
    }

    /// The same budget, for what sends without the instance at hand. Every call has
    /// another.
    pub fn egress(&self) -> Arc<EgressBudget> {
        Arc::clone(&self.egress)
    }

    /// Which call of this instance is going on; every call has another number.
    pub fn call_number(&self) -> u64 {
        self.calls
    }

    /// What capabilities keep for this instance.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// What capabilities keep for this instance, to change.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// What capabilities keep for this instance, and its WASI resources, to change both.
    pub fn extensions_and_table(&mut self) -> (&mut Extensions, &mut ResourceTable) {
        (&mut self.extensions, &mut self.table)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // Made at first use: most guests import WASI without ever calling it.
        let ctx = self.wasi.get_or_insert_with(|| {
            if self.kind.is_pure() {
                wasi::repeatable(&self.digest, self.context.now())
            } else {
                wasi::inert()
            }
        });
        WasiCtxView {
            ctx,
            table: &mut self.table,
        }
    }
}
