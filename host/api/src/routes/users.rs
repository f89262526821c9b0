//! `/api/v1/users`: users and the roles they have for good.

use crate::auth::Caller;
use crate::extract::{Json, Path, Query};
use crate::paging::page_request;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use cofferdam_orchestrator::identity::UserView;
use cofferdam_store::{Page, Role, RoleBinding, Time, User};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_users, create_user))
        .routes(routes!(get_user, update_user, delete_user))
        .routes(routes!(put_role, delete_role))
}

/// A user with the roles that the caller may see.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserDetail {
    /// The name.
    pub name: String,
    /// When it was created.
    pub created: Time,
    /// Whether its tokens and grants count for nothing at the moment.
    pub disabled: bool,
    /// Roles for good; those for a while are in the list of grants.
    pub roles: Vec<RoleBinding>,
}

impl From<UserView> for UserDetail {
    fn from(view: UserView) -> Self {
        Self {
            name: view.user.name,
            created: view.user.created,
            disabled: view.user.disabled,
            roles: view.roles,
        }
    }
}

/// A user to be created.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name: letters, digits, `.`, `_`, `-`, `@` and `+`.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$")]
    pub name: String,
}

/// What is to be changed about a user.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// Whether its tokens and grants count for nothing.
    pub disabled: bool,
}

/// A role to be given for good.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleChange {
    /// The role, in place of an earlier one in the project.
    pub role: Role,
}

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UserQuery {
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List users by name
///
/// Admins of all projects see all, admins of some those with a role there, everybody
/// themselves.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "identity", params(UserQuery),
    responses((status = 200, description = "A page of users", body = Page<UserDetail>)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn list_users(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Query(query): Query<UserQuery>,
) -> Result<Json<Page<UserDetail>>, Problem> {
    let page = page_request(query.limit, query.cursor)?;
    let users = state.orchestrator.identity.users(&actor, &page)?;
    Ok(Json(users.map(UserDetail::from)))
}

/// Create a user
///
/// The user may do nothing before it has a role and a token.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "identity", request_body = NewUser,
    responses((status = 201, description = "The user", body = User)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn create_user(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Json(request): Json<NewUser>,
) -> Result<(StatusCode, Json<User>), Problem> {
    let identity = &state.orchestrator.identity;
    let user = identity.create_user(&actor, &request.name).await?;
    Ok((StatusCode::CREATED, Json(user)))
}

/// Look at a user
#[utoipa::path(
    get, path = "/api/v1/users/{user}", tag = "identity",
    params(("user" = String, Path, description = "The user's name")),
    responses((status = 200, description = "The user", body = UserDetail)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("shown"))),
)]
async fn get_user(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(name): Path<String>,
) -> Result<Json<UserDetail>, Problem> {
    Ok(Json(
        state.orchestrator.identity.user(&actor, &name)?.into(),
    ))
}

/// Disable or enable a user
#[utoipa::path(
    put, path = "/api/v1/users/{user}", tag = "identity",
    params(("user" = String, Path, description = "The user's name")),
    request_body = UserChange,
    responses((status = 200, description = "The user", body = User)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn update_user(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(name): Path<String>,
    Json(change): Json<UserChange>,
) -> Result<Json<User>, Problem> {
    let identity = &state.orchestrator.identity;
    let user = identity.set_user_disabled(&actor, &name, change.disabled);
    Ok(Json(user.await?))
}

/// Remove a user
///
/// Its tokens and grants count no more.
#[utoipa::path(
    delete, path = "/api/v1/users/{user}", tag = "identity",
    params(("user" = String, Path, description = "The user's name")),
    responses((status = 204, description = "It is removed")),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn delete_user(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let identity = &state.orchestrator.identity;
    identity.remove_user(&actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a user a role for good
#[utoipa::path(
    put, path = "/api/v1/users/{user}/roles/{project}", tag = "identity",
    params(
        ("user" = String, Path, description = "The user's name"),
        ("project" = String, Path, description = "The project, or `*` for all"),
    ),
    request_body = RoleChange,
    responses((status = 200, description = "The role", body = RoleBinding)),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn put_role(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path((user, project)): Path<(String, String)>,
    Json(change): Json<RoleChange>,
) -> Result<Json<RoleBinding>, Problem> {
    let identity = &state.orchestrator.identity;
    identity
        .set_role(&actor, &user, &project, Some(change.role))
        .await?;
    Ok(Json(RoleBinding {
        user,
        project,
        role: change.role,
    }))
}

/// Take a role from a user
#[utoipa::path(
    delete, path = "/api/v1/users/{user}/roles/{project}", tag = "identity",
    params(
        ("user" = String, Path, description = "The user's name"),
        ("project" = String, Path, description = "The project, or `*` for all"),
    ),
    responses((status = 204, description = "It is taken")),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("project"))),
)]
async fn delete_role(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Path((user, project)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let identity = &state.orchestrator.identity;
    identity.set_role(&actor, &user, &project, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
