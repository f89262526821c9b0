//! The steps that are timed.

use crate::guest::{all_but, manifest, step};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::Begun;
use cofferdam_contract::types::StepPlan;
use cofferdam_runtime::embed_manifest;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::watch;

/// What a step does.
pub enum Work {
    /// Nothing.
    Pure,
    /// What this component does, in a fresh instance.
    Component(Arc<dyn WorkflowStep>),
    /// One host operation without anything outside.
    Effect,
    /// Waits until it is let go.
    Waits(watch::Receiver<bool>),
}

/// A step that says when it was entered.
pub struct Timed {
    pub manifest: Manifest,
    pub digest: String,
    pub entered: Arc<Mutex<Vec<Instant>>>,
    pub work: Work,
}

impl Plugin for Timed {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn digest(&self) -> &str {
        &self.digest
    }
}

#[async_trait]
impl WorkflowStep for Timed {
    async fn validate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<(), CallError> {
        match &self.work {
            Work::Component(step) => step.validate(call, services, input).await,
            _ => Ok(()),
        }
    }

    async fn plan(&self, _: Call, _: StepServices, _: &str) -> Result<StepPlan, CallError> {
        panic!("nothing is approved here")
    }

    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        self.entered.lock().unwrap().push(Instant::now());
        match &self.work {
            Work::Pure => {}
            Work::Component(step) => return step.execute(call, services, input).await,
            Work::Effect => match services.operations.begin("effect", json!(1)).await.unwrap() {
                Begun::New { .. } => services
                    .operations
                    .finish("effect", json!(2))
                    .await
                    .unwrap(),
                _ => panic!("nobody was killed"),
            },
            Work::Waits(go) => {
                go.clone().wait_for(|go| *go).await.unwrap();
            }
        }
        Ok("{}".to_owned())
    }

    async fn compensate(
        &self,
        _: Call,
        _: StepServices,
        _: &str,
        _: Option<&str>,
    ) -> Result<(), CallError> {
        panic!("nothing fails here")
    }
}

/// A component whose `execute` gives `{}`.
pub fn pure_component() -> Vec<u8> {
    embed_manifest(&step("", "", &[]), &manifest("pure", &all_but(&[]))).unwrap()
}
