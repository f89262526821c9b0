//! One call of a step's plugin, with all that stands behind its imports.

use super::state::RunFacts;
use crate::catalogue::NATIVE;
use crate::grants::{Granted, StepGrants};
use crate::plugins::{is_crash, parked_for};
use crate::runs::approval::{digest, plan_value};
use crate::runs::artifact::StepArtifacts;
use crate::runs::context::{StepContext, StepName, StopSignal};
use crate::runs::engine::Engine;
use crate::runs::looking::{Looking, LookingArtifacts};
use crate::runs::operation::{Ledger, StepOperations};
use crate::runs::problem::{code_name, of_call, problem};
use crate::runs::workflow::{Approval, CompiledStep, Retry};
use crate::tool::{Denied, ToolRunner};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, MOST_STEP_JSON, StepServices, WorkflowStep};
use cofferdam_contract::services::Artifacts;
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{OperationState, PinnedPlugin, Problem, Quarantine};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

/// How long the end of programs that were told to stop is waited for.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
/// How often is looked whether they have ended.
const LOOK: Duration = Duration::from_millis(10);

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkKind {
    /// `plan`, because someone has to approve it.
    Plan,
    /// `execute`.
    Execute,
    /// `compensate`.
    Compensate,
    /// Nothing: programs of an earlier host are waited for.
    StopPrograms,
}

/// One call to be made.
#[derive(Debug)]
pub(super) struct Work {
    /// The step's index.
    pub(super) step: usize,
    /// What is called.
    pub(super) kind: WorkKind,
    /// The resolved input, JSON.
    pub(super) input: String,
    /// Whether the plugin is asked first whether it accepts the input.
    pub(super) validate: bool,
    /// For a compensation: what the step put out.
    pub(super) output: Option<String>,
    /// The right to do it now.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// What a call came to.
#[derive(Debug)]
pub(super) enum Ended {
    /// This is what would change.
    Planned {
        /// The resolved input.
        input: Value,
        /// What an approval is for.
        digest: String,
        /// What would change.
        plan: Value,
    },
    /// The step put this out.
    Executed(Value),
    /// The step is undone.
    Compensated,
    /// An error.
    Failed(Problem),
    /// The plugin crashed, and the operator wants such attempts to be made again so.
    Crashed(Problem, Retry),
    /// A person has to look.
    Parked(Problem),
    /// It was stopped from outside.
    Stopped,
}

/// Whose call it is, and how it is limited.
pub(super) struct Caller {
    pub(super) engine: Arc<Engine>,
    pub(super) facts: Arc<RunFacts>,
    pub(super) stop: StopSignal,
    /// The step's id.
    pub(super) step: String,
    /// What the approver is told beside the plan.
    pub(super) message: Option<String>,
    pub(super) timeout: Option<Duration>,
    /// Where the step is not trusted: the grants that it names.
    pub(super) grants: Option<StepGrants>,
    /// The step's pinned plugin.
    pub(super) plugin: PinnedPlugin,
    pub(super) attempt: u32,
}

impl Caller {
    pub(super) fn of(
        engine: &Arc<Engine>,
        facts: &Arc<RunFacts>,
        stop: StopSignal,
        step: &CompiledStep,
        plugin: PinnedPlugin,
        attempt: u32,
    ) -> Self {
        Self {
            engine: Arc::clone(engine),
            facts: Arc::clone(facts),
            stop,
            step: step.id.clone(),
            message: match &step.approval {
                Approval::Needed { message } => message.clone(),
                Approval::Unneeded => None,
            },
            timeout: step.timeout,
            grants: step.grants.clone(),
            plugin,
            attempt,
        }
    }

    /// Makes the call.
    pub(super) async fn carry_out(self, mut work: Work) -> Ended {
        let span = tracing::info_span!(
            "step",
            run = %self.facts.id,
            step = %self.step,
            plugin = %self.plugin.id,
            attempt = self.attempt,
            call = work.kind.call(),
        );
        async move {
            let began = Instant::now();
            let kind = work.kind;
            let permit = work.permit.take();
            let ended = self.call(work).await;
            drop(permit);
            if kind == WorkKind::Execute {
                self.engine
                    .metrics
                    .step_attempt(&self.plugin.id, ended.outcome(), began.elapsed());
            }
            match &ended {
                Ended::Failed(error) | Ended::Parked(error) | Ended::Crashed(error, _) => {
                    tracing::info!(code = error.code, "{}", error.message);
                }
                _ => tracing::debug!(outcome = ended.outcome(), "ended"),
            }
            ended
        }
        .instrument(span)
        .await
    }

