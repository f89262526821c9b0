//! `/api/v1/audit`: who changed what.

use crate::auth::Caller;
use crate::extract::{Json, Query};
use crate::moment::Moment;
use crate::paging::page_request;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use cofferdam_store::{AuditFilter, AuditRecord, Page};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(list_audit))
}

/// Which records a list shows: those that fit every parameter that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// By this user.
    actor: Option<String>,
    /// This action; one that ends in a dot means all that begin so.
    action: Option<String>,
    /// To this target.
    target: Option<String>,
    /// Of this project.
    project: Option<String>,
    /// At or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Moment>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Read the audit log, newest first
///
/// Of the projects that one is admin of; what belongs to no project is for admins of all.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "identity", params(AuditQuery),
    responses((status = 200, description = "A page of records", body = Page<AuditRecord>)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("any-project"))),
)]
async fn list_audit(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditRecord>>, Problem> {
    let filter = AuditFilter {
        actor: query.actor,
        action: query.action,
        target: query.target,
        projects: query.project.map(|project| vec![project]),
        since: query.since.map(|moment| moment.0),
        until: query.until.map(|moment| moment.0),
    };
    let page = page_request(query.limit, query.cursor)?;
    let identity = &state.orchestrator.identity;
    Ok(Json(identity.audit(&actor, filter, &page)?))
}
