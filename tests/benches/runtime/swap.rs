//! What calls notice when their plugin is replaced while they go on.
//!
//! Two runs of one step go on all the time; a new version is activated again and again, with
//! everything that belongs to it: verified, compiled in a child process, tested, published,
//! the old one drained. A call is from the step's entry to its end, in a fresh instance.

use crate::echo;
use crate::guest::all_but;
use crate::spells::{head, row};
use async_trait::async_trait;
use cofferdam_capabilities::{assemble, runtime};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::types::{ErrorCode, StepPlan};
use cofferdam_orchestrator::catalogue::{
    Catalogue, CatalogueError, PluginInfo, ResolvedPlugin, StepReference,
};
use cofferdam_orchestrator::grants::PluginGrants;
use cofferdam_orchestrator::plugins::{
    ActivationOutcome, Active, Approval, CallWatch, Candidate, Inspected, PluginHost,
    PluginOptions, Prepared, Ready, Refusal,
};
use cofferdam_orchestrator::runs::{StartRun, WorkflowSource};
use cofferdam_orchestrator::{Actor, Options, Orchestrator};
use cofferdam_runtime::cache::Cache;
use cofferdam_runtime::compiler::Compiler;
use cofferdam_runtime::{
    Options as RuntimeOptions, PluginCode, PluginFile, Runtime, embed_manifest, inspect,
};
use cofferdam_store::{PinnedPlugin, RunState};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Activations in a round.
const SWAPS: usize = 4;
/// How long calls are looked at before and after each activation.
const BESIDE: Duration = Duration::from_millis(250);
const WORKFLOW: &str = "name: w\nsteps:\n  - { id: s, uses: echo, with: {} }\n";

/// How long calls took since they were looked at last.
type Calls = Arc<Mutex<Vec<Duration>>>;

/// A step whose calls are timed.
struct Timed {
    step: Arc<dyn WorkflowStep>,
    calls: Calls,
}

impl Plugin for Timed {
    fn manifest(&self) -> &Manifest {
        self.step.manifest()
    }
    fn digest(&self) -> &str {
        self.step.digest()
    }
}

#[async_trait]
impl WorkflowStep for Timed {
    async fn validate(&self, call: Call, given: StepServices, with: &str) -> Result<(), CallError> {
        self.step.validate(call, given, with).await
    }
    async fn plan(
        &self,
        call: Call,
        given: StepServices,
        with: &str,
    ) -> Result<StepPlan, CallError> {
        self.step.plan(call, given, with).await
    }
    async fn execute(
        &self,
        call: Call,
        given: StepServices,
        with: &str,
    ) -> Result<String, CallError> {
        let began = Instant::now();
        let result = self.step.execute(call, given, with).await;
        self.calls.lock().unwrap().push(began.elapsed());
        result
    }
    async fn compensate(
        &self,
        call: Call,
        given: StepServices,
        with: &str,
        output: Option<&str>,
    ) -> Result<(), CallError> {
        self.step.compensate(call, given, with, output).await
    }
}

/// A version that is loaded.
#[derive(Clone)]
struct Loaded {
    code: Arc<PluginCode>,
    step: Arc<dyn WorkflowStep>,
}

/// What a host does for installed plugins, for steps that are granted nothing.
struct Serving {
    runtime: Arc<Runtime>,
    watch: Arc<CallWatch>,
    calls: Calls,
    /// The active ones, by id.
    now: Mutex<BTreeMap<String, Loaded>>,
    /// All that were not retired, by digest.
    loaded: Mutex<BTreeMap<String, Loaded>>,
}

fn refused(error: &impl ToString) -> Refusal {
    Refusal {
        reason: error.to_string(),
        code: ErrorCode::Invalid,
    }
}