    async fn call(&self, work: Work) -> Ended {
        let (step, settings) = match self.load().await {
            Ok(loaded) => loaded,
            Err(error) => return Ended::Parked(error),
        };
        let redactor = self.engine.secrets.redactor(&self.facts.project);
        let name = StepName {
            run: Arc::clone(&self.facts.id),
            project: Arc::clone(&self.facts.project),
            step: self.step.as_str().into(),
        };
        let stop = self.stop.child();
        let over = stop.on_drop();
        let call = Call {
            context: Arc::new(StepContext {
                name: name.clone(),
                stop,
                logs: self.engine.logs.clone(),
                publisher: Arc::clone(&self.engine.publisher),
                redactor: redactor.clone(),
                progress: Mutex::default(),
            }),
            settings,
        };
        let ledgers = Ledgers::default();
        let granted = match self.granted() {
            Ok(granted) => granted,
            Err(error) => return Ended::Parked(error),
        };
        let services = match work.kind {
            WorkKind::Execute | WorkKind::Compensate => self.services(&name, &ledgers, granted),
            WorkKind::Plan | WorkKind::StopPrograms => looking(artifacts(&self.engine, &name)),
        };
        let calling = self.calling(step.as_ref(), call, services, &name, &work);
        let began = Instant::now();
        let ended = match self.timeout {
            None => calling.await,
            // The call is dropped when its time is over, which ends it.
            Some(limit) => match tokio::time::timeout(limit, calling).await {
                Ok(ended) => ended,
                Err(_) => {
                    self.count(work.kind, "timeout", began.elapsed());
                    drop(over);
                    self.settle_programs(&ledgers).await;
                    return Ended::Failed(problem(
                        ErrorCode::Timeout,
                        format!(
                            "the attempt was stopped after {}, the step's `timeout`",
                            humantime::format_duration(limit)
                        ),
                    ));
                }
            },
        };
        let outcome = match &ended {
            Ok(_) => "ok",
            Err(error) => code_name(error.code()),
        };
        self.count(work.kind, outcome, began.elapsed());
        if ended.as_ref().is_err_and(is_crash) {
            drop(over);
            self.settle_programs(&ledgers).await;
        }
        if let Some(operation) = ledgers.lost() {
            let why = match ended {
                Ok(_) => format!("nobody knows how its operation `{operation}` ended"),
                Err(error) => of_call(&error, &redactor).message,
            };
            let mut problem = problem(ErrorCode::Other, why);
            problem.hint = Some(
                "look at what it was to do; then resume the run, which begins the operation anew, or cancel it"
                    .to_owned(),
            );
            return Ended::Parked(problem);
        }
        match ended {
            Ok(Ended::Executed(mut output)) => {
                redactor.value(&mut output);
                Ended::Executed(output)
            }
            Ok(Ended::Planned {
                input,
                mut plan,
                digest: _,
            }) => {
                redactor.value(&mut plan);
                let digest = digest(&self.step, &self.plugin.digest, &input, &plan);
                Ended::Planned {
                    input,
                    digest,
                    plan,
                }
            }
            Ok(ended) => ended,
            Err(error) => self.failed(&error, of_call(&error, &redactor)).await,
        }
    }

    /// What follows from an error: the plugin may be in quarantine now, or its crash may be
    /// one that the operator wants tried again.
    async fn failed(&self, error: &CallError, problem: Problem) -> Ended {
        if let Some(quarantine) = self.quarantine(error).await {
            let parked = parked_for(&quarantine);
            return Ended::Parked(Problem {
                message: format!("{}; {}", problem.message, parked.message),
                ..parked
            });
        }
        match self.engine.plugins.policy(&self.plugin.id).retry() {
            Some(retry) if is_crash(error) => Ended::Crashed(problem, retry),
            _ => Ended::Failed(problem),
        }
    }

    /// The quarantine that an attempt which failed has to wait for: of its own plugin, where
    /// that crashed or was refused, or for a native step of any that the run pins, since
    /// it calls them.
    async fn quarantine(&self, error: &CallError) -> Option<Quarantine> {
        let watch = &self.engine.plugins.watch;
        if !self.plugin.digest.starts_with(NATIVE) {
            let concerned = is_crash(error) || error.code() == ErrorCode::Unavailable;
            return watch.quarantine(&self.plugin.digest).filter(|_| concerned);
        }
        if !watch.has_quarantines() {
            return None;
        }
        let (store, run) = (self.engine.store.clone(), self.facts.id.to_string());
        let detail = tokio::task::spawn_blocking(move || store.run_detail(&run)).await;
        let pins = detail.ok()?.ok()?.plugins;
        pins.iter().find_map(|pin| watch.quarantine(&pin.digest))
    }

