//! The courier with grants, and what it says.

use async_trait::async_trait;
use cofferdam_capabilities::{load_step, runtime};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::grants::HTTP;
use cofferdam_contract::kinds::{Call, StepServices, WorkflowStep};
use cofferdam_contract::manifest::{Limits, Manifest};
use cofferdam_contract::services::{Context, Secrets, Tools};
use cofferdam_contract::types::{Error, Level, StepPlan, Timestamp, ToolOutcome, ToolRequest};
use cofferdam_orchestrator::grants::{Granted, PluginGrants, StepGrants};
use cofferdam_runtime::{Options, PluginFile, embed_manifest};
use cofferdam_tests::native_only::NativeOnly;
use cofferdam_tests::test_plugin;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// The courier's place in a run: a step that keeps its log.
pub struct Host {
    step: Arc<dyn WorkflowStep>,
    granted: Granted,
    log: Arc<Log>,
    /// The component's file is read again at the first call.
    _folder: tempfile::TempDir,
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Context for Log {
    fn run_id(&self) -> String {
        "run".to_owned()
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn now(&self) -> Timestamp {
        Timestamp {
            seconds: 0,
            nanoseconds: 0,
        }
    }
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, _: &str, _: Level, message: &str, _: &[(String, String)]) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

/// Programs that do nothing and a secret, as far as they are granted.
struct Behind(Arc<Granted>);

#[async_trait]
impl Tools for Behind {
    async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        self.0.tool(&request.program)?;
        Ok(ToolOutcome {
            exit: Some(0),
            signal: None,
            matched: None,
            timed_out: false,
            tail: String::new(),
            output_bytes: 0,
        })
    }
    async fn keep(&self, _: &str, _: &str) -> Result<String, Error> {
        panic!("the courier keeps nothing")
    }
}

#[async_trait]
impl Secrets for Behind {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.0.secret(name).map(|()| b"value".to_vec())
    }
}

impl Host {
    /// With these grants, as they stand under `[plugins.courier.grants]`.
    pub fn new(grants: &str) -> Self {
        Self::with_limits(grants, |_| ())
    }

    /// With other limits than the courier asks for.
    pub fn with_limits(grants: &str, change: impl Fn(&mut Limits)) -> Self {
        let original = test_plugin("courier");
        let mut manifest: Manifest = PluginFile::read(&original).unwrap().inspection.manifest;
        change(&mut manifest.limits);
        let bytes = embed_manifest(&std::fs::read(&original).unwrap(), &manifest).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("courier.wasm");
        std::fs::write(&path, bytes).unwrap();

        let mut interfaces = cofferdam_contract::grants::Granted::nothing();
        for interface in [HTTP, "cofferdam:runtime/secrets", "cofferdam:tool/tool"] {
            interfaces.grant("courier", interface);
        }
        let runtime = runtime(&Options::with_default_cache()).unwrap();
        let digest = PluginFile::read(&path).unwrap().inspection.digest;
        let step = load_step(&runtime, &path, &digest, &interfaces).unwrap();
        let grants: PluginGrants = toml::from_str(grants).unwrap();
        let granted = Granted::check("courier", &grants, "/bin:/usr/bin".as_ref()).unwrap();
        Self {
            step,
            granted,
            log: Arc::default(),
            _folder: folder,
        }
    }

    /// In a step `try` that is not trusted and names these grants.
    pub fn without_trust(mut self, grants: &str) -> Self {
        let grants: StepGrants = toml::from_str(grants).unwrap();
        self.granted = self.granted.narrowed("try", &grants).unwrap();
        self
    }

    /// What was logged.
    pub fn log(&self) -> Vec<String> {
        self.log.0.lock().unwrap().clone()
    }

    fn call(&self) -> (Call, StepServices) {
        let granted = Arc::new(self.granted.clone());
        let behind = Arc::new(Behind(Arc::clone(&granted)));
        let call = Call {
            context: self.log.clone(),
            settings: "{}".to_owned(),
        };
        let services = StepServices {
            tools: behind.clone(),
            secrets: behind,
            http: granted,
            operations: Arc::new(NativeOnly),
            artifacts: Arc::new(NativeOnly),
        };
        (call, services)
    }

    /// Sends the requests; the output.
    pub async fn execute(&self, requests: &[Value]) -> Result<Value, CallError> {
        self.execute_input(&json!({ "requests": requests })).await
    }

    /// The output for an input.
    pub async fn execute_input(&self, input: &Value) -> Result<Value, CallError> {
        let (call, services) = self.call();
        let output = self
            .step
            .execute(call, services, &input.to_string())
            .await?;
        Ok(serde_json::from_str(&output).unwrap())
    }

    /// The plan for an input.
    pub async fn plan(&self, input: &Value) -> Result<StepPlan, CallError> {
        let (call, services) = self.call();
        self.step.plan(call, services, &input.to_string()).await
    }
}
