//! `/api/v1/workflows`: kept by name, checked, planned.

use crate::auth::Caller;
use crate::extract::{Json, Path, Query};
use crate::problem::Problem;
use crate::routes::DEFAULT_PROJECT;
use crate::routes::runs::RunRequest;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use cofferdam_orchestrator::identity::Actor;
use cofferdam_orchestrator::runs::{RunError, StartRun, WorkflowInfo, WorkflowPlan, workflow};
use cofferdam_store::{Role, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_workflows))
        .routes(routes!(validate_workflow))
        .routes(routes!(plan_workflow))
        .routes(routes!(get_workflow, put_workflow, delete_workflow))
}

/// A workflow that can be started by name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WorkflowView {
    /// Its name.
    pub name: String,
    /// Its text, YAML.
    pub source: String,
    /// SHA-256 of its text, hexadecimal.
    pub digest: String,
    /// When it was saved; none for one that is part of the program.
    pub created: Option<Time>,
    /// Who saved it; none for one that is part of the program.
    pub actor: Option<String>,
}

impl From<WorkflowInfo> for WorkflowView {
    fn from(info: WorkflowInfo) -> Self {
        Self {
            name: info.name,
            source: info.source,
            digest: info.digest,
            created: info.created,
            actor: info.actor,
        }
    }
}

/// Workflows.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WorkflowList {
    /// The workflows by name.
    pub items: Vec<WorkflowView>,
}

/// A workflow to be saved.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowText {
    /// The text of the workflow file, YAML; its `name` must be the one in the path.
    #[schema(min_length = 1)]
    pub source: String,
}

/// What a workflow would do.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// Its name.
    pub workflow: String,
    /// SHA-256 of its text, hexadecimal.
    pub digest: String,
    /// What it does.
    pub description: Option<String>,
    /// What it is given, by name: type, whether required, default, description.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub inputs: BTreeMap<String, Value>,
    /// Its steps, in the order of the file.
    pub steps: Vec<PlannedStepView>,
    /// The names of what it gives back.
    pub outputs: Vec<String>,
}

/// One step of a plan.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PlannedStepView {
    /// Its id.
    pub step: String,
    /// The plugin's id.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// The plugin's digest.
    pub digest: String,
    /// The steps that come first, implied ones included.
    pub needs: Vec<String>,
    /// Whether it may be skipped.
    pub conditional: bool,
    /// Whether someone has to approve it.
    pub approval: bool,
    /// Whether it is compensated.
    pub compensate: bool,
    /// Its input, where that follows from the run's inputs alone; then the plugin has
    /// accepted it.
    pub input: Option<Value>,
}

impl From<WorkflowPlan> for PlanView {
    fn from(plan: WorkflowPlan) -> Self {
        let inputs = plan
            .inputs
            .into_iter()
            .map(|(name, definition)| (name, serde_json::to_value(definition).unwrap_or_default()));
        let steps = plan.steps.into_iter().map(|step| PlannedStepView {
            step: step.step,
            plugin: step.plugin,
            version: step.version,
            digest: step.digest,
            needs: step.needs,
            conditional: step.conditional,
            approval: step.approval,
            compensate: step.compensate,
            input: step.input,
        });
        Self {
            workflow: plan.workflow,
            digest: plan.digest,
            description: plan.description,
            inputs: inputs.collect(),
            steps: steps.collect(),
            outputs: plan.outputs,
        }
    }
}

/// Whether a workflow can be run.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Validation {
    /// Its name.
    pub workflow: String,
    /// SHA-256 of its text, hexadecimal.
    pub digest: String,
}

/// Where a workflow is kept.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ProjectQuery {
    /// The project; `default` otherwise.
    project: Option<String>,
}

impl ProjectQuery {
    fn project(&self) -> &str {
        self.project.as_deref().unwrap_or(DEFAULT_PROJECT)
    }
}

