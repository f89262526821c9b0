//! The scripted step, and hosts that know nothing else.

use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee, Limit};
use cofferdam_contract::kinds::{Call, Kind, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::Begun;
use cofferdam_contract::types::{
    Error, ErrorCode, Level, PlannedChange, StepPlan, ToolArgument, ToolRequest,
};
use cofferdam_orchestrator::catalogue::NativeSteps;
use cofferdam_orchestrator::runs::{RunView, StartRun, WorkflowSource};
use cofferdam_orchestrator::{Actor, Options, Orchestrator};
use cofferdam_store::{RunState, StepRecord, StepState, operation_key};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the scripted step does; its input.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Script {
    /// Written into the diary instead of the step's name.
    pub name: String,
    /// What it puts out.
    pub out: Option<Value>,
    /// How long it takes.
    pub sleep_ms: u64,
    /// The code it fails with.
    pub fail: Option<String>,
    /// How often it fails before it succeeds; always without it.
    pub fail_times: Option<u32>,
    /// When trying again makes sense.
    pub retry_after: Option<u32>,
    /// A host operation.
    pub operation: Option<String>,
    /// Declares the operation lost the first time.
    pub lose: bool,
    /// Says this in its log, its output and its error.
    pub secret: Option<String>,
    /// Panics.
    pub panic: bool,
    /// Fails to undo.
    pub compensation_fails: bool,
    /// A host operation of the compensation; the first is declared lost. For a step whose
    /// id is its name.
    pub undo_operation: Option<String>,
    /// Rejects the input.
    pub invalid: bool,
    /// Waits until the diary's gate is open.
    pub gate: bool,
    /// An artifact that has to be there.
    pub file: Option<String>,
    /// A shell script, run by the granted program `sh`.
    pub sh: Option<String>,
    /// Its time limit, which ends it beside its program.
    pub wall_ms: Option<u64>,
    /// Works on a thread of its own until it is told to stop.
    pub thread: bool,
    /// Takes no part in anything.
    pub note: Value,
}

/// What steps did, outside of any journal.
#[derive(Default)]
pub struct Diary {
    /// In order: `execute NAME`, `done NAME`, `compensate NAME`, `plan NAME`, `effect KEY`.
    pub entries: Mutex<Vec<String>>,
    /// Opens what waits for the gate.
    pub gate: AtomicBool,
}

impl Diary {
    fn write(&self, entry: String) {
        self.entries.lock().unwrap().push(entry);
    }

    pub fn all(&self) -> Vec<String> {
        self.entries.lock().unwrap().clone()
    }

    pub fn count(&self, entry: &str) -> usize {
        self.all().iter().filter(|known| *known == entry).count()
    }

    pub fn position(&self, entry: &str) -> usize {
        self.all()
            .iter()
            .position(|known| known == entry)
            .unwrap_or_else(|| panic!("no `{entry}` in {:?}", self.all()))
    }

    /// The entries that begin so.
    pub fn starting(&self, start: &str) -> Vec<String> {
        self.all()
            .into_iter()
            .filter(|entry| entry.starts_with(start))
            .collect()
    }
}

/// Does what its input says.
pub struct ScriptedStep {
    manifest: Manifest,
    diary: Arc<Diary>,
}

impl ScriptedStep {
    pub fn new(diary: Arc<Diary>) -> Self {
        Self {
            manifest: Manifest::parse(
                "id = \"scripted\"\nversion = \"0.1.0\"\nsummary = \"Does what its input says\"",
            )
            .unwrap(),
            diary,
        }
    }
}

fn failed(call: &str, error: Error) -> CallError {
    CallError::Returned {
        callee: Callee {
            plugin: "scripted".to_owned(),
            call: call.to_owned(),
        },
        error,
    }
}

fn read(input: &str) -> Script {
    serde_json::from_str(input).unwrap_or_else(|error| panic!("{input}: {error}"))
}

impl Plugin for ScriptedStep {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn digest(&self) -> &'static str {
        "native:0.1.0"
    }
}

