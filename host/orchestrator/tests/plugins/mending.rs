//! A native step that calls another plugin inside, as migrations do.

use crate::common::{Configured, Host, MENDER, actor};
use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::{Call, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::types::{Error, ErrorCode, StepPlan};
use cofferdam_orchestrator::plugins::{CallWatch, CrashAction, CrashPolicy};
use cofferdam_store::{NewPin, RunState, Store};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

const DIGEST: &str = "the digest of the mender";

fn manifest(id: &str) -> Manifest {
    let text = format!("id = \"{id}\"\nversion = \"1.0.0\"\nsummary = \"It mends\"");
    Manifest::parse(&text).unwrap()
}

fn callee(plugin: &str) -> Callee {
    Callee {
        plugin: plugin.to_owned(),
        call: "execute".to_owned(),
    }
}

/// What is called inside; its first call crashes.
struct Mender {
    manifest: Manifest,
    calls: AtomicU32,
}

impl Plugin for Mender {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    fn digest(&self) -> &'static str {
        DIGEST
    }
}

#[async_trait]
impl WorkflowStep for Mender {
    async fn validate(&self, _: Call, _: StepServices, _: &str) -> Result<(), CallError> {
        Ok(())
    }
    async fn plan(&self, _: Call, _: StepServices, _: &str) -> Result<StepPlan, CallError> {
        panic!("it is not planned")
    }
    async fn execute(&self, _: Call, _: StepServices, _: &str) -> Result<String, CallError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) > 0 {
            return Ok("{}".to_owned());
        }
        Err(CallError::Trapped {
            callee: callee(MENDER),
            reason: "unreachable".to_owned(),
        })
    }
    async fn compensate(
        &self,
        _: Call,
        _: StepServices,
        _: &str,
        _: Option<&str>,
    ) -> Result<(), CallError> {
        Ok(())
    }
}

/// The native step: pins the mender and calls it.
pub struct Mending {
    manifest: Manifest,
    mender: Arc<dyn WorkflowStep>,
    pub store: OnceLock<Store>,
}

impl Mending {
    pub fn new(watch: &Arc<CallWatch>) -> Self {
        Self {
            manifest: manifest("mending"),
            mender: watch.step(Arc::new(Mender {
                manifest: manifest(MENDER),
                calls: AtomicU32::new(0),
            })),
            store: OnceLock::new(),
        }
    }
}

impl Plugin for Mending {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    fn digest(&self) -> &'static str {
        "native:1.0.0"
    }
}

#[async_trait]
impl WorkflowStep for Mending {
    async fn validate(&self, _: Call, _: StepServices, _: &str) -> Result<(), CallError> {
        Ok(())
    }
    async fn plan(&self, _: Call, _: StepServices, _: &str) -> Result<StepPlan, CallError> {
        panic!("it is not planned")
    }
    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let pin = NewPin {
            id: MENDER.to_owned(),
            version: "1.0.0".to_owned(),
            digest: DIGEST.to_owned(),
            path: String::new(),
        };
        let store = self.store.get().unwrap();
        store.pin_plugins(&call.context.run_id(), &[pin]).unwrap();
        let mended = self.mender.execute(call, services, input).await;
        // As migrations answer: what crashed inside is an error of theirs.
        mended.map_err(|error| CallError::Returned {
            callee: callee("native/mend"),
            error: Error::new(ErrorCode::Other, error.to_string()),
        })
    }
    async fn compensate(
        &self,
        _: Call,
        _: StepServices,
        _: &str,
        _: Option<&str>,
    ) -> Result<(), CallError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_native_step_waits_for_the_plugin_that_crashed_inside() {
    let host = Host::with(Configured {
        policy: CrashPolicy {
            policy: CrashAction::Quarantine,
            crashes: 1,
            ..CrashPolicy::default()
        },
        ..Configured::default()
    })
    .await;
    let workflow = "name: w\nsteps: [{ id: s, uses: native/mend }]\n";
    let first = host.start_with(workflow).await;
    let parked = host
        .until_state(&first.run.id, RunState::NeedsAttention)
        .await;
    let error = parked.steps[0].error.clone().unwrap();
    assert_eq!(error.waits_for.as_deref(), Some(DIGEST));
    assert!(error.message.contains("unreachable"), "{error:?}");
    // It is refused before it is called.
    let second = host.start_with(workflow).await;
    host.until_state(&second.run.id, RunState::NeedsAttention)
        .await;
    let plugins = &host.orchestrator.plugins;
    let state = plugins.crash_state(MENDER, DIGEST).unwrap();
    assert_eq!(state.crashes, 1);
    assert_eq!(state.waiting, [first.run.id.clone(), second.run.id.clone()]);
    plugins.release(&actor(), MENDER, None).await.unwrap();
    for run in [first, second] {
        host.until_state(&run.run.id, RunState::Succeeded).await;
    }
}

/// Commands without a server are a host each.
#[tokio::test]
async fn crashes_of_what_is_in_no_store_count_over_restarts() {
    let configured = Configured {
        policy: CrashPolicy {
            policy: CrashAction::Quarantine,
            crashes: 2,
            ..CrashPolicy::default()
        },
        ..Configured::default()
    };
    let workflow = "name: w\nsteps: [{ id: s, uses: native/mend }]\n";
    let host = Host::with(configured.clone()).await;
    let first = host.start_with(workflow).await;
    host.until_state(&first.run.id, RunState::Failed).await;
    let host = host.restarted(configured).await;
    let second = host.start_with(workflow).await;
    host.until_state(&second.run.id, RunState::NeedsAttention)
        .await;
    let state = host.orchestrator.plugins.crash_state(MENDER, DIGEST);
    let quarantine = state.unwrap().quarantine.unwrap();
    assert!(
        quarantine.reason.contains("crashed 2 times"),
        "{quarantine:?}"
    );
}
