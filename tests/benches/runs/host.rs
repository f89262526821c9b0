//! A host with the steps that are timed.

use crate::step::{Timed, Work, pure_component};
use async_trait::async_trait;
use cofferdam_capabilities::{load_step, runtime};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::WorkflowStep;
use cofferdam_contract::manifest::Manifest;
use cofferdam_orchestrator::catalogue::{
    Catalogue, CatalogueError, NativeSteps, PluginInfo, ResolvedPlugin, StepReference,
};
use cofferdam_orchestrator::runs::{StartRun, WorkflowSource};
use cofferdam_orchestrator::{Actor, Options, Orchestrator};
use cofferdam_runtime::{Options as RuntimeOptions, PluginFile};
use cofferdam_store::{PinnedPlugin, RunState};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The native ones, and one component under `pure`.
struct Steps {
    native: NativeSteps,
    pure: Arc<Timed>,
    path: PathBuf,
}

#[async_trait]
impl Catalogue for Steps {
    fn resolve(&self, uses: &StepReference) -> Result<ResolvedPlugin, CatalogueError> {
        self.native.resolve(uses).unwrap_or_else(|| {
            Ok(ResolvedPlugin {
                id: uses.id.clone(),
                version: "0.1.0".to_owned(),
                digest: self.pure.digest.clone(),
                path: Some(self.path.clone()),
            })
        })
    }

    async fn step(&self, pinned: &PinnedPlugin) -> Result<Arc<dyn WorkflowStep>, CatalogueError> {
        match self.native.pinned(pinned) {
            Some(step) => step,
            None => Ok(Arc::clone(&self.pure) as Arc<dyn WorkflowStep>),
        }
    }

    fn settings(&self, _: &dyn WorkflowStep) -> Result<String, CatalogueError> {
        Ok("{}".to_owned())
    }

    fn list(&self) -> Vec<PluginInfo> {
        self.native.list()
    }
}

/// A host over a state folder.
pub struct Host {
    pub orchestrator: Arc<Orchestrator>,
    /// When steps were entered.
    pub entered: Arc<Mutex<Vec<Instant>>>,
    /// Lets steps go that wait.
    pub go: watch::Sender<bool>,
    /// What opening and starting took, and how many runs were taken up.
    pub opened: Duration,
    pub started: Duration,
    pub recovered: u64,
}

impl Host {
    pub async fn open(state: &Path) -> Self {
        let entered: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let go = watch::Sender::new(false);
        let path = state.with_extension("wasm");
        std::fs::write(&path, pure_component()).unwrap();
        let digest = PluginFile::read(&path).unwrap().inspection.digest;
        let runtime = runtime(&RuntimeOptions::uncached()).unwrap();
        let component = load_step(&runtime, &path, &digest, &Granted::nothing()).unwrap();
        let timed = |id: &str, digest: &str, work: Work| {
            let text = format!("id = \"{id}\"\nversion = \"0.1.0\"\nsummary = \"Is timed\"");
            Arc::new(Timed {
                manifest: Manifest::parse(&text).unwrap(),
                digest: digest.to_owned(),
                entered: Arc::clone(&entered),
                work,
            })
        };
        let mut native = NativeSteps::new();
        for (id, work) in [
            ("native", Work::Pure),
            ("effect", Work::Effect),
            ("waits", Work::Waits(go.subscribe())),
        ] {
            native.register(id, timed(id, "native:0.1.0", work));
        }
        let steps = Steps {
            native,
            pure: timed("pure", &digest, Work::Component(component)),
            path,
        };
        let began = Instant::now();
        let mut options = Options::new(state);
        options.engine.grace = Duration::ZERO;
        // As the program does.
        options.engine.threads = Some(runtime.handle().clone());
        let orchestrator = Orchestrator::open(options, Arc::new(steps)).unwrap();
        let opened = began.elapsed();
        let recovered = orchestrator.start_engine().await.unwrap();
        Self {
            orchestrator,
            entered,
            go,
            opened,
            started: began.elapsed(),
            recovered,
        }
    }

    /// Starts a run of this text and gives its id.
    pub async fn start(&self, text: &str) -> String {
        let request = StartRun::new(WorkflowSource::Text(text.to_owned()), Value::Null);
        let actor = Actor::local("bench");
        let started = self.orchestrator.runs.start(&actor, request);
        started.await.unwrap().run.id
    }

    /// Waits until a run is so.
    pub async fn until(&self, run: &str, state: RunState) {
        while self.orchestrator.runs.get(run).unwrap().run.state != state {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How many runs are in this state.
    pub fn count(&self, state: RunState) -> u64 {
        let counts = self.orchestrator.store.run_counts().unwrap();
        counts
            .into_iter()
            .filter(|(found, _)| *found == state)
            .map(|(_, count)| count)
            .sum()
    }

    /// Leaves unfinished runs to the next host.
    pub async fn close(self) {
        self.orchestrator.shutdown().await;
    }
}