impl Serving {
    fn load(&self, file: &Path, digest: &str) -> Result<Loaded, Refusal> {
        let mut loaded = self.loaded.lock().unwrap();
        if let Some(there) = loaded.get(digest) {
            return Ok(there.clone());
        }
        let file = PluginFile::read(file).map_err(|error| refused(&error))?;
        let id = file.inspection.manifest.id.clone();
        let runtime = Arc::clone(&self.runtime);
        let code = Arc::new(PluginCode::new(runtime, file, &Granted::nothing()));
        let alone = BTreeMap::from([(id, Arc::clone(&code))]);
        let (_, mut steps) = assemble(&self.runtime, &alone).map_err(|error| refused(&error))?;
        let (_, step) = steps.pop_first().unwrap();
        let timed = Arc::new(Timed {
            step,
            calls: Arc::clone(&self.calls),
        });
        let step = self.watch.step(timed);
        let made = Loaded { code, step };
        loaded.insert(digest.to_owned(), made.clone());
        Ok(made)
    }
}

#[async_trait]
impl Catalogue for Serving {
    fn resolve(&self, uses: &StepReference) -> Result<ResolvedPlugin, CatalogueError> {
        let now = self.now.lock().unwrap();
        let file = now.get(&uses.id).unwrap().code.file();
        Ok(ResolvedPlugin {
            id: uses.id.clone(),
            version: file.inspection.manifest.version.clone(),
            digest: file.inspection.digest.clone(),
            path: Some(file.path.clone()),
        })
    }

    async fn step(&self, pinned: &PinnedPlugin) -> Result<Arc<dyn WorkflowStep>, CatalogueError> {
        let loaded = self.load(Path::new(&pinned.path), &pinned.digest);
        let unusable = |refusal: Refusal| CatalogueError::Unusable {
            reference: pinned.id.clone(),
            reason: refusal.reason,
            code: refusal.code,
        };
        loaded.map(|loaded| loaded.step).map_err(unusable)
    }

    fn settings(&self, _: &dyn WorkflowStep) -> Result<String, CatalogueError> {
        Ok("{}".to_owned())
    }

    fn list(&self) -> Vec<PluginInfo> {
        Vec::new()
    }
}

#[async_trait]
impl PluginHost for Serving {
    fn inspect(&self, component: &[u8]) -> Result<Inspected, Refusal> {
        let inspection = inspect(component).map_err(|error| refused(&error))?;
        Ok(Inspected {
            manifest: inspection.manifest,
            kind: inspection.kind,
            digest: inspection.digest,
            size: inspection.size,
            imports: inspection.imports,
        })
    }

    async fn compile(&self, candidate: &Candidate) -> Result<Prepared, Refusal> {
        let loaded = self.load(&candidate.file, &candidate.digest)?;
        let code = loaded.code.load().await;
        code.map_err(|error| refused(&error))?;
        Ok(Prepared {
            ready: Ready::Step(loaded.step),
            settings: "{}".to_owned(),
        })
    }

    fn publish(&self, active: &Active) -> Result<(), Refusal> {
        let active = active.candidates.iter().map(|candidate| {
            let loaded = self.load(&candidate.file, &candidate.digest)?;
            Ok((candidate.id.clone(), loaded))
        });
        *self.now.lock().unwrap() = active.collect::<Result<_, Refusal>>()?;
        Ok(())
    }

    fn set_grants(&self, _: &str, _: &PluginGrants) {}

    fn retire(&self, digest: &str) {
        self.loaded.lock().unwrap().remove(digest);
    }
}

fn version(component: &[u8], number: usize) -> Vec<u8> {
    let manifest = format!(
        "id = \"echo\"\nversion = \"1.0.{number}\"\nsummary = \"gives back what it gets\"\n[limits]\n{}",
        all_but(&[])
    );
    embed_manifest(component, &Manifest::parse(&manifest).unwrap()).unwrap()
}

