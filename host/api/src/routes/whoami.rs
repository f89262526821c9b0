//! `/api/v1/whoami`.

use crate::auth::Caller;
use crate::extract::Json;
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use cofferdam_orchestrator::identity::Via;
use cofferdam_store::EffectiveRole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(whoami))
}

/// Who the caller is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// The user.
    pub user: String,
    /// The token's id; none for the owner of the host, who may do everything.
    pub token: Option<String>,
    /// The roles that count now, by bindings and grants.
    pub roles: Vec<EffectiveRole>,
}

/// See who one is and what one may do
#[utoipa::path(
    get, path = "/api/v1/whoami", tag = "identity",
    responses((status = 200, description = "The caller", body = WhoAmI)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn whoami(
    State(state): State<ApiState>,
    Caller(actor): Caller,
) -> Result<Json<WhoAmI>, Problem> {
    let roles = state.orchestrator.identity.roles(&actor)?;
    let token = match actor.via {
        Via::Token(id) => Some(id),
        Via::Local => None,
    };
    Ok(Json(WhoAmI {
        user: actor.user,
        token,
        roles,
    }))
}
