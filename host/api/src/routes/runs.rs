//! `/api/v1/runs`: start, look, decide.

use crate::access::{readable_projects, readable_run};
use crate::auth::Caller;
use crate::events;
use crate::extract::{Json, Path, Query};
use crate::follow::{Follower, Position, Selection};
use crate::idempotency::Claimed;
use crate::moment::Moment;
use crate::paging::page_request;
use crate::problem::Problem;
use crate::routes::{DEFAULT_PROJECT, check_remark};
use crate::serve::Closing;
use crate::state::ApiState;
use axum::Extension;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cofferdam_orchestrator::runs::{StartRun, WorkflowSource};
use cofferdam_store::{
    Approval, LogFilter, LogLevel, LogLine, Page, RunDetail, RunFilter, RunState, RunSummary,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_runs, start_run))
        .routes(routes!(get_run))
        .routes(routes!(run_events))
        .routes(routes!(run_logs))
        .routes(routes!(run_artifact))
        .routes(routes!(run_approvals))
        .routes(routes!(approve_run))
        .routes(routes!(reject_run))
        .routes(routes!(cancel_run))
        .routes(routes!(resume_run))
        .routes(routes!(retry_run))
}

/// Which workflow.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum WorkflowChoice {
    /// A saved or built-in workflow, by name.
    #[schema(title = "ByName")]
    Name(String),
    /// The text of a workflow file, YAML.
    #[schema(title = "BySource")]
    Source(String),
}

impl From<WorkflowChoice> for WorkflowSource {
    fn from(choice: WorkflowChoice) -> Self {
        match choice {
            WorkflowChoice::Name(name) => Self::Named(name),
            WorkflowChoice::Source(text) => Self::Text(text),
        }
    }
}

/// A run to be started.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// The project it belongs to.
    #[serde(default = "default_project")]
    #[schema(min_length = 1, max_length = 64)]
    pub project: String,
    /// Which workflow.
    pub workflow: WorkflowChoice,
    /// The workflow's inputs by name.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// Whatever helps to find it again.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

fn default_project() -> String {
    DEFAULT_PROJECT.to_owned()
}

impl RunRequest {
    /// As the orchestrator takes it.
    pub fn into_start(self) -> StartRun {
        StartRun {
            project: self.project,
            labels: self.labels,
            ..StartRun::new(self.workflow.into(), Value::Object(self.inputs))
        }
    }
}

/// Which runs a list shows: those that fit every parameter that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunQuery {
    /// Of this project; all that the caller may read otherwise.
    project: Option<String>,
    /// In this state.
    state: Option<RunState>,
    /// Of this workflow.
    workflow: Option<String>,
    /// Started by this user.
    actor: Option<String>,
    /// Belonging to this run.
    parent: Option<String>,
    /// Created at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
    /// Created before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Moment>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List runs, newest first
#[utoipa::path(
    get, path = "/api/v1/runs", tag = "runs", params(RunQuery),
    responses((status = 200, description = "A page of runs", body = Page<RunSummary>)),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("list"))),
)]
async fn list_runs(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Query(query): Query<RunQuery>,
) -> Result<Json<Page<RunSummary>>, Problem> {
    let filter = RunFilter {
        projects: readable_projects(&state, &actor, query.project)?,
        states: query.state.into_iter().collect(),
        workflow: query.workflow,
        actor: query.actor,
        parent: query.parent,
        since: query.since.map(|moment| moment.0),
        until: query.until.map(|moment| moment.0),
        ..RunFilter::default()
    };
    let page = page_request(query.limit, query.cursor)?;
    Ok(Json(state.orchestrator.runs.list(&filter, &page)?))
}

/// Start a run
///
/// The workflow is checked, its plugins are fixed, and the run is written down before the
/// answer; it begins at once. Send an `Idempotency-Key` to be able to repeat the request.
#[utoipa::path(
    post, path = "/api/v1/runs", tag = "runs", request_body = RunRequest,
    responses((
        status = 201, description = "The run", body = RunDetail,
        headers(("Location" = String, description = "Where the run is")),
    )),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn start_run(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    claimed: Option<Extension<Claimed>>,
    Json(request): Json<RunRequest>,
) -> Result<Response, Problem> {
    let runs = &state.orchestrator.runs;
    let run = match claimed {
        Some(Extension(Claimed {
            made: Some(run), ..
        })) => {
            readable_run(&state, &actor, &run)?;
            runs.get(&run)?
        }
        claimed => {
            let start = StartRun {
                idempotency: claimed.map(|Extension(claimed)| claimed.key),
                ..request.into_start()
            };
            runs.start(&actor, start).await?
        }
    };
    let location = format!("/api/v1/runs/{}", run.run.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(run)).into_response())
}

