//! `/api/v1/approvals`: what waits for a decision, over all runs.

use crate::access::readable_projects;
use crate::auth::Caller;
use crate::extract::{Json, Query};
use crate::paging::page_request;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use cofferdam_store::{Approval, ApprovalFilter, ApprovalState, Page};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_approvals))
}

/// Which approvals a list shows: those that fit every parameter that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ApprovalQuery {
    /// Of this project.
    project: Option<String>,
    /// Of this run.
    run: Option<String>,
    /// In this state; pending ones otherwise.
    state: Option<ApprovalState>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List approvals
///
/// Those that wait for a decision, unless another state is asked for.
#[utoipa::path(
    get, path = "/api/v1/approvals", tag = "approvals", params(ApprovalQuery),
    responses((status = 200, description = "A page of approvals", body = Page<Approval>)),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("list"))),
)]
async fn list_approvals(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Query(query): Query<ApprovalQuery>,
) -> Result<Json<Page<Approval>>, Problem> {
    let filter = ApprovalFilter {
        projects: readable_projects(&state, &actor, query.project)?,
        run: query.run,
        state: Some(query.state.unwrap_or(ApprovalState::Pending)),
    };
    let page = page_request(query.limit, query.cursor)?;
    Ok(Json(state.orchestrator.runs.approvals(&filter, &page)?))
}
