//! One plugin's code: read, verified, compiled or taken from the cache, and linked, when
//! it is first used. Listing plugins costs none of that.

use crate::artifact;
use crate::cache::fingerprint;
use crate::error::LoadError;
use crate::folder::{PluginFile, read_component};
use crate::guest_threads::GuestThreads;
use crate::runtime::{Grantable, Runtime};
use crate::session::Start;
use crate::state::{Extensions, State};
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::grants::Granted;
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
    granted: Grantable,
    linked: OnceCell<InstancePre<State>>,
}

impl PluginCode {
    /// The plugin in `file`, not yet loaded, that will be linked to its world's imports and
    /// to what is granted to it.
    pub fn new(runtime: Arc<Runtime>, file: PluginFile, granted: &Granted) -> Self {
        let grantable = file.inspection.kind.grantable_imports().iter().copied();
        let id = &file.inspection.manifest.id;
        Self {
            granted: grantable
                .filter(|interface| granted.holds(id, interface))
                .collect(),
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
                let granted = self.granted.clone();
                self.threads()
                    .handle()
                    .spawn_blocking(move || link(&runtime, &file, granted))
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
        let kind = self.file.inspection.kind;
        Ok(Box::new(self.runtime.slots().call(kind, callee).await?))
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
            self.file.inspection.kind,
            context,
            memory,
            extensions,
        );
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
    let component = compiled(runtime, &bytes, &found)?;
    let kind = file.inspection.kind;
    let linker = runtime
        .linker(kind, granted)
        .ok_or_else(|| LoadError::Host(format!("there is no linker for {kind}")))?;
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
