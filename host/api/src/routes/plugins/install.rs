//! Handing a component over.

use super::{InstallAnswer, ProposalView};
use crate::auth::Caller;
use crate::extract::{Component, Json, Query};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cofferdam_orchestrator::plugins::Approval;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The route whose body is a component.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(install_plugin))
}

/// What is to be done with a component.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct InstallQuery {
    /// What the component has to be: `sha256:` and the digest, hexadecimal. A body that came
    /// damaged, or is another file, is refused.
    #[param(pattern = "^sha256:[0-9a-f]{64}$")]
    digest: Option<String>,
    /// Only say what installing it would mean.
    #[serde(default)]
    dry_run: bool,
    /// Grant what the plugin proposes, no more and no less.
    #[serde(default)]
    grant: bool,
    /// Then begin to activate it.
    #[serde(default)]
    activate: bool,
}

/// Install a version of a plugin
///
/// The component is kept by its digest and does not change any more; it serves once it is
/// activated. Nothing of it is run before. Where it wants more than it is granted, nothing is
/// installed (409, code `denied`); `dry_run` says what it wants and why, and how that differs
/// from the active version. The same component again changes nothing but its grants.
#[utoipa::path(
    post, path = "/api/v1/plugins", tag = "plugins", params(InstallQuery),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component"),
    responses(
        (status = 200, description = "With `dry_run`: what installing it would mean", body = ProposalView),
        (status = 201, description = "The installed version", body = InstallAnswer),
    ),
    extensions(("x-cofferdam-role" = json!("admin")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn install_plugin(
    State(state): State<ApiState>,
    Caller(actor): Caller,
    Query(query): Query<InstallQuery>,
    Component(component): Component,
) -> Result<Response, Problem> {
    if let Some(wanted) = &query.digest {
        let found = format!("sha256:{}", hex::encode(Sha256::digest(&component)));
        if *wanted != found {
            return Err(Problem::invalid(format!(
                "the component has the digest {found}, not {wanted}; send the file again"
            )));
        }
    }
    let plugins = &state.orchestrator.plugins;
    let component = component.to_vec();
    if query.dry_run {
        let proposal = plugins.propose(&actor, component).await?;
        return Ok(Json(ProposalView::from(proposal)).into_response());
    }
    let approval = if query.grant {
        Approval::Proposed
    } else {
        Approval::Nothing
    };
    let version = plugins.install(&actor, component, approval).await?.record;
    let activation = if query.activate {
        let begun = plugins.begin(&actor, &version.id, &version.version).await?;
        Some(begun)
    } else {
        None
    };
    let answer = InstallAnswer {
        version,
        activation,
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}
