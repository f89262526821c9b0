//! One instance of a plugin and the calls to it.
//!
//! A call takes the instance along to the guest threads and brings it back when it ended
//! well. When it did not (a trap, a limit, a dropped future) the instance is gone: its
//! memory may be in any state, and wasmtime does not let it be entered again.

use crate::code::PluginCode;
use crate::meter::Metered;
use crate::state::{Extensions, State, Stop};
use crate::verdict::Verdict;
use cofferdam_contract::failure::{CallError, Callee, Limit};
use cofferdam_contract::services::Context;
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

/// What a call to a guest is: the future of one exported function.
pub type GuestFuture<'a, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 'a>>;

/// How long a guest has to heed that its run was cancelled.
const HEED: Duration = Duration::from_secs(1);

/// An instance, and what it holds as long as it lives. The slot is given back last.
pub(crate) struct Live {
    store: Store<State>,
    instance: Instance,
    _slot: Box<dyn Any + Send>,
}

/// What a new instance is made with.
pub(crate) struct Start {
    pub(crate) pre: InstancePre<State>,
    pub(crate) state: State,
    pub(crate) slot: Box<dyn Any + Send>,
}

/// A store whose guest code will be limited.
fn new_store(pre: &InstancePre<State>, state: State) -> Store<State> {
    let limits = *state.limits();
    let mut store = Store::new(pre.engine(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel((limits.host_call_kib as usize) << 10);
    store.set_max_component_handles(limits.open_handles as usize);
    store.epoch_deadline_callback(on_tick);
    store
}

async fn instantiate(
    store: &mut Store<State>,
    pre: &InstancePre<State>,
) -> wasmtime::Result<Instance> {
    let instance = pre.instantiate_async(&mut *store).await?;
    store.data_mut().starting = false;
    Ok(instance)
}

impl Live {
    /// Instantiates, limited as a call is: a start function is the guest's code too.
    pub(crate) async fn start(start: Start, verdict: &Verdict) -> Result<Self, CallError> {
        let pre = start.pre;
        let mut store = new_store(&pre, start.state);
        let instance = limited(&mut store, verdict, move |store| {
            Box::pin(async move { instantiate(store, &pre).await })
        })
        .await?;
        Ok(Self {
            store,
            instance,
            _slot: start.slot,
        })
    }

    pub(crate) async fn call<R, F>(
        mut self,
        verdict: &Verdict,
        run: F,
    ) -> Result<(Self, R), CallError>
    where
        F: for<'a> FnOnce(&'a mut Store<State>, &'a Instance) -> GuestFuture<'a, R>
            + Send
            + 'static,
        R: Send + 'static,
    {
        let instance = self.instance;
        let result = limited(&mut self.store, verdict, move |store| {
            Box::pin(async move { run(store, &instance).await })
        })
        .await?;
        Ok((self, result))
    }
}

/// Runs guest code under every limit that is counted by call.
async fn limited<R, F>(store: &mut Store<State>, verdict: &Verdict, run: F) -> Result<R, CallError>
where
    F: for<'a> FnOnce(&'a mut Store<State>) -> GuestFuture<'a, R>,
{
    store.data_mut().begin_call(verdict.cpu(), verdict.wall());
    store.set_epoch_deadline(1);
    let meter = Arc::clone(&store.data().meter);
    let call = Metered::new(meter, run(store));
    let ended = tokio::time::timeout(verdict.wall(), call).await;
    let state = store.data();
    match ended {
        Ok(Ok(Ok(result))) => Ok(result),
        Err(_) => Err(verdict.during(state).limit(Limit::WallClock)),
        Ok(Err(_)) => Err(verdict.during(state).limit(Limit::Cpu)),
        Ok(Ok(Err(error))) => Err(verdict.during(state).of(&error, state)),
    }
}

/// Called in the guest's code once a tick: stops it, or lets others run.
fn on_tick(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    if state.meter.is_spent() {
        state.stop = Some(Stop::Cpu);
        return Ok(UpdateDeadline::Interrupt);
    }
    if state.context().cancelled() {
        let since = *state.cancelled_at.get_or_insert_with(Instant::now);
        if since.elapsed() > HEED {
            state.stop = Some(Stop::Cancelled);
            return Ok(UpdateDeadline::Interrupt);
        }
    }
    // Tokio's own yield lets the timers be looked at, so that a busy guest does not delay
    // the time-outs of others.
    let others = Box::pin(tokio::task::yield_now());
    Ok(UpdateDeadline::YieldCustom(1, others))
}

/// A plugin's instance that lives for several calls. Calls do not overlap.
pub struct Session {
    code: Arc<PluginCode>,
    live: Option<Live>,
    /// Why there is no instance any more.
    ended: String,
}

impl Session {
    /// Instantiates `code`. `slot` is given back when the instance is gone.
    pub async fn start(
        code: Arc<PluginCode>,
        context: Arc<dyn Context>,
        extensions: Extensions,
        slot: Box<dyn Any + Send>,
    ) -> Result<Self, CallError> {
        let verdict = code.verdict("start");
        let _turn = code.turn(&verdict).await?;
        let start = code.new_instance(context, extensions, slot).await?;
        let started = code
            .threads()
            .run(async move { Live::start(start, &verdict).await })
            .await
            .map_err(|error| code.verdict("start").host(error))?;
        let live = code.watched().ended(started)?;
        Ok(Self {
            code,
            live: Some(live),
            ended: String::new(),
        })
    }

    /// Calls an exported function. `name` is what failures name it.
    ///
    /// # Errors
    /// Whatever ends the call; after any error of this function but a full queue the session
    /// is over, and so it is after its future was dropped. (An error record that the plugin returns is
    /// a result here.)
    pub async fn call<R, F>(&mut self, name: &str, run: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Store<State>, &'a Instance) -> GuestFuture<'a, R>
            + Send
            + 'static,
    {
        let verdict = self.code.verdict(name);
        let _turn = self.code.turn(&verdict).await?;
        let Some(live) = self.live.take() else {
            return Err(CallError::Trapped {
                callee: verdict.callee,
                reason: format!("its session is over: {}", self.ended),
            });
        };
        self.ended = format!("the call {name} before was abandoned");
        let outcome = self
            .code
            .threads()
            .run(async move { live.call(&verdict, run).await })
            .await
            .unwrap_or_else(|error| Err(self.code.verdict(name).host(error)));
        match self.code.watched().ended(outcome) {
            Ok((live, result)) => {
                self.live = Some(live);
                Ok(result)
            }
            Err(error) => {
                self.ended = error.to_string();
                Err(error)
            }
        }
    }
}

impl PluginCode {
    /// Makes an instance, calls one function of it, and drops it. Waits for a slot of the
    /// outer depth. Starting counts towards the call's limits; a failure before the
    /// function was entered names the call `start`.
    pub async fn call_once<R, F>(
        self: &Arc<Self>,
        name: &str,
        context: Arc<dyn Context>,
        extensions: Extensions,
        run: F,
    ) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Store<State>, &'a Instance) -> GuestFuture<'a, R>
            + Send
            + 'static,
    {
        let verdict = self.verdict(name);
        let span = tracing::info_span!(
            "plugin call",
            plugin = %verdict.callee.plugin,
            call = %verdict.callee.call,
        );
        let slot = self.call_slot(&verdict).await?;
        let start = self.new_instance(context, extensions, slot).await?;
        let outcome = self
            .threads()
            .run(async move {
                // Dropped in reverse: the instance goes before its slot.
                let Start { pre, state, slot } = start;
                let _slot = slot;
                let mut store = new_store(&pre, state);
                limited(&mut store, &verdict, move |store| {
                    Box::pin(async move {
                        let instance = instantiate(store, &pre).await?;
                        run(store, &instance).await
                    })
                })
                .await
            })
            .instrument(span)
            .await
            .map_err(|error| self.verdict(name).host(error))?;
        self.watched().ended(outcome)
    }

    pub(crate) fn verdict(&self, call: &str) -> Verdict {
        let manifest = &self.file().inspection.manifest;
        Verdict {
            callee: Callee {
                plugin: manifest.id.clone(),
                call: call.to_owned(),
            },
            limits: self.limits(),
        }
    }
}