    fn count(&self, kind: WorkKind, outcome: &str, took: Duration) {
        let metrics = &self.engine.metrics;
        metrics.plugin_call(&self.plugin.id, kind.call(), outcome, took);
    }

    /// The step's plugin and its settings.
    async fn load(&self) -> Result<(Arc<dyn WorkflowStep>, String), Problem> {
        if let Some(quarantine) = self.engine.plugins.watch.quarantine(&self.plugin.digest) {
            return Err(parked_for(&quarantine));
        }
        let refuse = |error: &crate::catalogue::CatalogueError| {
            problem(error.code(), format!("the plugin cannot be used: {error}"))
        };
        let located = if self.engine.components.is_ready(&self.plugin) {
            self.engine.components.located(&self.plugin)
        } else {
            let (engine, plugin) = (Arc::clone(&self.engine), self.plugin.clone());
            tokio::task::spawn_blocking(move || engine.components.located(&plugin))
                .await
                .map_err(|error| problem(ErrorCode::Other, error.to_string()))?
        }
        .map_err(|error| refuse(&error))?;
        let catalogue = &self.engine.catalogue;
        let step = catalogue.step(&located).await.map_err(|e| refuse(&e))?;
        let settings = catalogue.settings(&*step).map_err(|e| refuse(&e))?;
        Ok((step, settings))
    }

    async fn calling(
        &self,
        step: &dyn WorkflowStep,
        call: Call,
        services: StepServices,
        name: &StepName,
        work: &Work,
    ) -> Result<Ended, CallError> {
        if work.validate {
            let looking = looking(artifacts(&self.engine, name));
            step.validate(call.clone(), looking, &work.input).await?;
        }
        match work.kind {
            WorkKind::Plan => {
                let plan = step.plan(call, services, &work.input).await?;
                Ok(Ended::Planned {
                    input: serde_json::from_str(&work.input).unwrap_or_default(),
                    digest: String::new(),
                    plan: plan_value(&plan, self.message.as_deref()),
                })
            }
            WorkKind::Execute => {
                let output = step.execute(call, services, &work.input).await?;
                self.output(&output).map(Ended::Executed)
            }
            WorkKind::Compensate => {
                step.compensate(call, services, &work.input, work.output.as_deref())
                    .await?;
                Ok(Ended::Compensated)
            }
            WorkKind::StopPrograms => Ok(Ended::Stopped),
        }
    }

    fn output(&self, text: &str) -> Result<Value, CallError> {
        let refuse = |reason: String| CallError::Nonsense {
            callee: cofferdam_contract::failure::Callee {
                plugin: self.plugin.id.clone(),
                call: "execute".to_owned(),
            },
            reason,
        };
        if text.len() > MOST_STEP_JSON {
            return Err(refuse(format!(
                "an output of {} bytes, more than {MOST_STEP_JSON}",
                text.len()
            )));
        }
        match serde_json::from_str(text) {
            Ok(output @ Value::Object(_)) => Ok(output),
            Ok(_) => Err(refuse("the output is no JSON object".to_owned())),
            Err(error) => Err(refuse(format!("the output is no JSON: {error}"))),
        }
    }

    /// What the step's plugin may do in it. What the step names was granted when the run
    /// began; the operator may have taken it back since.
    fn granted(&self) -> Result<Arc<Granted>, Problem> {
        let engine = &self.engine;
        let (id, digest) = (&self.plugin.id, &self.plugin.digest);
        let granted = engine.plugins.granted(id, digest, engine.tools.grants());
        let Some(grants) = &self.grants else {
            return Ok(granted);
        };
        match granted.narrowed(&self.step, grants) {
            Ok(narrowed) => Ok(Arc::new(narrowed)),
            Err(flaw) => Err(problem(
                ErrorCode::Denied,
                format!("the step's `grants` can no longer be met: {flaw}"),
            )),
        }
    }

