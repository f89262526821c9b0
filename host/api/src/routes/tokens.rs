//! `/api/v1/tokens`: a token's text is in one answer only, the one that makes it.

use crate::auth::Caller;
use crate::extract::{Json, Path, Query};
use crate::idempotency::Unrepeatable;
use crate::paging::page_request;
use crate::problem::Problem;
use crate::routes::expiry;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use cofferdam_orchestrator::identity::TokenRequest;
use cofferdam_store::{Page, Token};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
}

/// A token to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTokenRequest {
    /// Whose; none for the caller's own.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    pub user: Option<String>,
    /// What it is for.
    #[schema(min_length = 1, max_length = 200)]
    pub label: String,
    /// Seconds after which it ceases to count; none for never.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub valid_for: Option<u64>,
}

/// A token that was made.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct NewTokenAnswer {
    /// The text to send as bearer token; it is not shown again.
    pub secret: String,
    /// What is kept of it.
    pub token: Token,
}

/// Whose tokens a list shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TokenQuery {
    /// Of this user.
    user: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List tokens, newest first
///
/// One's own; admins of all projects see those of all users.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "identity", params(TokenQuery),
    responses((status = 200, description = "A page of tokens, without their texts", body = Page<Token>)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn list_tokens(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Query(query): Query<TokenQuery>,
) -> Result<Json<Page<Token>>, Problem> {
    let page = page_request(query.limit, query.cursor)?;
    let identity = &state.orchestrator.identity;
    Ok(Json(identity.tokens(
        &actor,
        query.user.as_deref(),
        &page,
    )?))
}

/// Make a token
///
/// For oneself, or as admin of all projects for anybody. The text is in this answer only;
/// a repetition with the same `Idempotency-Key` is told that it was made.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "identity", request_body = NewTokenRequest,
    responses((status = 201, description = "The token with its text", body = NewTokenAnswer)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn create_token(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Json(request): Json<NewTokenRequest>,
) -> Result<Response, Problem> {
    let request = TokenRequest {
        user: request.user,
        label: request.label,
        expires: request.valid_for.map(expiry),
    };
    let created = state
        .orchestrator
        .identity
        .create_token(&actor, request)
        .await?;
    let told = Unrepeatable(format!(
        "this request made the token {} before, and its text is shown only once; revoke it and make another with a new key",
        created.token.id
    ));
    let answer = NewTokenAnswer {
        secret: created.text.to_string(),
        token: created.token,
    };
    let headers = [(CACHE_CONTROL, "no-store")];
    let mut response = (StatusCode::CREATED, headers, Json(answer)).into_response();
    response.extensions_mut().insert(told);
    Ok(response)
}

/// Revoke a token
///
/// It ceases to count with the next request, and streams that were opened with it end.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{token}", tag = "identity",
    params(("token" = String, Path, description = "The token's id")),
    responses((status = 200, description = "The revoked token", body = Token)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn revoke_token(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(token): Path<String>,
) -> Result<Json<Token>, Problem> {
    let identity = &state.orchestrator.identity;
    Ok(Json(identity.revoke_token(&actor, &token).await?))
}