#[async_trait]
impl WorkflowStep for ScriptedStep {
    async fn validate(
        &self,
        _: Call,
        services: StepServices,
        input: &str,
    ) -> Result<(), CallError> {
        let refused = services.operations.begin("x", Value::Null).await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Denied);
        let script: Result<Script, _> = serde_json::from_str(input);
        match script {
            Ok(Script {
                file: Some(file), ..
            }) => {
                let path = services.artifacts.path(&file).await;
                let path = path.map_err(|error| failed("validate", error))?;
                assert!(path.is_file());
                let refused = services.artifacts.add(&path, "x").await;
                assert_eq!(refused.unwrap_err().code, ErrorCode::Denied);
                Ok(())
            }
            Ok(script) if !script.invalid => Ok(()),
            Ok(_) => Err(failed("validate", Error::invalid("the input says so"))),
            Err(error) => Err(failed("validate", Error::invalid(error.to_string()))),
        }
    }

    async fn plan(
        &self,
        _: Call,
        services: StepServices,
        input: &str,
    ) -> Result<StepPlan, CallError> {
        let script = read(input);
        let refused = services.secrets.get("canary").await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::Denied);
        self.diary.write(format!("plan {}", script.name));
        Ok(StepPlan {
            summary: format!("do {}", script.name),
            changes: vec![PlannedChange {
                action: "do".to_owned(),
                subject: script.name,
                detail: String::new(),
            }],
        })
    }

    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let script = read(input);
        let refuse = |error| failed("execute", error);
        self.diary.write(format!("execute {}", script.name));
        assert!(!script.panic, "the script says so");
        let before = self.diary.count(&format!("execute {}", script.name));
        call.context.progress("scripted", 0, 1, "things");
        if script.thread {
            let (diary, context) = (Arc::clone(&self.diary), Arc::clone(&call.context));
            let name = script.name.clone();
            std::thread::spawn(move || {
                while !context.cancelled() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                diary.write(format!("told {name}"));
            });
        }
        let mut out = script.out.clone().unwrap_or_else(|| json!({}));
        if let Some(name) = &script.secret {
            let value = services.secrets.get(name).await.map_err(refuse)?;
            let value = String::from_utf8(value).unwrap();
            call.context.log(
                "scripted",
                Level::Info,
                &format!("logged in with {value}"),
                &[("password".to_owned(), value.clone())],
            );
            out["said"] = Value::String(format!("it is {value}"));
            if script.fail.is_some() {
                return Err(refuse(Error::invalid(format!("{value} is wrong"))));
            }
        }
        if let Some(text) = &script.sh {
            let request = ToolRequest {
                operation: "sh".to_owned(),
                program: "sh".to_owned(),
                arguments: ["-c", text]
                    .map(|argument| ToolArgument::Text(argument.to_owned()))
                    .to_vec(),
                stop_when: Vec::new(),
                timeout_ms: 600_000,
            };
            let limit = Duration::from_millis(script.wall_ms.unwrap_or(600_000));
            let running = tokio::time::timeout(limit, services.tools.run(request));
            let outcome = running.await.map_err(|_| CallError::Limit {
                callee: Callee {
                    plugin: "scripted".to_owned(),
                    call: "execute".to_owned(),
                },
                limit: Limit::WallClock,
                allowed: "2 s".to_owned(),
            })?;
            let outcome = outcome.map_err(refuse)?;
            out["exit"] = json!(outcome.exit);
            out["tail"] = json!(outcome.tail);
        }
        if let Some(name) = &script.operation {
            match services
                .operations
                .begin(name, json!({"do": script.name}))
                .await
                .map_err(refuse)?
            {
                Begun::New { key } | Begun::Started { key } => {
                    if script.lose && self.diary.starting("lost").is_empty() {
                        self.diary.write(format!("lost {key}"));
                        services.operations.lost(name).await.map_err(refuse)?;
                        return Err(refuse(Error::new(ErrorCode::Other, "nobody knows")));
                    }
                    self.diary.write(format!("effect {key}"));
                    tokio::time::sleep(Duration::from_millis(script.sleep_ms)).await;
                    services
                        .operations
                        .finish(name, json!({"key": key}))
                        .await
                        .map_err(refuse)?;
                    out["operation"] = json!({"key": key});
                }
                Begun::Finished { result } => out["operation"] = result,
            }
        } else {
            tokio::time::sleep(Duration::from_millis(script.sleep_ms)).await;
        }
        while script.gate && !self.diary.gate.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if let Some(code) = &script.fail
            && script
                .fail_times
                .is_none_or(|times| before <= usize::try_from(times).unwrap())
        {
            return Err(refuse(Error {
                retry_after: script.retry_after,
                ..Error::new(
                    cofferdam_orchestrator::runs::problem::code_of(code),
                    "the script says so",
                )
            }));
        }
        self.diary.write(format!("done {}", script.name));
        Ok(out.to_string())
    }

    async fn compensate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
        output: Option<&str>,
    ) -> Result<(), CallError> {
        let script = read(input);
        let refuse = |error| failed("compensate", error);
        assert!(!call.context.cancelled(), "what undoes is not cancelled");
        assert!(output.is_some());
        self.diary.write(format!("compensate {}", script.name));
        if let Some(name) = &script.undo_operation {
            let begun = services.operations.begin(name, Value::Null).await;
            let first = operation_key(&call.context.run_id(), &script.name, name, 0);
            match begun.map_err(refuse)? {
                Begun::New { key } | Begun::Started { key } if key == first => {
                    services.operations.lost(name).await.map_err(refuse)?;
                    return Err(refuse(Error::new(ErrorCode::Other, "nobody knows")));
                }
                Begun::New { key } | Begun::Started { key } => {
                    let finished = services.operations.finish(name, json!({ "key": key }));
                    finished.await.map_err(refuse)?;
                }
                Begun::Finished { .. } => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.diary.write(format!("undone {}", script.name));
        if script.compensation_fails {
            return Err(failed("compensate", Error::invalid("the script says so")));
        }
        Ok(())
    }
}

/// A host over a state folder.
pub struct Host {
    pub orchestrator: Arc<Orchestrator>,
    pub diary: Arc<Diary>,
    pub state: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

pub fn actor() -> Actor {
    Actor::local("tester")
}

/// How long something that must happen is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

impl Host {
    /// A new host over a new folder.
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut host = Self::over(folder.path(), Arc::default()).await;
        host._folder = Some(folder);
        host
    }

    /// A host over this folder.
    pub async fn over(state: &Path, diary: Arc<Diary>) -> Self {
        Self::with(state, diary, |_| {}).await
    }

    /// A host over this folder with other options.
    pub async fn with(state: &Path, diary: Arc<Diary>, change: impl FnOnce(&mut Options)) -> Self {
        let mut steps = NativeSteps::new();
        steps.register("scripted", Arc::new(ScriptedStep::new(Arc::clone(&diary))));
        let mut options = Options::new(state);
        options.engine.grace = Duration::from_millis(50);
        change(&mut options);
        let mut list = steps.list().into_iter();
        assert!(list.all(|plugin| plugin.kind == Kind::WorkflowStep));
        let orchestrator = Orchestrator::open(options, Arc::new(steps)).unwrap();
        orchestrator.start_engine().await.unwrap();
        Self {
            orchestrator,
            diary,
            state: state.to_owned(),
            _folder: None,
        }
    }

    /// Shuts the host down, with its programs going on, and gives what is left of it.
    pub async fn left(self) -> (Option<tempfile::TempDir>, PathBuf, Arc<Diary>) {
        self.orchestrator.shutdown().await;
        (self._folder, self.state, self.diary)
    }

    /// Shuts the host down, changes what it left, and starts another over the same folder.
    pub async fn restarted(self, between: impl FnOnce(&Path)) -> Self {
        let Self {
            orchestrator,
            diary,
            state,
            _folder,
        } = self;
        orchestrator.shutdown().await;
        drop(orchestrator);
        between(&state);
        let mut host = Self::over(&state, diary).await;
        host._folder = _folder;
        host
    }

    /// Starts a run of this text.
    pub async fn start(&self, workflow: &str, inputs: Value) -> RunView {
        let request = StartRun::new(WorkflowSource::Text(workflow.to_owned()), inputs);
        let started = self.orchestrator.runs.start(&actor(), request).await;
        started.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until the run is as wanted.
    pub async fn until(&self, run: &str, wanted: impl Fn(&RunView) -> bool) -> RunView {
        let began = Instant::now();
        loop {
            let view = self.orchestrator.runs.get(run).unwrap();
            if wanted(&view) {
                return view;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it never became so: {view:#?}\n{:?}",
                self.diary.all()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the run is in this state.
    pub async fn until_state(&self, run: &str, state: RunState) -> RunView {
        self.until(run, |view| {
            assert!(
                !view.run.state.is_finished() || view.run.state == state,
                "it ended otherwise: {view:#?}"
            );
            view.run.state == state
        })
        .await
    }

    /// Runs a workflow to its end.
    pub async fn run(&self, workflow: &str, inputs: Value) -> RunView {
        let started = self.start(workflow, inputs).await;
        self.until(&started.run.id, |view| view.run.state.is_finished())
            .await
    }

    /// The kinds of a run's events.
    pub fn kinds(&self, run: &str) -> Vec<String> {
        let filter = cofferdam_store::EventFilter {
            run: Some(run.to_owned()),
            ..Default::default()
        };
        let events = self.orchestrator.runs.events(0, &filter, 1000).unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }
}

pub fn step<'a>(view: &'a RunView, id: &str) -> &'a StepRecord {
    view.steps.iter().find(|step| step.step == id).unwrap()
}

pub fn states(view: &RunView) -> BTreeMap<&str, StepState> {
    view.steps
        .iter()
        .map(|step| (step.step.as_str(), step.state))
        .collect()
}
