//! `/api/v1/grants`: roles for a while.

use crate::auth::Caller;
use crate::extract::{Json, Path, Query};
use crate::paging::page_request;
use crate::problem::Problem;
use crate::routes::expiry;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use cofferdam_orchestrator::identity::GrantRequest;
use cofferdam_store::{Grant, GrantFilter, Page, Role, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_grants, create_grant))
        .routes(routes!(revoke_grant))
}

/// A role to be given for a while.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrantRequest {
    /// To whom.
    #[schema(min_length = 1, max_length = 64)]
    pub user: String,
    /// In which project, or `*` for all.
    #[schema(min_length = 1, max_length = 64)]
    pub project: String,
    /// Which role.
    pub role: Role,
    /// What for.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
    /// For how many seconds, at most 30 days.
    #[schema(minimum = 1, maximum = 2592000)]
    pub valid_for: u64,
}

/// Which grants a list shows: those that fit every parameter that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GrantQuery {
    /// Of this user.
    user: Option<String>,
    /// For this project.
    project: Option<String>,
    /// True: only those that count now.
    active: Option<bool>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List grants, newest first
///
/// One's own, and those of projects that one is admin of.
#[utoipa::path(
    get, path = "/api/v1/grants", tag = "identity", params(GrantQuery),
    responses((status = 200, description = "A page of grants", body = Page<Grant>)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn list_grants(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Query(query): Query<GrantQuery>,
) -> Result<Json<Page<Grant>>, Problem> {
    let filter = GrantFilter {
        user: query.user,
        projects: query.project.map(|project| vec![project]),
        active_at: query.active.filter(|active| *active).map(|_| Time::now()),
    };
    let page = page_request(query.limit, query.cursor)?;
    let identity = &state.orchestrator.identity;
    Ok(Json(identity.grants(&actor, filter, &page)?))
}

/// Give a role for a while
///
/// It counts from the user's next request on, and ends by itself.
#[utoipa::path(
    post, path = "/api/v1/grants", tag = "identity", request_body = NewGrantRequest,
    responses((status = 201, description = "The grant", body = Grant)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn create_grant(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Json(request): Json<NewGrantRequest>,
) -> Result<(StatusCode, Json<Grant>), Problem> {
    let request = GrantRequest {
        user: request.user,
        project: request.project,
        role: request.role,
        reason: request.reason,
        expires: expiry(request.valid_for),
    };
    let identity = &state.orchestrator.identity;
    let grant = identity.create_grant(&actor, request).await?;
    Ok((StatusCode::CREATED, Json(grant)))
}

/// End a grant at once
#[utoipa::path(
    delete, path = "/api/v1/grants/{grant}", tag = "identity",
    params(("grant" = String, Path, description = "The grant's id")),
    responses((status = 200, description = "The ended grant", body = Grant)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn revoke_grant(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(grant): Path<String>,
) -> Result<Json<Grant>, Problem> {
    let identity = &state.orchestrator.identity;
    Ok(Json(identity.revoke_grant(&actor, &grant).await?))
}
