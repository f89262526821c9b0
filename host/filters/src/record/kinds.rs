//! The kinds whose calls are recorded.

use super::Recorder;
use crate::recording::{Entry, Returned};
use crate::services::{Side, SideTrees};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{
    Call, Fixer, FixerGuest, Inspector, Kind, Plugin, StepServices, WorkflowStep,
};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::{Findings, Trees};
use cofferdam_contract::types::StepPlan;
use std::sync::Arc;

impl<P: Plugin + ?Sized> Plugin for Recorder<P> {
    fn manifest(&self) -> &Manifest {
        self.inner.manifest()
    }

    fn digest(&self) -> &str {
        self.inner.digest()
    }
}

#[async_trait]
impl Fixer for Recorder<dyn Fixer> {
    async fn fix(&self, call: Call, guest: FixerGuest) -> Result<(), CallError> {
        let entry = Entry::Fix {
            facts: Box::new(guest.facts.as_ref().clone()),
        };
        let begun = self
            .to
            .begin(self.inner.as_ref(), Kind::Fixer, &call, entry);
        let Some(running) = begun else {
            return self.inner.fix(call, guest).await;
        };
        let guest = FixerGuest {
            view: Side::live(guest.view, &running.tape),
            facts: guest.facts,
            edits: Side::live(guest.edits, &running.tape),
        };
        let result = self.inner.fix(running.call(call), guest).await;
        running.end(&result, |()| Returned::Nothing);
        result
    }
}

#[async_trait]
impl Inspector for Recorder<dyn Inspector> {
    async fn inspect(
        &self,
        call: Call,
        trees: Arc<dyn Trees>,
        findings: Arc<dyn Findings>,
    ) -> Result<(), CallError> {
        let (devices, list) = (trees.devices(), trees.list());
        let entry = Entry::Inspect {
            devices: devices.clone(),
            trees: list.clone(),
        };
        let begun = self
            .to
            .begin(self.inner.as_ref(), Kind::Inspector, &call, entry);
        let Some(running) = begun else {
            return self.inner.inspect(call, trees, findings).await;
        };
        let trees = SideTrees {
            side: Side::Live {
                service: trees,
                tape: Arc::clone(&running.tape),
            },
            devices,
            trees: list,
        };
        let findings = Side::live(findings, &running.tape);
        let result = self
            .inner
            .inspect(running.call(call), Arc::new(trees), findings)
            .await;
        running.end(&result, |()| Returned::Nothing);
        result
    }
}

/// Calls a function of a step, recorded where it is to be.
macro_rules! recorded {
    ($step:ident, $call:ident, $services:ident, $entry:expr, $returned:expr,
     $function:ident($($argument:expr),*)) => {{
        let begun = $step
            .to
            .begin($step.inner.as_ref(), Kind::WorkflowStep, &$call, $entry);
        let Some(running) = begun else {
            return $step.inner.$function($call, $services $(, $argument)*).await;
        };
        let services = StepServices {
            tools: Side::live($services.tools, &running.tape),
            secrets: Side::live($services.secrets, &running.tape),
            http: Side::live($services.http, &running.tape),
            // No component reaches the others.
            ..$services
        };
        let call = running.call($call);
        let result = $step.inner.$function(call, services $(, $argument)*).await;
        running.end(&result, $returned);
        result
    }};
}

#[async_trait]
impl WorkflowStep for Recorder<dyn WorkflowStep> {
    async fn validate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<(), CallError> {
        let entry = Entry::Validate {
            input: input.to_owned(),
        };
        let nothing = |(): &()| Returned::Nothing;
        recorded!(self, call, services, entry, nothing, validate(input))
    }

    async fn plan(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<StepPlan, CallError> {
        let entry = Entry::Plan {
            input: input.to_owned(),
        };
        let plan = |plan: &StepPlan| Returned::Plan(plan.clone());
        recorded!(self, call, services, entry, plan, plan(input))
    }

    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let entry = Entry::Execute {
            input: input.to_owned(),
        };
        let output = |output: &String| Returned::Output(output.clone());
        recorded!(self, call, services, entry, output, execute(input))
    }

    async fn compensate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
        output: Option<&str>,
    ) -> Result<(), CallError> {
        let entry = Entry::Compensate {
            input: input.to_owned(),
            output: output.map(str::to_owned),
        };
        let nothing = |(): &()| Returned::Nothing;
        recorded!(
            self,
            call,
            services,
            entry,
            nothing,
            compensate(input, output)
        )
    }
}
