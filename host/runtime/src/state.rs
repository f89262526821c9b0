//! What the host keeps for one instance.

use crate::limiter::MemoryLimiter;
use crate::meter::Meter;
use crate::wasi;
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::services::Context;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The most that a guest may hand over in one call, bytes: 16 MiB of content and, beside
/// it, the names and texts that the call carries.
pub const HOST_CALL_BYTES: usize = (16 << 20) + (64 << 10);

/// The most WASI resources of one instance.
const MAX_RESOURCES: usize = 1_000;

/// What capabilities keep for one instance, by type.
#[derive(Default)]
pub struct Extensions(HashMap<TypeId, Box<dyn Any + Send>>);

impl Extensions {
    /// Keeps `value`; an earlier one of the same type is replaced.
    pub fn insert<T: Any + Send>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(value));
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

/// The data of one instance's store.
pub struct State {
    plugin: Arc<str>,
    digest: Arc<str>,
    kind: Kind,
    context: Arc<dyn Context>,
    wasi: Option<WasiCtx>,
    table: ResourceTable,
    pub(crate) limiter: MemoryLimiter,
    pub(crate) meter: Arc<Meter>,
    pub(crate) stop: Option<Stop>,
    /// Until the instance is made.
    pub(crate) starting: bool,
    /// When this call was first seen to be cancelled.
    pub(crate) cancelled_at: Option<Instant>,
    deadline: Option<Instant>,
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
        plugin: Arc<str>,
        digest: Arc<str>,
        kind: Kind,
        context: Arc<dyn Context>,
        memory: usize,
        extensions: Extensions,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        Self {
            plugin,
            digest,
            kind,
            context,
            wasi: None,
            table,
            limiter: MemoryLimiter::new(memory),
            meter: Arc::default(),
            stop: None,
            starting: true,
            cancelled_at: None,
            deadline: None,
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
    }

    /// The plugin's id.
    pub fn plugin(&self) -> &str {
        &self.plugin
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
