//! `/api/v1/secrets`: set and remove. No route reads a value.

use crate::auth::Caller;
use crate::extract::{Json, Path, Query};
use crate::problem::Problem;
use crate::routes::DEFAULT_PROJECT;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cofferdam_store::SecretInfo;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_secrets))
        .routes(routes!(put_secret, delete_secret))
}

/// How a secret's value is written.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretEncoding {
    /// The value is the text's UTF-8.
    #[default]
    Text,
    /// The text is base64 of the value (RFC 4648 section 4).
    Base64,
}

/// A secret to be set.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRequest {
    /// The value.
    #[schema(min_length = 1)]
    pub value: String,
    /// How the value is written.
    #[serde(default)]
    pub encoding: SecretEncoding,
}

/// Secrets without their values.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    /// The secrets by name.
    pub items: Vec<SecretInfo>,
}

/// Where a secret is kept.
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

/// List the names of secrets
#[utoipa::path(
    get, path = "/api/v1/secrets", tag = "secrets", params(ProjectQuery),
    responses((status = 200, description = "The project's secrets, without values", body = SecretList)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn list_secrets(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Query(query): Query<ProjectQuery>,
) -> Result<Json<SecretList>, Problem> {
    let secrets = &state.orchestrator.secrets;
    let items = secrets.list(&actor, Some(query.project()))?;
    Ok(Json(SecretList { items }))
}

/// Set a secret
#[utoipa::path(
    put, path = "/api/v1/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path, description = "The secret's name"), ProjectQuery),
    request_body = SecretRequest,
    responses((status = 200, description = "The secret, without its value", body = SecretInfo)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn put_secret(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Query(query): Query<ProjectQuery>,
    Json(request): Json<SecretRequest>,
) -> Result<Json<SecretInfo>, Problem> {
    let text = Zeroizing::new(request.value);
    let value = Zeroizing::new(match request.encoding {
        SecretEncoding::Text => text.as_bytes().to_vec(),
        SecretEncoding::Base64 => STANDARD
            .decode(text.as_bytes())
            .map_err(|_| Problem::invalid("the value is not base64 with padding"))?,
    });
    let secrets = &state.orchestrator.secrets;
    Ok(Json(
        secrets.set(&actor, query.project(), &name, value).await?,
    ))
}

/// Remove a secret
#[utoipa::path(
    delete, path = "/api/v1/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path, description = "The secret's name"), ProjectQuery),
    responses((status = 204, description = "It is removed")),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn delete_secret(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Query(query): Query<ProjectQuery>,
) -> Result<StatusCode, Problem> {
    let secrets = &state.orchestrator.secrets;
    secrets.remove(&actor, query.project(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
