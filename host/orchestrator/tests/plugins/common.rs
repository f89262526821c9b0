//! Components that are scripts, and a host that installs them.

use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::{Call, Kind, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::types::{Error, ErrorCode, StepPlan};
use cofferdam_orchestrator::catalogue::{
    Catalogue, CatalogueError, NativeSteps, PluginInfo, ResolvedPlugin, StepReference,
};
use cofferdam_orchestrator::grants::PluginGrants;
use cofferdam_orchestrator::plugins::{
    Activation, Active, Approval, CallWatch, Candidate, CrashPolicy, Inspected, PluginHost,
    PluginOptions, Prepared, Ready, Refusal,
};
use cofferdam_orchestrator::runs::{RunView, StartRun, WorkflowSource};
use cofferdam_orchestrator::{Actor, Options, Orchestrator};
use cofferdam_store::{Event, EventFilter, PinnedPlugin, RunState};

use crate::mending::Mending;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const ID: &str = "scripted";
/// A fixer that is in no store.
pub const MENDER: &str = "mender";

/// What a component is here: its manifest, and what it does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Component {
    pub version: String,
    /// Secrets that it wants.
    pub secrets: Vec<String>,
    pub does_not_compile: bool,
    pub cannot_be_ordered: bool,
    /// `validate` traps.
    pub traps_at_once: bool,
    /// `execute` traps this often in a process.
    pub traps: u32,
    /// `compensate` traps this often in a process.
    pub undo_traps: u32,
    /// `execute` waits for the gate.
    pub gated: bool,
}

