//! Starting a run: all that can be wrong is found before anything is written down.

use super::Runs;
use super::artifact::{SCHEME, input_file};
use super::context::{StepContext, StepName, StopSignal};
use super::driver::looking;
use super::engine::{Engine, workflow_digest};
use super::error::RunError;
use super::expression::Scope;
use super::looking::GivenFiles;
use super::request::{PlannedStep, RunView, StartRun, WorkflowPlan, WorkflowSource};
use super::workflow::{CompiledStep, CompiledWorkflow, InputType, input};
use crate::catalogue::ResolvedPlugin;
use crate::identity::{Actor, project_name};
use cofferdam_contract::kinds::{Call, StepServices};
use cofferdam_contract::services::Artifacts;
use cofferdam_store::{NewArtifact, NewPin, NewRun, NewStep, PinnedPlugin, Role, new_run_id};
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};

/// A workflow with all that a run of it needs.
struct Prepared {
    digest: String,
    source: String,
    workflow: Arc<CompiledWorkflow>,
    inputs: Value,
    files: Vec<NewArtifact>,
    plugins: Vec<ResolvedPlugin>,
}

impl Runs {
    /// Starts a run and returns it; it goes on by itself. For who may deploy in the
    /// project.
    ///
    /// # Errors
    /// Whatever is wrong with the workflow, its inputs or its plugins; nothing is started
    /// then.
    pub async fn start(&self, actor: &Actor, request: StartRun) -> Result<RunView, RunError> {
        let engine = &self.engine;
        project_name(&request.project)?;
        engine
            .identity
            .require(actor, &request.project, Role::Deploy)?;
        if engine.is_leaving() {
            return Err(RunError::Leaving);
        }
        let prepared = self
            .prepare(actor, &request.project, &request.workflow, &request.inputs)
            .await?;
        let pins = self.keep(&prepared.plugins).await?;
        let id = new_run_id();
        // A run that does not exist yet has no working folder and no artifacts: what is
        // asked of plugins here is only whether they accept their inputs.
        self.validate(&id, &request.project, &prepared, &pins)
            .await?;
        let name = prepared.workflow.file.name.value.clone();
        let run = NewRun {
            id: id.clone(),
            project: request.project.clone(),
            workflow: name.clone(),
            workflow_digest: prepared.digest.clone(),
            source: prepared.source,
            inputs: prepared.inputs,
            actor: actor.user.clone(),
            parent: request.parent,
            labels: request.labels,
            steps: prepared
                .workflow
                .steps
                .iter()
                .zip(&prepared.plugins)
                .map(|(step, plugin)| NewStep {
                    step: step.id.clone(),
                    plugin: Some(plugin.digest.clone()),
                })
                .collect(),
            plugins: pins,
            artifacts: prepared.files,
            idempotency: request.idempotency,
        };
        let audit = actor.audit(
            "run.start",
            &id,
            Some(&request.project),
            json!({ "workflow": name, "digest": prepared.digest }),
        );
        let detail = self
            .blocking(move |engine| {
                engine.store.create_run(&run, &audit)?;
                Ok(engine.store.run_detail(&run.id)?)
            })
            .await?;
        engine.publisher.events_written();
        engine.wake(&id, Some(detail.clone()));
        Ok(detail)
    }

    /// What a workflow would do: reads it, checks its inputs, finds its plugins and asks
    /// each whether it accepts what it would be given. Nothing is started. For who may
    /// deploy in the project.
    ///
    /// # Errors
    /// Whatever is wrong with the workflow, its inputs or its plugins.
    pub async fn plan(
        &self,
        actor: &Actor,
        project: &str,
        workflow: &WorkflowSource,
        inputs: &Value,
    ) -> Result<WorkflowPlan, RunError> {
        project_name(project)?;
        self.engine.identity.require(actor, project, Role::Deploy)?;
        let prepared = self.prepare(actor, project, workflow, inputs).await?;
        let pins = self.keep(&prepared.plugins).await?;
        self.validate("run-planned", project, &prepared, &pins)
            .await?;
        let scope = Scope::new(&prepared.inputs);
        let workflow = &prepared.workflow;
        let steps = workflow
            .steps
            .iter()
            .zip(&prepared.plugins)
            .enumerate()
            .map(|(index, (step, plugin))| PlannedStep {
                step: step.id.clone(),
                plugin: plugin.id.clone(),
                version: plugin.version.clone(),
                digest: plugin.digest.clone(),
                needs: workflow
                    .graph
                    .needs(index)
                    .iter()
                    .filter_map(|need| workflow.steps.get(*need))
                    .map(|need| need.id.clone())
                    .collect(),
                conditional: step.condition.is_some(),
                approval: !step.approval.is_unneeded(),
                compensate: step.compensate,
                input: (!step.is_dynamic)
                    .then(|| step.with.resolve(&scope).ok())
                    .flatten(),
            })
            .collect();
        Ok(WorkflowPlan {
            workflow: workflow.file.name.value.clone(),
            digest: prepared.digest,
            description: workflow.file.description.clone(),
            inputs: workflow
                .file
                .inputs
                .iter()
                .map(|(name, definition)| (name.clone(), definition.value.clone()))
                .collect(),
            steps,
            outputs: workflow
                .outputs
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
        })
    }

