//! A filter in front of each kind of plugin.

use super::tree::WrappedTree;
use super::{Calling, Wrapped};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{
    Call, DiskSource, FileTree, Filesystem, Fixer, FixerGuest, Inspector, Plugin, SessionSlot,
    StepServices, WorkflowStep,
};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::{Context, Devices, Findings, Machine, SourceFolder, Trees};
use cofferdam_contract::types::StepPlan;
use std::sync::Arc;

impl<P: Plugin + ?Sized> Plugin for Wrapped<P> {
    fn manifest(&self) -> &Manifest {
        self.inner.manifest()
    }

    fn digest(&self) -> &str {
        self.inner.digest()
    }
}

impl<P: Plugin + ?Sized> Wrapped<P> {
    fn calling<'a>(
        &'a self,
        function: &'static str,
        context: &'a dyn Context,
        sent: usize,
    ) -> Calling<'a> {
        Calling {
            plugin: &self.inner.manifest().id,
            function,
            context,
            sent: sent as u64,
        }
    }
}

#[async_trait]
impl DiskSource for Wrapped<dyn DiskSource> {
    async fn discover(
        &self,
        call: Call,
        folder: Arc<dyn SourceFolder>,
        machine: Arc<dyn Machine>,
        name: &str,
    ) -> Result<bool, CallError> {
        let context = Arc::clone(&call.context);
        let calling = self.calling("discover", context.as_ref(), name.len());
        let inner = self.inner.discover(call, folder, machine, name);
        self.guard.through(calling, inner).await
    }
}

#[async_trait]
impl Filesystem for Wrapped<dyn Filesystem> {
    async fn open(
        &self,
        call: Call,
        devices: Arc<dyn Devices>,
        slot: SessionSlot,
    ) -> Result<Box<dyn FileTree>, CallError> {
        let context = Arc::clone(&call.context);
        let calling = self.calling("open", context.as_ref(), 0);
        let inner = self.inner.open(call, devices, slot);
        let tree = self.guard.through(calling, inner).await?;
        Ok(Box::new(WrappedTree {
            inner: tree,
            plugin: self.inner.manifest().id.clone(),
            context,
            guard: Arc::clone(&self.guard),
        }))
    }
}

#[async_trait]
impl Inspector for Wrapped<dyn Inspector> {
    async fn inspect(
        &self,
        call: Call,
        trees: Arc<dyn Trees>,
        findings: Arc<dyn Findings>,
    ) -> Result<(), CallError> {
        let context = Arc::clone(&call.context);
        let calling = self.calling("inspect", context.as_ref(), 0);
        let inner = self.inner.inspect(call, trees, findings);
        self.guard.through(calling, inner).await
    }
}

#[async_trait]
impl Fixer for Wrapped<dyn Fixer> {
    async fn fix(&self, call: Call, guest: FixerGuest) -> Result<(), CallError> {
        let context = Arc::clone(&call.context);
        let calling = self.calling("fix", context.as_ref(), 0);
        let inner = self.inner.fix(call, guest);
        self.guard.through(calling, inner).await
    }
}

#[async_trait]
impl WorkflowStep for Wrapped<dyn WorkflowStep> {
    async fn validate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<(), CallError> {
        let context = Arc::clone(&call.context);
        let calling = self.calling("validate", context.as_ref(), input.len());
        let inner = self.inner.validate(call, services, input);
        self.guard.through(calling, inner).await
    }

    async fn plan(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<StepPlan, CallError> {
        let context = Arc::clone(&call.context);
        let calling = self.calling("plan", context.as_ref(), input.len());
        let inner = self.inner.plan(call, services, input);
        self.guard.through(calling, inner).await
    }

    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let context = Arc::clone(&call.context);
        let calling = self.calling("execute", context.as_ref(), input.len());
        let inner = self.inner.execute(call, services, input);
        self.guard.through(calling, inner).await
    }

    async fn compensate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
        output: Option<&str>,
    ) -> Result<(), CallError> {
        let context = Arc::clone(&call.context);
        let sent = input.len() + output.map_or(0, str::len);
        let calling = self.calling("compensate", context.as_ref(), sent);
        let inner = self.inner.compensate(call, services, input, output);
        self.guard.through(calling, inner).await
    }
}