impl Component {
    pub fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            ..Self::default()
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap()
    }

    pub fn digest(&self) -> String {
        hex(&self.bytes())
    }

    fn manifest(&self) -> Manifest {
        let mut text = format!(
            "id = \"{ID}\"\nversion = \"{}\"\nsummary = \"Does what it is\"\n",
            self.version
        );
        if !self.secrets.is_empty() {
            text.push_str(&format!(
                "[[capabilities]]\nname = \"cofferdam:runtime/secrets\"\nwhy = \"it logs in\"\ngrant = {{ names = {:?} }}\n",
                self.secrets
            ));
        }
        Manifest::parse(&text).unwrap()
    }

    fn imports(&self) -> Vec<String> {
        let mut imports = vec!["cofferdam:runtime/context@0.1.0".to_owned()];
        if !self.secrets.is_empty() {
            imports.push("cofferdam:runtime/secrets@0.1.0".to_owned());
        }
        imports
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// What the components of one test share.
#[derive(Default)]
pub struct Stage {
    pub gate: AtomicBool,
    /// Traps so far, by digest.
    trapped: Mutex<BTreeMap<String, Arc<AtomicU32>>>,
    /// What was published and retired, as it happened.
    pub log: Mutex<Vec<String>>,
}

impl Stage {
    fn trapped(&self, digest: &str) -> Arc<AtomicU32> {
        let mut trapped = self.trapped.lock().unwrap();
        Arc::clone(trapped.entry(digest.to_owned()).or_default())
    }

    fn write(&self, entry: String) {
        self.log.lock().unwrap().push(entry);
    }
}

struct Scripted {
    component: Component,
    manifest: Manifest,
    digest: String,
    stage: Arc<Stage>,
}

impl Scripted {
    fn trap(call: &str) -> CallError {
        CallError::Trapped {
            callee: Callee {
                plugin: ID.to_owned(),
                call: call.to_owned(),
            },
            reason: "unreachable".to_owned(),
        }
    }
}

impl Plugin for Scripted {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    fn digest(&self) -> &str {
        &self.digest
    }
}

#[async_trait]
impl WorkflowStep for Scripted {
    async fn validate(&self, _: Call, _: StepServices, _: &str) -> Result<(), CallError> {
        if self.component.traps_at_once {
            return Err(Self::trap("validate"));
        }
        // Whatever is answered is an answer.
        Ok(())
    }

    async fn plan(&self, _: Call, _: StepServices, _: &str) -> Result<StepPlan, CallError> {
        Ok(StepPlan {
            summary: "say the version".to_owned(),
            changes: Vec::new(),
        })
    }

    async fn execute(&self, _: Call, services: StepServices, _: &str) -> Result<String, CallError> {
        let trapped = self.stage.trapped(&self.digest);
        if trapped.load(Ordering::SeqCst) < self.component.traps {
            trapped.fetch_add(1, Ordering::SeqCst);
            return Err(Self::trap("execute"));
        }
        while self.component.gated && !self.stage.gate.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let mut secrets = Vec::new();
        for name in &self.component.secrets {
            let code = services.secrets.get(name).await.err();
            secrets.push(code.is_some_and(|error: Error| error.code == ErrorCode::Denied));
        }
        Ok(json!({ "version": self.component.version, "denied": secrets }).to_string())
    }

    async fn compensate(
        &self,
        _: Call,
        _: StepServices,
        _: &str,
        _: Option<&str>,
    ) -> Result<(), CallError> {
        let trapped = self.stage.trapped(&format!("undo {}", self.digest));
        if trapped.load(Ordering::SeqCst) < self.component.undo_traps {
            trapped.fetch_add(1, Ordering::SeqCst);
            return Err(Self::trap("compensate"));
        }
        self.stage.write(format!("undo {}", self.component.version));
        Ok(())
    }
}

/// Where steps come from in these tests: what is published, and files of runs.
pub struct Shelf {
    stage: Arc<Stage>,
    watch: Arc<CallWatch>,
    serving: Mutex<Option<(Candidate, Arc<dyn WorkflowStep>)>>,
    natives: NativeSteps,
}

impl Shelf {
    fn load(&self, bytes: &[u8]) -> Arc<dyn WorkflowStep> {
        let component: Component = serde_json::from_slice(bytes).unwrap();
        Arc::new(Scripted {
            manifest: component.manifest(),
            digest: hex(bytes),
            component,
            stage: Arc::clone(&self.stage),
        })
    }
}

fn refused(reason: &str) -> Refusal {
    Refusal {
        reason: reason.to_owned(),
        code: ErrorCode::Invalid,
    }
}

#[async_trait]
impl PluginHost for Shelf {
    fn inspect(&self, component: &[u8]) -> Result<Inspected, Refusal> {
        let read: Component =
            serde_json::from_slice(component).map_err(|_| refused("it is no component"))?;
        Ok(Inspected {
            manifest: read.manifest(),
            kind: Kind::WorkflowStep,
            digest: hex(component),
            size: component.len() as u64,
            imports: read.imports(),
        })
    }

    async fn compile(&self, candidate: &Candidate) -> Result<Prepared, Refusal> {
        let bytes = std::fs::read(&candidate.file).unwrap();
        let component: Component = serde_json::from_slice(&bytes).unwrap();
        if component.does_not_compile {
            return Err(refused("it does not compile"));
        }
        Ok(Prepared {
            ready: Ready::Step(self.load(&bytes)),
            settings: "{}".to_owned(),
        })
    }

    fn publish(&self, active: &Active) -> Result<(), Refusal> {
        let active = &active.candidates;
        let mut serving = None;
        for candidate in active {
            let bytes = std::fs::read(&candidate.file).unwrap();
            let component: Component = serde_json::from_slice(&bytes).unwrap();
            if component.cannot_be_ordered {
                return Err(refused("it comes before itself"));
            }
            let step = self.watch.step(self.load(&bytes));
            serving = Some((candidate.clone(), step));
        }
        let names: Vec<&str> = active.iter().map(|found| found.version.as_str()).collect();
        self.stage.write(format!("publish {}", names.join(" ")));
        *self.serving.lock().unwrap() = serving;
        Ok(())
    }

    fn set_grants(&self, _: &str, _: &PluginGrants) {}

    fn retire(&self, digest: &str) {
        self.stage.write(format!("retire {digest}"));
    }
}

#[async_trait]
impl Catalogue for Shelf {
    fn resolve(&self, uses: &StepReference) -> Result<ResolvedPlugin, CatalogueError> {
        if let Some(native) = self.natives.resolve(uses) {
            return native;
        }
        let serving = self.serving.lock().unwrap();
        let Some((candidate, _)) = serving.as_ref().filter(|(c, _)| c.id == uses.id) else {
            return Err(CatalogueError::NotFound {
                reference: uses.to_string(),
                hint: String::new(),
            });
        };
        Ok(ResolvedPlugin {
            id: candidate.id.clone(),
            version: candidate.version.clone(),
            digest: candidate.digest.clone(),
            path: Some(candidate.file.clone()),
        })
    }

    async fn step(&self, pinned: &PinnedPlugin) -> Result<Arc<dyn WorkflowStep>, CatalogueError> {
        if let Some(native) = self.natives.pinned(pinned) {
            return native;
        }
        {
            let serving = self.serving.lock().unwrap();
            if let Some((candidate, step)) = serving.as_ref()
                && candidate.digest == pinned.digest
            {
                return Ok(Arc::clone(step));
            }
        }
        let bytes = std::fs::read(&pinned.path).map_err(|error| CatalogueError::Unusable {
            reference: pinned.id.clone(),
            reason: error.to_string(),
            code: ErrorCode::Other,
        })?;
        Ok(self.watch.step(self.load(&bytes)))
    }

    fn settings(&self, _: &dyn WorkflowStep) -> Result<String, CatalogueError> {
        Ok("{}".to_owned())
    }

    fn list(&self) -> Vec<PluginInfo> {
        Vec::new()
    }
}

/// What is configured for the plugin.
#[derive(Clone, Default)]
pub struct Configured {
    pub policy: CrashPolicy,
    pub grants: PluginGrants,
}

/// A host that installs components.
pub struct Host {
    pub orchestrator: Arc<Orchestrator>,
    pub stage: Arc<Stage>,
    folder: Arc<tempfile::TempDir>,
}

pub fn actor() -> Actor {
    Actor::local("tester")
}

/// A workflow of one step of the plugin.
pub const WORKFLOW: &str = "name: w\nsteps:\n  - id: s\n    uses: scripted\noutputs:\n  version: ${{ steps.s.outputs.version }}\n  denied: ${{ steps.s.outputs.denied }}\n";

/// A workflow that fails once its step has succeeded, which is then undone.
pub const UNDOING: &str = "name: u\nsteps:\n  - { id: s, uses: scripted, compensate: true }\noutputs:\n  none: ${{ steps.s.outputs.nothing }}\n";

/// How long something that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

impl Host {
    pub async fn new() -> Self {
        Self::with(Configured::default()).await
    }

    pub async fn with(configured: Configured) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::over(folder, Arc::default(), configured).await
    }

    async fn over(
        folder: Arc<tempfile::TempDir>,
        stage: Arc<Stage>,
        configured: Configured,
    ) -> Self {
        let policies = [ID, MENDER].map(|id| (id.to_owned(), configured.policy));
        let watch = CallWatch::new(BTreeMap::from(policies));
        let mending = Arc::new(Mending::new(&watch));
        let mut natives = NativeSteps::new();
        natives.register("native/mend", Arc::clone(&mending) as _);
        let shelf = Arc::new(Shelf {
            stage: Arc::clone(&stage),
            watch: Arc::clone(&watch),
            serving: Mutex::default(),
            natives,
        });
        let mut options = Options::new(folder.path());
        options.engine.grace = Duration::from_millis(50);
        options.plugins = Some(PluginOptions {
            host: Arc::clone(&shelf) as _,
            watch,
            grants: BTreeMap::from([(ID.to_owned(), configured.grants)]),
        });
        let orchestrator = Orchestrator::open(options, shelf).unwrap();
        mending.store.set(orchestrator.store.clone()).ok();
        orchestrator.start_engine().await.unwrap();
        Self {
            orchestrator,
            stage,
            folder,
        }
    }

    /// Shuts the host down and starts another over the same folder.
    pub async fn restarted(self, configured: Configured) -> Self {
        self.orchestrator.shutdown().await;
        let Self {
            orchestrator,
            stage,
            folder,
        } = self;
        drop(orchestrator);
        Self::over(folder, stage, configured).await
    }

    pub fn component_file(&self, component: &Component) -> PathBuf {
        let folder: &Path = self.folder.path();
        folder.join(format!("components/{}.wasm", component.digest()))
    }

    pub async fn install(&self, component: &Component) {
        let plugins = &self.orchestrator.plugins;
        let installed = plugins
            .install(&actor(), component.bytes(), Approval::Proposed)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(installed.record.digest, component.digest());
    }

    pub async fn activate(&self, version: &str) -> Activation {
        let plugins = &self.orchestrator.plugins;
        let activation = plugins.activate(&actor(), ID, version).await;
        activation.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Installs and activates, to the end.
    pub async fn serve(&self, component: &Component) -> Activation {
        self.install(component).await;
        let begun = self.activate(&component.version).await;
        let plugins = &self.orchestrator.plugins;
        plugins.finished(&begun.id).await.unwrap()
    }

    pub fn active(&self) -> Option<String> {
        self.orchestrator.plugins.get(ID).unwrap().active
    }

    pub async fn start(&self) -> RunView {
        self.start_with(WORKFLOW).await
    }

    pub async fn start_with(&self, workflow: &str) -> RunView {
        let request = StartRun::new(WorkflowSource::Text(workflow.to_owned()), json!({}));
        let started = self.orchestrator.runs.start(&actor(), request).await;
        started.unwrap_or_else(|error| panic!("{error}"))
    }

    pub async fn until(&self, run: &str, wanted: impl Fn(&RunView) -> bool) -> RunView {
        let began = Instant::now();
        loop {
            let view = self.orchestrator.runs.get(run).unwrap();
            if wanted(&view) {
                return view;
            }
            assert!(began.elapsed() < PATIENCE, "it never became so: {view:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn until_state(&self, run: &str, state: RunState) -> RunView {
        let ended = |view: &RunView| view.run.state.is_finished() || view.run.state == state;
        let view = self.until(run, ended).await;
        assert_eq!(view.run.state, state, "{view:#?}");
        view
    }

    /// Lets what is gated go on.
    pub fn open_gate(&self) {
        self.stage.gate.store(true, Ordering::SeqCst);
    }

    /// How often a step of this version was undone.
    pub fn undone(&self, version: &str) -> usize {
        let log = self.stage.log.lock().unwrap();
        let undone = format!("undo {version}");
        log.iter().filter(|entry| **entry == undone).count()
    }

    /// Runs the workflow to its success; says which version answered.
    pub async fn answered(&self) -> String {
        let started = self.start().await;
        let view = self.until_state(&started.run.id, RunState::Succeeded).await;
        version_of(&view)
    }

    pub fn events(&self) -> Vec<Event> {
        let filter = EventFilter {
            run: Some(format!("plugin:{ID}")),
            ..EventFilter::default()
        };
        self.orchestrator.store.events(0, &filter, 1000).unwrap()
    }

    /// `STAGE STATE` of an activation, in order.
    pub fn stages(&self, activation: &str) -> Vec<String> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        self.events()
            .iter()
            .filter(|event| event.kind == "plugin.stage")
            .filter(|event| event.data["activation"] == activation)
            .map(|event| {
                format!(
                    "{} {}",
                    word(&event.data["stage"]),
                    word(&event.data["state"])
                )
            })
            .collect()
    }
}

pub fn version_of(view: &RunView) -> String {
    let outputs = view.run.outputs.as_ref().unwrap();
    outputs["version"].as_str().unwrap().to_owned()
}
