//! What is outside of `/api/v1`: health, metrics, version, the OpenAPI document.

use crate::auth::Caller;
use crate::extract::Json;
use crate::problem::{Code, Problem};
use crate::state::ApiState;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cofferdam_orchestrator::identity::EVERY_PROJECT;
use cofferdam_orchestrator::metrics;
use cofferdam_store::Role;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes that need no token.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(version))
        .routes(routes!(document))
}

/// The routes below the authenticating layer.
pub fn metrics_router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(metrics_text))
}

/// A check that was passed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
}

impl Health {
    fn ok() -> Json<Self> {
        Json(Self {
            status: "ok".to_owned(),
        })
    }
}

/// Whether the process answers
#[utoipa::path(
    get, path = "/health/live", tag = "host",
    responses((status = 200, description = "It does", body = Health)),
    security(()),
    extensions(("x-cofferdam-role" = json!("public"))),
)]
async fn live() -> Json<Health> {
    Health::ok()
}

/// Whether the host can take work
///
/// The database can be written and the engine runs.
#[utoipa::path(
    get, path = "/health/ready", tag = "host",
    responses((status = 200, description = "It can", body = Health)),
    security(()),
    extensions(("x-cofferdam-role" = json!("public"))),
)]
async fn ready(State(state): State<ApiState>) -> Result<Json<Health>, Problem> {
    match state.readiness.look(&state.orchestrator).await {
        Ok(()) => Ok(Health::ok()),
        Err(reason) => Err(Problem::new(Code::Unavailable, reason).retry_after(5)),
    }
}

/// The running program.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// `cofferdam`.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// The API's version, as in its paths.
    pub api: String,
}

/// Which version runs
#[utoipa::path(
    get, path = "/version", tag = "host",
    responses((status = 200, description = "The running program", body = Version)),
    security(()),
    extensions(("x-cofferdam-role" = json!("public"))),
)]
async fn version() -> Json<Version> {
    Json(Version {
        name: "cofferdam".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: "v1".to_owned(),
    })
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "host",
    responses((status = 200, description = "The OpenAPI document", body = Object)),
    security(()),
    extensions(("x-cofferdam-role" = json!("public"))),
)]
async fn document(State(state): State<ApiState>) -> Response {
    ([(CONTENT_TYPE, "application/json")], state.document).into_response()
}

/// Metrics
///
/// OpenMetrics text for Prometheus; needs the role read for all projects.
#[utoipa::path(
    get, path = "/metrics", tag = "host",
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text")),
    extensions(("x-cofferdam-role" = json!("read")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn metrics_text(
    State(state): State<ApiState>,
    Caller(actor): Caller,
) -> Result<Response, Problem> {
    let orchestrator = &state.orchestrator;
    orchestrator
        .identity
        .require(&actor, EVERY_PROJECT, Role::Read)?;
    let text = orchestrator.metrics.render(&orchestrator.standing()?);
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}
