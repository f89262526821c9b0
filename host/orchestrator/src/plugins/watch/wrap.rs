//! Each kind of plugin with its calls watched.

use super::tree::WatchedTree;
use super::{CallWatch, Callable};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{
    Call, DiskSource, FileTree, Filesystem, Fixer, FixerGuest, Inspector, Plugin, SessionSlot,
    StepServices, WorkflowStep,
};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::{Devices, Findings, Machine, SourceFolder, Trees};
use cofferdam_contract::types::StepPlan;
use std::future::Future;
use std::sync::Arc;

/// A plugin whose calls are watched.
struct Watched<P: ?Sized> {
    inner: Arc<P>,
    who: Arc<Callable>,
    watch: Arc<CallWatch>,
}

impl<P: Plugin + ?Sized> Watched<P> {
    fn new(watch: &Arc<CallWatch>, inner: Arc<P>) -> Self {
        let who = Arc::new(Callable {
            plugin: inner.manifest().id.clone(),
            version: inner.manifest().version.clone(),
            digest: inner.digest().to_owned(),
        });
        Self {
            inner,
            who,
            watch: Arc::clone(watch),
        }
    }

    /// One call.
    async fn watched<T>(
        &self,
        name: &str,
        run: String,
        calling: impl Future<Output = Result<T, CallError>> + Send,
    ) -> Result<T, CallError> {
        let _pass = self.watch.enter(&self.who, name)?;
        let result = calling.await;
        self.watch.ended(&self.who, &run, &result);
        result
    }
}

impl<P: Plugin + ?Sized> Plugin for Watched<P> {
    fn manifest(&self) -> &Manifest {
        self.inner.manifest()
    }

    fn digest(&self) -> &str {
        self.inner.digest()
    }
}

impl CallWatch {
    /// A disk source whose calls are watched.
    pub fn disk_source(self: &Arc<Self>, inner: Arc<dyn DiskSource>) -> Arc<dyn DiskSource> {
        Arc::new(Watched::new(self, inner))
    }

    /// A file system whose sessions are watched.
    pub fn filesystem(self: &Arc<Self>, inner: Arc<dyn Filesystem>) -> Arc<dyn Filesystem> {
        Arc::new(Watched::new(self, inner))
    }

    /// An inspector whose calls are watched.
    pub fn inspector(self: &Arc<Self>, inner: Arc<dyn Inspector>) -> Arc<dyn Inspector> {
        Arc::new(Watched::new(self, inner))
    }

    /// A fixer whose calls are watched.
    pub fn fixer(self: &Arc<Self>, inner: Arc<dyn Fixer>) -> Arc<dyn Fixer> {
        Arc::new(Watched::new(self, inner))
    }

    /// A step whose calls are watched.
    pub fn step(self: &Arc<Self>, inner: Arc<dyn WorkflowStep>) -> Arc<dyn WorkflowStep> {
        Arc::new(Watched::new(self, inner))
    }
}

#[async_trait]
impl DiskSource for Watched<dyn DiskSource> {
    async fn discover(
        &self,
        call: Call,
        folder: Arc<dyn SourceFolder>,
        machine: Arc<dyn Machine>,
        name: &str,
    ) -> Result<bool, CallError> {
        let run = call.context.run_id();
        let calling = self.inner.discover(call, folder, machine, name);
        self.watched("discover", run, calling).await
    }
}

#[async_trait]
impl Filesystem for Watched<dyn Filesystem> {
    async fn open(
        &self,
        call: Call,
        devices: Arc<dyn Devices>,
        slot: SessionSlot,
    ) -> Result<Box<dyn FileTree>, CallError> {
        let run = call.context.run_id();
        let pass = self.watch.enter(&self.who, "open")?;
        let opened = self.inner.open(call, devices, slot).await;
        self.watch.ended(&self.who, &run, &opened);
        let tree = WatchedTree {
            inner: opened?,
            who: Arc::clone(&self.who),
            watch: Arc::clone(&self.watch),
            run,
            _pass: pass,
        };
        Ok(Box::new(tree))
    }
}

#[async_trait]
impl Inspector for Watched<dyn Inspector> {
    async fn inspect(
        &self,
        call: Call,
        trees: Arc<dyn Trees>,
        findings: Arc<dyn Findings>,
    ) -> Result<(), CallError> {
        let run = call.context.run_id();
        let calling = self.inner.inspect(call, trees, findings);
        self.watched("inspect", run, calling).await
    }
}

#[async_trait]
impl Fixer for Watched<dyn Fixer> {
    async fn fix(&self, call: Call, guest: FixerGuest) -> Result<(), CallError> {
        let run = call.context.run_id();
        let calling = self.inner.fix(call, guest);
        self.watched("fix", run, calling).await
    }
}

#[async_trait]
impl WorkflowStep for Watched<dyn WorkflowStep> {
    async fn validate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<(), CallError> {
        let run = call.context.run_id();
        let calling = self.inner.validate(call, services, input);
        self.watched("validate", run, calling).await
    }

    async fn plan(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<StepPlan, CallError> {
        let run = call.context.run_id();
        let calling = self.inner.plan(call, services, input);
        self.watched("plan", run, calling).await
    }

    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let run = call.context.run_id();
        let calling = self.inner.execute(call, services, input);
        self.watched("execute", run, calling).await
    }

    async fn compensate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
        output: Option<&str>,
    ) -> Result<(), CallError> {
        let run = call.context.run_id();
        let calling = self.inner.compensate(call, services, input, output);
        self.watched("compensate", run, calling).await
    }
}