/// List the workflows that can be started by name
#[utoipa::path(
    get, path = "/api/v1/workflows", tag = "workflows", params(ProjectQuery),
    responses((status = 200, description = "Saved and built-in workflows", body = WorkflowList)),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn list_workflows(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Query(query): Query<ProjectQuery>,
) -> Result<Json<WorkflowList>, Problem> {
    let orchestrator = &state.orchestrator;
    let project = query.project();
    orchestrator.identity.require(&actor, project, Role::Read)?;
    let items = orchestrator.runs.workflows(project)?;
    Ok(Json(WorkflowList {
        items: items.into_iter().map(WorkflowView::from).collect(),
    }))
}

/// Read a workflow
#[utoipa::path(
    get, path = "/api/v1/workflows/{workflow}", tag = "workflows",
    params(("workflow" = String, Path, description = "The workflow's name"), ProjectQuery),
    responses((status = 200, description = "The workflow", body = WorkflowView)),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn get_workflow(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Query(query): Query<ProjectQuery>,
) -> Result<Json<WorkflowView>, Problem> {
    let orchestrator = &state.orchestrator;
    let project = query.project();
    orchestrator.identity.require(&actor, project, Role::Read)?;
    Ok(Json(orchestrator.runs.workflow(project, &name)?.into()))
}

/// Save a workflow
///
/// It is checked first; an earlier text of the name is replaced. Runs keep the text that
/// they began with.
#[utoipa::path(
    put, path = "/api/v1/workflows/{workflow}", tag = "workflows",
    params(("workflow" = String, Path, description = "The workflow's name"), ProjectQuery),
    request_body = WorkflowText,
    responses((status = 200, description = "The saved workflow", body = WorkflowView)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn put_workflow(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Query(query): Query<ProjectQuery>,
    Json(text): Json<WorkflowText>,
) -> Result<Json<WorkflowView>, Problem> {
    let project = query.project();
    let identity = &state.orchestrator.identity;
    identity.require(&actor, project, Role::Deploy)?;
    let file = workflow::parse::parse(&name, &text.source).map_err(RunError::from)?;
    if file.name.value != name {
        return Err(Problem::invalid(format!(
            "the workflow calls itself `{}` and the path says `{name}`; make them the same",
            file.name.value
        )));
    }
    let runs = &state.orchestrator.runs;
    let saved = runs.save_workflow(&actor, project, &text.source);
    Ok(Json(saved.await?.into()))
}

/// Remove a saved workflow
#[utoipa::path(
    delete, path = "/api/v1/workflows/{workflow}", tag = "workflows",
    params(("workflow" = String, Path, description = "The workflow's name"), ProjectQuery),
    responses((status = 204, description = "It is removed")),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn delete_workflow(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Query(query): Query<ProjectQuery>,
) -> Result<StatusCode, Problem> {
    let runs = &state.orchestrator.runs;
    runs.remove_workflow(&actor, query.project(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Check a workflow
///
/// Its text, its plugins, its inputs, and what each plugin says to its input. Nothing is
/// started or written.
#[utoipa::path(
    post, path = "/api/v1/workflows/validate", tag = "workflows", request_body = RunRequest,
    responses((status = 200, description = "It can be run", body = Validation)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn validate_workflow(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Json(request): Json<RunRequest>,
) -> Result<Json<Validation>, Problem> {
    let plan = plan(&state, &actor, request).await?;
    Ok(Json(Validation {
        workflow: plan.workflow,
        digest: plan.digest,
    }))
}

/// Plan a workflow
///
/// Like a check, and says which plugins its steps use now, in which order.
#[utoipa::path(
    post, path = "/api/v1/workflows/plan", tag = "workflows", request_body = RunRequest,
    responses((status = 200, description = "The plan", body = PlanView)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn plan_workflow(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Json(request): Json<RunRequest>,
) -> Result<Json<PlanView>, Problem> {
    Ok(Json(plan(&state, &actor, request).await?.into()))
}

async fn plan(
    state: &ApiState,
    actor: &Actor,
    request: RunRequest,
) -> Result<WorkflowPlan, Problem> {
    let StartRun {
        project,
        workflow,
        inputs,
        ..
    } = request.into_start();
    let runs = &state.orchestrator.runs;
    Ok(runs.plan(actor, &project, &workflow, &inputs).await?)
}
