//! One plugin's code: read, verified, compiled or taken from the cache, and linked, when
//! it is first used. Listing plugins costs none of that.

use crate::artifact;
use crate::cache::fingerprint;
use crate::error::LoadError;
use crate::folder::{PluginFile, read_component};
use crate::guest_threads::GuestThreads;
use crate::runtime::Runtime;
use crate::session::Start;
use crate::state::{Extensions, State};
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::services::Context;
use sha2::{Digest, Sha256};
use std::any::Any;
use std::sync::Arc;
use tokio::sync::OnceCell;
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre};

/// A plugin that can be started.
pub struct PluginCode {
    runtime: Arc<Runtime>,
    file: PluginFile,
    digest: Arc<str>,
    id: Arc<str>,
    linked: OnceCell<InstancePre<State>>,
}

impl PluginCode {
    /// The plugin in `file`, not yet loaded.
    pub fn new(runtime: Arc<Runtime>, file: PluginFile) -> Self {
        Self {
            digest: file.inspection.digest.as_str().into(),
            id: file.inspection.manifest.id.as_str().into(),
            runtime,
            file,
            linked: OnceCell::new(),
        }
    }

    /// The file it is from.
    pub fn file(&self) -> &PluginFile {
        &self.file
    }

    /// Loads it if it is not loaded yet: reads the file again, checks that it is the one
    /// that was inspected, compiles it (or finds it compiled) and links it.
    pub async fn load(&self) -> Result<&InstancePre<State>, LoadError> {
        self.linked
            .get_or_try_init(|| async {
                let runtime = Arc::clone(&self.runtime);
                let file = self.file.clone();
                self.threads()
                    .handle()
                    .spawn_blocking(move || link(&runtime, &file))
                    .await
                    .map_err(|error| LoadError::Host(error.to_string()))?
            })
            .await
    }

    pub(crate) fn threads(&self) -> &GuestThreads {
        self.runtime.threads()
    }

    pub(crate) async fn call_slot(
        &self,
        callee: &Callee,
    ) -> Result<Box<dyn Any + Send>, CallError> {
        Ok(Box::new(self.runtime.slots().call(callee).await?))
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
            .map_err(|error| self.verdict("load").host(error))?
            .clone();
        let memory = (self.limits().memory_mib as usize) << 20;
        let state = State::new(
            Arc::clone(&self.id),
            Arc::clone(&self.digest),
            context,
            memory,
            extensions,
        );
        Ok(Start { pre, state, slot })
    }
}

fn link(runtime: &Runtime, file: &PluginFile) -> Result<InstancePre<State>, LoadError> {
    let bytes = read_component(&file.path)?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found != file.inspection.digest {
        return Err(LoadError::Changed {
            expected: file.inspection.digest.clone(),
            found,
        });
    }
    let component = compiled(runtime, &bytes, &found)?;
    let linker = runtime.linker(file.inspection.kind).ok_or_else(|| {
        LoadError::Host(format!("there is no linker for {}", file.inspection.kind))
    })?;
    linker
        .instantiate_pre(&component)
        .map_err(|error| LoadError::Link(format!("{error:#}")))
}

fn compiled(runtime: &Runtime, bytes: &[u8], digest: &str) -> Result<Component, LoadError> {
    let engine: &Engine = runtime.engine();
    let fingerprint = fingerprint(engine);
    if let Some(kept) = runtime.cache().get(digest, fingerprint) {
        match artifact::load(engine, &kept) {
            Ok(component) => return Ok(component),
            Err(error) => tracing::debug!(%digest, %error, "compiled code does not load"),
        }
    }
    let refused = |error: wasmtime::Error| LoadError::Compile(format!("{error:#}"));
    let made = engine.precompile_component(bytes).map_err(refused)?;
    runtime.cache().put(digest, fingerprint, &made);
    artifact::load(engine, &made).map_err(refused)
}