/// Look at a run
#[utoipa::path(
    get, path = "/api/v1/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 200, description = "The run with its steps, approvals, artifacts and plugins", body = RunDetail)),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn get_run(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(run): Path<String>,
) -> Result<Json<RunDetail>, Problem> {
    readable_run(&state, &actor, &run)?;
    Ok(Json(state.orchestrator.runs.get(&run)?))
}

/// Where a stream of a run begins and what it shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunEventsQuery {
    /// Begin after the event of this id; the header `Last-Event-ID` comes before it.
    #[param(pattern = r"^[0-9]{1,18}(\.[0-9]{1,18})?$")]
    after: Option<String>,
    /// Log lines too, as events called `log`.
    logs: Option<bool>,
    /// Progress too, as events called `progress` without an id.
    progress: Option<bool>,
    /// False: end with what is there already.
    follow: Option<bool>,
}

/// Follow a run
///
/// A stream of server-sent events: `id` to go on from, `event` the kind, `data` the event
/// as JSON. Silence is filled with comments. Ends only with the caller's right to read,
/// or when the host stops, unless `follow` is false.
#[utoipa::path(
    get, path = "/api/v1/runs/{run}/events", tag = "runs",
    params(
        ("run" = String, Path, description = "The run's id"),
        RunEventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event received", pattern = r"^[0-9]{1,18}(\.[0-9]{1,18})?$"),
    ),
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream")),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("project")), ("x-cofferdam-stream" = json!(true))),
)]
async fn run_events(
    State(state): State<ApiState>,
    caller: Caller,
    closing: Option<Extension<Closing>>,
    Path(run): Path<String>,
    Query(query): Query<RunEventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let position: Position = events::position(&headers, query.after.as_deref())?;
    let selection = Selection {
        run: Some(run),
        logs: query.logs.unwrap_or(false),
        progress: query.progress.unwrap_or(false),
        ..Selection::default()
    };
    let slot = state.streams.take(&caller.0)?;
    let follower = Follower::new(state.clone(), caller, selection, position)?;
    let closing = closing.map(|Extension(closing)| closing);
    Ok(events::response(
        &state,
        follower,
        slot,
        closing,
        query.follow.unwrap_or(true),
    ))
}

/// Which log lines are shown: those that fit every parameter that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// Begin after the line of this id.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Of this step.
    step: Option<String>,
    /// Of this plugin.
    plugin: Option<String>,
    /// At least this important.
    level: Option<LogLevel>,
    /// Whose message contains this, letter for letter.
    contains: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Log lines.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The lines in order.
    pub items: Vec<LogLine>,
    /// `after` of the next page; none where nothing more is there now.
    pub next: Option<i64>,
}

/// Read a run's log
#[utoipa::path(
    get, path = "/api/v1/runs/{run}/logs", tag = "runs",
    params(("run" = String, Path, description = "The run's id"), LogQuery),
    responses((status = 200, description = "Log lines", body = LogPage)),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn run_logs(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(run): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Json<LogPage>, Problem> {
    let limit = page_request(query.limit, None)?.limit;
    let filter = LogFilter {
        step: query.step,
        plugin: query.plugin,
        level: query.level,
        contains: query.contains,
    };
    let after = query.after.unwrap_or(0);
    if after < 0 {
        return Err(Problem::bad_request("after must not be negative"));
    }
    readable_run(&state, &actor, &run)?;
    let runs = &state.orchestrator.runs;
    let items = runs.logs(&run, after, &filter, limit)?;
    let full = u32::try_from(items.len()).is_ok_and(|length| length >= limit);
    let next = items.last().map(|line| line.id).filter(|_| full);
    Ok(Json(LogPage { items, next }))
}

/// Read a file that a run made
///
/// Reports, plans, consoles: at most 32 MiB. What a run was given is not handed out.
#[utoipa::path(
    get, path = "/api/v1/runs/{run}/artifacts/{name}", tag = "runs",
    params(
        ("run" = String, Path, description = "The run's id"),
        ("name" = String, Path, description = "The artifact's name, its slashes written %2F"),
    ),
    responses((status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream")),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn run_artifact(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path((run, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    readable_run(&state, &actor, &run)?;
    let bytes = state.orchestrator.runs.file(&run, &name).await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        // What a plugin wrote must not be a page of this site.
        (CONTENT_DISPOSITION, "attachment"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, bytes).into_response())
}

/// The approvals of a run
#[utoipa::path(
    get, path = "/api/v1/runs/{run}/approvals", tag = "approvals",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 200, description = "The latest approval of each step that has one", body = Vec<Approval>)),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn run_approvals(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(run): Path<String>,
) -> Result<Json<Vec<Approval>>, Problem> {
    readable_run(&state, &actor, &run)?;
    Ok(Json(state.orchestrator.runs.get(&run)?.approvals))
}

