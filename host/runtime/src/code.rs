//! One plugin's code: read, verified, compiled or taken from the cache, and linked, when
//! it is first used. Listing plugins costs none of that.

use crate::artifact;
use crate::cache::fingerprint;
use crate::compiler::{self, Compiler, Request};
use crate::error::LoadError;
use crate::folder::{PluginFile, read_component};
use crate::guest_threads::GuestThreads;
use crate::log_budget::LogRate;
use crate::queue::{CallQueue, NoTurn};
use crate::runtime::{Grantable, Runtime};
use crate::session::Start;
use crate::state::{Extensions, PluginParts, State};
use crate::verdict::Verdict;
use crate::watched::Watched;
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::limits::{HostLimits, Limits};
use cofferdam_contract::services::Context;
use sha2::{Digest, Sha256};
use std::any::Any;
use std::sync::Arc;
use tokio::sync::{OnceCell, OwnedSemaphorePermit};
use wasmtime::component::{Component, InstancePre};

/// A plugin that can be started.
pub struct PluginCode {
    runtime: Arc<Runtime>,
    file: PluginFile,
    parts: PluginParts,
    queue: CallQueue,
    granted: Grantable,
    linked: OnceCell<InstancePre<State>>,
}

impl PluginCode {
    /// The plugin in `file`, not yet loaded, that will be linked to its world's imports and
    /// to what is granted to it.
    pub fn new(runtime: Arc<Runtime>, file: PluginFile, granted: &Granted) -> Self {
        let inspection = &file.inspection;
        let id = &inspection.manifest.id;
        let limits = inspection
            .manifest
            .limits
            .overridden(&runtime.overrides(id));
        let grantable = inspection.kind.grantable_imports().iter().copied();
        Self {
            granted: grantable
                .filter(|interface| granted.holds(id, interface))
                .collect(),
            parts: PluginParts {
                watched: Watched::new(id.as_str().into(), Arc::clone(runtime.observer())),
                digest: inspection.digest.as_str().into(),
                limits,
                log_rate: Arc::new(LogRate::new(&limits)),
            },
            queue: CallQueue::new(&limits),
            runtime,
            file,
            linked: OnceCell::new(),
        }
    }

    /// The file it is from.
    pub fn file(&self) -> &PluginFile {
        &self.file
    }

    /// What it may use: what its manifest asks for, and the operator's decision over it.
    pub fn limits(&self) -> Limits {
        self.parts.limits
    }

    /// Loads it if it is not loaded yet: reads the file again, checks that it is the one
    /// that was inspected, compiles it (or finds it compiled) and links it.
    pub async fn load(&self) -> Result<&InstancePre<State>, LoadError> {
        self.linked
            .get_or_try_init(|| async {
                let runtime = Arc::clone(&self.runtime);
                let file = self.file.clone();
                let granted = self.granted.clone();
                self.threads()
                    .handle()
                    .spawn_blocking(move || link(&runtime, &file, granted))
                    .await
                    .map_err(|error| LoadError::Host(error.to_string()))?
                    .inspect_err(|error| {
                        if let LoadError::Limit { limit, .. } = error {
                            self.watched().reached(*limit);
                        }
                    })
            })
            .await
    }

    pub(crate) fn threads(&self) -> &GuestThreads {
        self.runtime.threads()
    }

    pub(crate) fn watched(&self) -> &Watched {
        &self.parts.watched
    }

    /// Waits for the plugin's turn to do one call.
    pub(crate) async fn turn(&self, verdict: &Verdict) -> Result<OwnedSemaphorePermit, CallError> {
        let watched = self.watched();
        let entered = self
            .queue
            .enter(|| watched.reached(Limit::ConcurrentCalls))
            .await;
        entered.map_err(|reason| match reason {
            NoTurn::Full => {
                watched.reached(Limit::QueueLength);
                verdict.limit(Limit::QueueLength)
            }
            NoTurn::Closed => verdict.host("the runtime is shutting down"),
        })
    }

    /// Waits for a turn, and then for one of the host's slots for outer calls.
    pub(crate) async fn call_slot(
        &self,
        verdict: &Verdict,
    ) -> Result<Box<dyn Any + Send>, CallError> {
        let turn = self.turn(verdict).await?;
        let kind = self.file.inspection.kind;
        let plugin = &verdict.callee.plugin;
        let slot = self.runtime.slots().call(kind, plugin).await;
        Ok(Box::new((slot, turn)))
    }

    pub(crate) async fn new_instance(
        &self,
        context: Arc<dyn Context>,
        extensions: Extensions,
        slot: Box<dyn Any + Send>,
    ) -> Result<Start, CallError> {
        let pre = self
            .load()
            .await
            .map_err(|error| error.into_call_error(self.verdict("load").callee))?
            .clone();
        let kind = self.file.inspection.kind;
        let state = State::new(&self.parts, kind, context, extensions);
        Ok(Start { pre, state, slot })
    }
}

fn link(
    runtime: &Runtime,
    file: &PluginFile,
    granted: Grantable,
) -> Result<InstancePre<State>, LoadError> {
    let bytes = read_component(&file.path)?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found != file.inspection.digest {
        return Err(LoadError::Changed {
            expected: file.inspection.digest.clone(),
            found,
        });
    }
    let limits = runtime.host_limits(&file.inspection.manifest.id);
    check_size(&limits, bytes.len())?;
    let component = compiled(runtime, &limits, &bytes, &found)?;
    let kind = file.inspection.kind;
    let linker = runtime
        .linker(kind, granted)
        .ok_or_else(|| LoadError::Host(format!("there is no linker for {kind}")))?;
    linker
        .instantiate_pre(&component)
        .map_err(|error| LoadError::Link(format!("{error:#}")))
}

/// Inspecting took the host's own bound; the operator's may be lower.
fn check_size(limits: &HostLimits, bytes: usize) -> Result<(), LoadError> {
    let row = limits.row(Limit::ComponentSize);
    match row {
        Some(row) if bytes > (row.value as usize) << 20 => Err(LoadError::Limit {
            limit: row.limit,
            allowed: row.allowed(),
        }),
        _ => Ok(()),
    }
}

fn compiled(
    runtime: &Runtime,
    limits: &HostLimits,
    bytes: &[u8],
    digest: &str,
) -> Result<Component, LoadError> {
    let fingerprint = fingerprint(runtime.engine());
    if let Some(component) = kept(runtime, digest, fingerprint) {
        return Ok(component);
    }
    let _turn = runtime.compiling().enter();
    // Another one may have compiled the same meanwhile.
    if let Some(component) = kept(runtime, digest, fingerprint) {
        return Ok(component);
    }
    let code = match runtime.compiler() {
        Compiler::InThisProcess => runtime
            .engine()
            .precompile_component(bytes)
            .map_err(refused)?,
        Compiler::Child(program) => {
            let request = Request::new(runtime.allocation(), limits);
            compiler::compile(program, request, limits, bytes, fingerprint)?
        }
    };
    let component = artifact::load(runtime.engine(), &code)
        .map_err(|error| LoadError::Compiler(format!("what it made does not load: {error:#}")))?;
    runtime.cache().put(digest, fingerprint, &code);
    Ok(component)
}

fn kept(runtime: &Runtime, digest: &str, fingerprint: u64) -> Option<Component> {
    let kept = runtime.cache().get(digest, fingerprint)?;
    artifact::load(runtime.engine(), &kept)
        .inspect_err(|error| tracing::debug!(%digest, %error, "compiled code does not load"))
        .ok()
}

fn refused(error: wasmtime::Error) -> LoadError {
    LoadError::Compile(format!("{error:#}"))
}