/// Runs, one after the other, until it is told to stop.
async fn load(host: &Orchestrator, stop: &AtomicBool, failed: &AtomicUsize) {
    let actor = Actor::local("bench");
    while !stop.load(Ordering::Relaxed) {
        let request = StartRun::new(WorkflowSource::Text(WORKFLOW.to_owned()), Value::Null);
        let started = host.runs.start(&actor, request).await;
        let Ok(started) = started else {
            failed.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let state = loop {
            let state = host.runs.get(&started.run.id).unwrap().run.state;
            if state.is_finished() || state == RunState::NeedsAttention {
                break state;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        if state != RunState::Succeeded {
            failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Before, during and after activations.
struct Phase {
    name: &'static str,
    calls: Vec<Duration>,
    failed: usize,
}

impl Phase {
    fn row(mut self) {
        self.calls.sort_unstable();
        let at = |share: usize| {
            let index = (self.calls.len() * share).div_ceil(100).max(1) - 1;
            format!("{:.2}", self.calls[index].as_secs_f64() * 1e3)
        };
        row(&[
            self.name.to_owned(),
            self.calls.len().to_string(),
            self.failed.to_string(),
            at(50),
            at(99),
        ]);
    }
}

async fn table(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let calls: Calls = Arc::default();
    let watch = CallWatch::new(BTreeMap::new());
    let options = RuntimeOptions {
        cache: Cache::open(&folder.path().join("cache")),
        compiler: Compiler::this_program(),
        ..RuntimeOptions::uncached()
    };
    let serving = Arc::new(Serving {
        runtime: runtime(&options).unwrap(),
        watch: Arc::clone(&watch),
        calls: Arc::clone(&calls),
        now: Mutex::default(),
        loaded: Mutex::default(),
    });
    let mut options = Options::new(folder.path().join("state"));
    options.plugins = Some(PluginOptions {
        host: Arc::clone(&serving) as _,
        watch,
        grants: BTreeMap::new(),
    });
    let host = Orchestrator::open(options, serving).unwrap();
    host.start_engine().await.unwrap();
    let actor = Actor::local("bench");
    let component = echo::component();
    let swaps = rounds * SWAPS;
    for number in 0..=swaps {
        let bytes = version(&component, number);
        let installed = host.plugins.install(&actor, bytes, Approval::Nothing);
        installed.await.unwrap();
    }
    let activate = async |number: usize| {
        let version = format!("1.0.{number}");
        let activation = host.plugins.activate(&actor, "echo", &version);
        let activation = activation.await.unwrap();
        assert_eq!(
            activation.outcome,
            ActivationOutcome::Active,
            "{activation:?}"
        );
        host.plugins.finished(&activation.id).await.unwrap();
    };
    activate(0).await;

    let (stop, failed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut phases = ["before", "during", "after"].map(|name| Phase {
        name,
        calls: Vec::new(),
        failed: 0,
    });
    let mut longest = Duration::ZERO;
    let swapping = async {
        // The first runs are not counted.
        tokio::time::sleep(BESIDE).await;
        let mut take = |phase: usize| {
            let took = std::mem::take(&mut *calls.lock().unwrap());
            phases[phase].calls.extend(took);
            phases[phase].failed += failed.swap(0, Ordering::Relaxed);
        };
        for number in 1..=swaps {
            calls.lock().unwrap().clear();
            tokio::time::sleep(BESIDE).await;
            take(0);
            let began = Instant::now();
            activate(number).await;
            longest = longest.max(began.elapsed());
            take(1);
            tokio::time::sleep(BESIDE).await;
            take(2);
        }
        stop.store(true, Ordering::Relaxed);
    };
    let one = || load(&host, &stop, &failed);
    tokio::join!(one(), one(), swapping);
    host.shutdown().await;

    head(&[
        "calls beside swaps",
        "calls",
        "failed",
        "p50, ms",
        "p99, ms",
    ]);
    for phase in phases {
        phase.row();
    }
    println!(
        "\n{swaps} swaps; the longest took {:.0} ms from its beginning to the end of the last old call.",
        longest.as_secs_f64() * 1e3
    );
}

/// Prints the table.
pub fn measure(rounds: usize) {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio.block_on(table(rounds));
}