/// A decision about a step's plan.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// The step that waits.
    #[schema(min_length = 1, max_length = 64)]
    pub step: String,
    /// The digest of the plan that was looked at.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub digest: String,
    /// What to tell others.
    #[serde(default)]
    #[schema(max_length = 4096)]
    pub comment: Option<String>,
}

/// Approve a step's plan
///
/// The digest names the plan that was looked at: if the step would do something else by
/// now, the answer is a conflict and nothing happens.
#[utoipa::path(
    post, path = "/api/v1/runs/{run}/approve", tag = "approvals",
    params(("run" = String, Path, description = "The run's id")),
    request_body = DecisionRequest,
    responses((status = 200, description = "The run", body = RunDetail)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn approve_run(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(run): Path<String>,
    Json(request): Json<DecisionRequest>,
) -> Result<Json<RunDetail>, Problem> {
    let DecisionRequest {
        step,
        digest,
        comment,
    } = request;
    readable_run(&state, &actor, &run)?;
    let runs = &state.orchestrator.runs;
    check_remark("comment", comment.as_deref())?;
    let approved = runs.approve(&actor, &run, &step, &digest, comment.as_deref());
    Ok(Json(approved.await?))
}

/// Reject a step's plan
///
/// The step fails, and the run with it.
#[utoipa::path(
    post, path = "/api/v1/runs/{run}/reject", tag = "approvals",
    params(("run" = String, Path, description = "The run's id")),
    request_body = DecisionRequest,
    responses((status = 200, description = "The run", body = RunDetail)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn reject_run(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(run): Path<String>,
    Json(request): Json<DecisionRequest>,
) -> Result<Json<RunDetail>, Problem> {
    let DecisionRequest {
        step,
        digest,
        comment,
    } = request;
    readable_run(&state, &actor, &run)?;
    let runs = &state.orchestrator.runs;
    check_remark("comment", comment.as_deref())?;
    let rejected = runs.reject(&actor, &run, &step, &digest, comment.as_deref());
    Ok(Json(rejected.await?))
}

/// Why a run is to be cancelled.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// What to tell others.
    #[serde(default)]
    #[schema(max_length = 4096)]
    pub reason: Option<String>,
}

/// Cancel a run
///
/// Stops what is being executed and undoes what can be undone.
#[utoipa::path(
    post, path = "/api/v1/runs/{run}/cancel", tag = "runs",
    params(("run" = String, Path, description = "The run's id")),
    request_body = CancelRequest,
    responses((status = 200, description = "The run", body = RunDetail)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn cancel_run(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(run): Path<String>,
    Json(request): Json<CancelRequest>,
) -> Result<Json<RunDetail>, Problem> {
    readable_run(&state, &actor, &run)?;
    let runs = &state.orchestrator.runs;
    check_remark("reason", request.reason.as_deref())?;
    let cancelled = runs.cancel(&actor, &run, request.reason.as_deref());
    Ok(Json(cancelled.await?))
}

/// Resume a parked run
#[utoipa::path(
    post, path = "/api/v1/runs/{run}/resume", tag = "runs",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 200, description = "The run", body = RunDetail)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn resume_run(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(run): Path<String>,
) -> Result<Json<RunDetail>, Problem> {
    readable_run(&state, &actor, &run)?;
    Ok(Json(state.orchestrator.runs.resume(&actor, &run).await?))
}

/// Retry a run that failed or was cancelled
///
/// Failed and unrun steps are executed again, in the same run; what succeeded is kept.
#[utoipa::path(
    post, path = "/api/v1/runs/{run}/retry", tag = "runs",
    params(("run" = String, Path, description = "The run's id")),
    responses((status = 200, description = "The run", body = RunDetail)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn retry_run(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(run): Path<String>,
) -> Result<Json<RunDetail>, Problem> {
    readable_run(&state, &actor, &run)?;
    Ok(Json(state.orchestrator.runs.retry(&actor, &run).await?))
}
