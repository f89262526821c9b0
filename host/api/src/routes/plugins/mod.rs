//! `/api/v1/plugins`: what the host can use, and which version of it.
//!
//! A component is uploaded once and kept by its digest; which version serves is changed by
//! activations, whose stages are events of the plugin (`plugin.stage`).

mod activations;
mod install;
mod views;

pub use activations::{ActivateRequest, ReleaseAnswer, ReleaseRequest};
pub use views::{
    CrashActionView, CrashPolicyView, CrashView, DifferenceView, InstallAnswer, InstalledView,
    PluginList, PluginView, ProposalView, RefusedFileView, Source, VersionView, WantView,
    WidenedView,
};

pub use install::router as upload_router;

use crate::auth::Caller;
use crate::extract::{Json, Path, Query};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use cofferdam_orchestrator::catalogue::PluginInfo;
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes but for [`upload_router`]'s.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_plugins))
        .routes(routes!(get_plugin))
        .merge(activations::router())
}

/// Which plugins a list shows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PluginQuery {
    /// Of this kind, such as `workflow-step`.
    kind: Option<String>,
}

/// List plugins
///
/// Those that serve, with how they do; those that have installed versions; and the files of
/// the plugin folders that are refused.
#[utoipa::path(
    get, path = "/api/v1/plugins", tag = "plugins", params(PluginQuery),
    responses((status = 200, description = "The plugins of this host", body = PluginList)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn list_plugins(
    State(state): State<ApiState>,
    _: Caller,
    Query(query): Query<PluginQuery>,
) -> Result<Json<PluginList>, Problem> {
    let wanted = |kind: &str| query.kind.as_deref().is_none_or(|wanted| wanted == kind);
    let orchestrator = &state.orchestrator;
    let mut installed = orchestrator.plugins.list()?;
    installed.retain(|plugin| wanted(plugin.kind.world()));
    let installed: Vec<InstalledView> = installed.into_iter().map(Into::into).collect();
    let digests: BTreeSet<&str> = installed
        .iter()
        .flat_map(|plugin| &plugin.versions)
        .map(|version| version.installed.digest.as_str())
        .collect();
    let serving = orchestrator.catalogue.list().into_iter();
    let items = serving
        .filter(|plugin| wanted(plugin.kind.world()))
        .map(|plugin| {
            let is_installed = digests.contains(plugin.digest.as_str());
            view(&state, plugin, is_installed)
        })
        .collect::<Result<_, _>>()?;
    let refused = orchestrator.catalogue.refused().into_iter();
    Ok(Json(PluginList {
        items,
        refused: refused
            .map(|refused| RefusedFileView {
                file: refused.file.display().to_string(),
                reason: refused.reason,
            })
            .collect(),
        installed,
    }))
}

/// Look at a plugin
#[utoipa::path(
    get, path = "/api/v1/plugins/{plugin}", tag = "plugins",
    params(("plugin" = String, Path, description = "The plugin's id; the `/` of a native step's is written `%2F`")),
    responses((status = 200, description = "The plugin that serves", body = PluginView)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn get_plugin(
    State(state): State<ApiState>,
    _: Caller,
    Path(id): Path<String>,
) -> Result<Json<PluginView>, Problem> {
    let plugins = state.orchestrator.catalogue.list();
    let found = plugins.into_iter().find(|plugin| plugin.id == id);
    let found = found.ok_or_else(|| Problem::not_found("plugin", &id))?;
    let mut installed = state.orchestrator.plugins.list()?.into_iter();
    let is_installed = installed.any(|plugin| {
        let mut versions = plugin.versions.iter();
        versions.any(|version| version.record.digest == found.digest)
    });
    Ok(Json(view(&state, found, is_installed)?))
}

fn view(state: &ApiState, info: PluginInfo, installed: bool) -> Result<PluginView, Problem> {
    let plugins = &state.orchestrator.plugins;
    let crash = plugins.crash_state(&info.id, &info.digest)?;
    let policy = plugins.policy(&info.id);
    Ok(PluginView::new(info, installed, crash, policy))
}