    async fn prepare(
        &self,
        actor: &Actor,
        project: &str,
        workflow: &WorkflowSource,
        inputs: &Value,
    ) -> Result<Prepared, RunError> {
        let engine = &self.engine;
        let (name, source) = self.source(project, workflow)?;
        let digest = workflow_digest(&source);
        let workflow = engine.compiled(&name, &source, &digest)?;
        let mut inputs = input::complete(&workflow.file, inputs)?;
        let files = files(engine, actor, &workflow, &mut inputs)?;
        let plugins = workflow
            .steps
            .iter()
            .map(|step| {
                engine
                    .catalogue
                    .resolve(&step.uses)
                    .map_err(|error| RunError::Plugin {
                        step: step.id.clone(),
                        error,
                    })
            })
            .collect::<Result<Vec<_>, _>>()?;
        for (step, plugin) in workflow.steps.iter().zip(&plugins) {
            check_trust(engine, step, plugin)?;
        }
        Ok(Prepared {
            digest,
            source,
            inputs: Value::Object(inputs),
            workflow,
            files,
            plugins,
        })
    }

    /// Copies components into the component store; one pin for each plugin.
    async fn keep(&self, plugins: &[ResolvedPlugin]) -> Result<Vec<NewPin>, RunError> {
        let mut distinct: Vec<ResolvedPlugin> = Vec::new();
        for plugin in plugins {
            if !distinct
                .iter()
                .any(|known| known.id == plugin.id && known.digest == plugin.digest)
            {
                distinct.push(plugin.clone());
            }
        }
        self.blocking(move |engine| {
            distinct
                .iter()
                .map(|plugin| engine.components.keep(plugin))
                .collect()
        })
        .await
    }

    /// Asks the plugins of those steps whose input follows from the run's inputs alone.
    async fn validate(
        &self,
        run: &str,
        project: &str,
        prepared: &Prepared,
        pins: &[NewPin],
    ) -> Result<(), RunError> {
        let scope = Scope::new(&prepared.inputs);
        let files: Arc<dyn Artifacts> = Arc::new(GivenFiles(prepared.files.clone()));
        for (step, plugin) in prepared.workflow.steps.iter().zip(&prepared.plugins) {
            // What is skipped is given nothing.
            if step.is_dynamic || step.condition.is_some() {
                continue;
            }
            let pin = pins
                .iter()
                .find(|pin| pin.id == plugin.id && pin.digest == plugin.digest);
            if let Some(pin) = pin {
                let services = looking(Arc::clone(&files));
                self.validate_step((run, project), step, pin, &scope, services)
                    .await?;
            }
        }
        Ok(())
    }

    async fn validate_step(
        &self,
        (run, project): (&str, &str),
        step: &CompiledStep,
        pin: &NewPin,
        scope: &Scope,
        services: StepServices,
    ) -> Result<(), RunError> {
        let engine = &self.engine;
        // It cannot be asked; the step will be parked when its turn comes.
        if engine.plugins.watch.quarantine(&pin.digest).is_some() {
            return Ok(());
        }
        let refuse = |error| RunError::Plugin {
            step: step.id.clone(),
            error,
        };
        let pinned = PinnedPlugin {
            run: run.to_owned(),
            id: pin.id.clone(),
            version: pin.version.clone(),
            digest: pin.digest.clone(),
            path: pin.path.clone(),
        };
        let located = engine.components.located(&pinned).map_err(refuse)?;
        let plugin = engine.catalogue.step(&located).await.map_err(refuse)?;
        let settings = engine.catalogue.settings(&*plugin).map_err(refuse)?;
        let input = step
            .with
            .resolve(scope)
            .map_err(|error| RunError::Expression {
                step: step.id.clone(),
                error,
            })?;
        let name = StepName {
            run: run.into(),
            project: project.into(),
            step: step.id.as_str().into(),
        };
        let call = Call {
            context: Arc::new(StepContext {
                name,
                stop: StopSignal::default(),
                // A run that is not there has no log.
                logs: super::log::queue().0,
                publisher: Arc::clone(&engine.publisher),
                redactor: engine.secrets.redactor(project),
                progress: Mutex::default(),
            }),
            settings,
        };
        plugin
            .validate(call, services, &input.to_string())
            .await
            .map_err(|error| RunError::Step {
                step: step.id.clone(),
                error: Box::new(error),
            })
    }
}

/// Refuses a step that is not trusted and cannot be confined, or names more than its plugin
/// was granted.
fn check_trust(
    engine: &Engine,
    step: &CompiledStep,
    plugin: &ResolvedPlugin,
) -> Result<(), RunError> {
    let Some(grants) = &step.grants else {
        return Ok(());
    };
    let refuse = |reason: String| RunError::Grants {
        step: step.id.clone(),
        reason,
    };
    if plugin.path.is_none() {
        return Err(refuse(format!(
            "{} is part of the host, which nothing confines; leave `trust` out",
            plugin.id
        )));
    }
    let grants_in_file = engine.tools.grants();
    let granted = engine
        .plugins
        .granted(&plugin.id, &plugin.digest, grants_in_file);
    granted
        .narrowed(&step.id, grants)
        .map(|_| ())
        .map_err(refuse)
}

/// Checks the files among the inputs, and puts references in the place of their paths.
fn files(
    engine: &Engine,
    actor: &Actor,
    workflow: &CompiledWorkflow,
    inputs: &mut Map<String, Value>,
) -> Result<Vec<NewArtifact>, RunError> {
    // Who owns the state folder can read whatever the host can.
    let roots = (!actor.is_local()).then_some(engine.options.file_roots.as_slice());
    let mut files = Vec::new();
    for (name, definition) in &workflow.file.inputs {
        if definition.kind != InputType::File {
            continue;
        }
        if let Some(value) = inputs.get_mut(name)
            && let Value::String(given) = value
        {
            let file = input_file(name, given, roots)?;
            *value = Value::String(format!("{SCHEME}{}", file.name));
            files.push(file);
        }
    }
    Ok(files)
}