    fn services(&self, name: &StepName, ledgers: &Ledgers, granted: Arc<Granted>) -> StepServices {
        let engine = &self.engine;
        let operations = |ledger: &Arc<Ledger>| {
            Arc::new(StepOperations {
                name: name.clone(),
                store: engine.store.clone(),
                publisher: Arc::clone(&engine.publisher),
                metrics: Arc::clone(&engine.metrics),
                ledger: Arc::clone(ledger),
            })
        };
        let artifacts = artifacts(engine, name);
        StepServices {
            tools: Arc::new(ToolRunner {
                host: Arc::clone(&engine.tools),
                granted: Arc::clone(&granted),
                step: self.step.clone(),
                work: engine.paths.step(&self.facts.id, &self.step),
                operations: operations(&ledgers.tools),
                artifacts: artifacts.clone(),
                redactor: engine.secrets.redactor(&self.facts.project),
            }),
            secrets: Arc::new(
                engine
                    .secrets
                    .for_step(&self.facts.project, Arc::clone(&granted)),
            ),
            http: granted,
            operations: operations(&ledgers.native),
            artifacts,
        }
    }

    /// Waits until programs of an attempt have ended whose time is over or whose plugin was
    /// stopped, and gives up their operations: the next attempt starts them anew.
    async fn settle_programs(&self, ledgers: &Ledgers) {
        let keys = ledgers.tools.open();
        if keys.is_empty() {
            return;
        }
        wait_until_ended(&self.engine, &keys).await;
        let engine = Arc::clone(&self.engine);
        let given_up = tokio::task::spawn_blocking(move || {
            keys.iter()
                .try_for_each(|key| engine.store.abandon_operation(key).map(|_| ()))
        });
        if let Ok(Err(error)) = given_up.await {
            tracing::warn!(%error, "operations whose time is over cannot be given up");
        }
    }
}

impl WorkKind {
    fn call(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Execute => "execute",
            Self::Compensate => "compensate",
            Self::StopPrograms => "stop",
        }
    }
}

impl Ended {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Executed(_) => "succeeded",
            Self::Planned { .. } => "planned",
            Self::Compensated => "compensated",
            Self::Failed(error) if error.code == code_name(ErrorCode::Timeout) => "timeout",
            Self::Failed(_) => "failed",
            Self::Crashed(..) => "crashed",
            Self::Parked(_) => "needs-attention",
            Self::Stopped => "cancelled",
        }
    }
}

/// The operations of one attempt: those of programs, which can be stopped, and those that
/// a native step keeps itself.
#[derive(Default)]
struct Ledgers {
    tools: Arc<Ledger>,
    native: Arc<Ledger>,
}

impl Ledgers {
    fn lost(&self) -> Option<String> {
        self.tools.lost().or_else(|| self.native.lost())
    }
}

fn artifacts(engine: &Arc<Engine>, name: &StepName) -> Arc<StepArtifacts> {
    Arc::new(StepArtifacts {
        name: name.clone(),
        store: engine.store.clone(),
        publisher: Arc::clone(&engine.publisher),
    })
}

/// What a call is given that may have no effect.
pub(crate) fn looking(artifacts: Arc<dyn Artifacts>) -> StepServices {
    StepServices {
        tools: Arc::new(Denied),
        secrets: Arc::new(Looking),
        http: Arc::new(Looking),
        operations: Arc::new(Looking),
        artifacts: Arc::new(LookingArtifacts(artifacts)),
    }
}

/// Stops the programs of a run that still go on, and waits for their end.
pub(super) async fn stop_programs(engine: Arc<Engine>, run: Arc<str>) -> Ended {
    let keys: Vec<String> = match engine.store.operations(&run) {
        Ok(operations) => operations
            .into_iter()
            .filter(|operation| operation.state == OperationState::Started)
            .map(|operation| operation.key)
            .collect(),
        Err(error) => {
            tracing::warn!(%run, %error, "it is not known which programs of the run go on");
            Vec::new()
        }
    };
    for key in &keys {
        let folder = engine.tools.folder(key);
        if folder.is_started().unwrap_or(false)
            && let Err(error) = folder.ask_to_stop()
        {
            tracing::warn!(%run, key, %error, "a program cannot be told to stop");
        }
    }
    wait_until_ended(&engine, &keys).await;
    Ended::Stopped
}

async fn wait_until_ended(engine: &Engine, keys: &[String]) {
    let goes_on = |key: &String| {
        let folder = engine.tools.folder(key);
        // An operation of a native step has no folder.
        folder.is_started().unwrap_or(false)
            && !folder.has_result().unwrap_or(true)
            && folder.is_locked().unwrap_or(false)
    };
    let ended = async {
        while keys.iter().any(goes_on) {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(STOPPED_WITHIN, ended).await.is_err() {
        tracing::error!(?keys, "programs that were told to stop still go on");
    }
}
