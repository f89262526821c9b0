//! Which version serves: activations, and what is known of installed versions.

use super::InstalledView;
use crate::auth::Caller;
use crate::extract::{Json, Path, Query};
use crate::paging::page_request;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use cofferdam_store::{Activation, Page, Quarantine};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(plugin_versions))
        .routes(routes!(plugin_history))
        .routes(routes!(plugin_activation))
        .routes(routes!(activate_plugin))
        .routes(routes!(rollback_plugin))
        .routes(routes!(release_plugin))
        .routes(routes!(remove_plugin_version))
}

/// The version that is to serve.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// Its number; none for the one that was installed last.
    #[schema(max_length = 64)]
    pub version: Option<String>,
}

/// List the installed versions of a plugin
#[utoipa::path(
    get, path = "/api/v1/plugins/{plugin}/versions", tag = "plugins",
    params(("plugin" = String, Path, description = "The plugin's id")),
    responses((status = 200, description = "The versions, the one installed last first", body = InstalledView)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn plugin_versions(
    State(state): State<ApiState>,
    _: Caller,
    Path(plugin): Path<String>,
) -> Result<Json<InstalledView>, Problem> {
    Ok(Json(state.orchestrator.plugins.get(&plugin)?.into()))
}

/// Which part of a history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// How many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// List the activations of a plugin, newest first
///
/// Those that go on, those that succeeded, and those that failed, with stage and reason.
#[utoipa::path(
    get, path = "/api/v1/plugins/{plugin}/history", tag = "plugins",
    params(("plugin" = String, Path, description = "The plugin's id"), HistoryQuery),
    responses((status = 200, description = "A page of activations", body = Page<Activation>)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn plugin_history(
    State(state): State<ApiState>,
    _: Caller,
    Path(plugin): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<Page<Activation>>, Problem> {
    let page = page_request(query.limit, query.cursor)?;
    Ok(Json(state.orchestrator.plugins.history(&plugin, &page)?))
}

/// Look at an activation
#[utoipa::path(
    get, path = "/api/v1/plugins/{plugin}/activations/{activation}", tag = "plugins",
    params(
        ("plugin" = String, Path, description = "The plugin's id"),
        ("activation" = String, Path, description = "The activation's id"),
    ),
    responses((status = 200, description = "The activation", body = Activation)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn plugin_activation(
    State(state): State<ApiState>,
    _: Caller,
    Path((plugin, activation)): Path<(String, String)>,
) -> Result<Json<Activation>, Problem> {
    let found = state.orchestrator.plugins.activation(&activation)?;
    if found.plugin != plugin {
        return Err(Problem::not_found("activation", &activation));
    }
    Ok(Json(found))
}

/// Let a version serve
///
/// The answer is there when the activation has begun. Its stages are events `plugin.stage` of
/// the plugin; where one fails before the version is published, the version before serves.
#[utoipa::path(
    post, path = "/api/v1/plugins/{plugin}/activate", tag = "plugins", request_body = ActivateRequest,
    params(("plugin" = String, Path, description = "The plugin's id")),
    responses((status = 202, description = "The activation has begun", body = Activation)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn activate_plugin(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(plugin): Path<String>,
    Json(request): Json<ActivateRequest>,
) -> Result<(StatusCode, Json<Activation>), Problem> {
    let plugins = &state.orchestrator.plugins;
    let version = match request.version {
        Some(version) => version,
        None => {
            let versions = plugins.get(&plugin)?.versions;
            let newest = versions.into_iter().next();
            let newest = newest.ok_or_else(|| Problem::not_found("installed plugin", &plugin))?;
            newest.record.version
        }
    };
    let begun = plugins.begin(&actor, &plugin, &version).await?;
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

/// Let the version before serve again
///
/// As `activate`, with the version that served before the active one.
#[utoipa::path(
    post, path = "/api/v1/plugins/{plugin}/rollback", tag = "plugins",
    params(("plugin" = String, Path, description = "The plugin's id")),
    responses((status = 202, description = "The activation has begun", body = Activation)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn rollback_plugin(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(plugin): Path<String>,
) -> Result<(StatusCode, Json<Activation>), Problem> {
    let plugins = &state.orchestrator.plugins;
    let begun = plugins.begin_rollback(&actor, &plugin).await?;
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

/// What is to be called again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The version; none for all that are in quarantine.
    #[schema(max_length = 64)]
    pub version: Option<String>,
}

/// What is called again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReleaseAnswer {
    /// What the versions were in quarantine for.
    pub released: Vec<Quarantine>,
}

/// Let a quarantined plugin be called again
///
/// Its crashes are forgotten, and runs that were parked for it go on.
#[utoipa::path(
    post, path = "/api/v1/plugins/{plugin}/release", tag = "plugins", request_body = ReleaseRequest,
    params(("plugin" = String, Path, description = "The plugin's id")),
    responses((status = 200, description = "It is called again", body = ReleaseAnswer)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn release_plugin(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(plugin): Path<String>,
    Json(request): Json<ReleaseRequest>,
) -> Result<Json<ReleaseAnswer>, Problem> {
    let plugins = &state.orchestrator.plugins;
    let version = request.version.as_deref();
    let released = plugins.release(&actor, &plugin, version).await?;
    Ok(Json(ReleaseAnswer { released }))
}

/// Forget an installed version
///
/// Refused (409) while a run that has not ended began with it.
#[utoipa::path(
    delete, path = "/api/v1/plugins/{plugin}/versions/{version}", tag = "plugins",
    params(
        ("plugin" = String, Path, description = "The plugin's id"),
        ("version" = String, Path, description = "The version"),
    ),
    responses((status = 204, description = "It is forgotten")),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn remove_plugin_version(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path((plugin, version)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let plugins = &state.orchestrator.plugins;
    plugins.remove(&actor, &plugin, &version).await?;
    Ok(StatusCode::NO_CONTENT)
}
