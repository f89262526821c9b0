//! `/api/v1/plugins`: what workflows can use on this host.

use crate::auth::Caller;
use crate::extract::{Json, Path, Query};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::State;
use cofferdam_orchestrator::catalogue::PluginInfo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_plugins))
        .routes(routes!(get_plugin))
}

/// A plugin.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PluginView {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Its kind: `workflow-step`, `fixer`, ...
    pub kind: String,
    /// SHA-256 of the component, hexadecimal, or `native:VERSION`.
    pub digest: String,
    /// One sentence on what it does.
    pub summary: String,
    /// JSON Schema of its settings.
    pub settings: Value,
    /// The interfaces it wants beyond those of its world.
    pub capabilities: Vec<String>,
    /// The component's file; none for native steps.
    pub path: Option<String>,
    /// Why it cannot be used, where it cannot.
    pub problem: Option<String>,
}

impl From<PluginInfo> for PluginView {
    fn from(info: PluginInfo) -> Self {
        Self {
            id: info.id,
            version: info.version,
            kind: info.kind.world().to_owned(),
            digest: info.digest,
            summary: info.summary,
            settings: info.settings,
            capabilities: info.capabilities,
            path: info.path.map(|path| path.display().to_string()),
            problem: info.problem,
        }
    }
}

/// Plugins.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PluginList {
    /// The plugins.
    pub items: Vec<PluginView>,
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
#[utoipa::path(
    get, path = "/api/v1/plugins", tag = "plugins", params(PluginQuery),
    responses((status = 200, description = "The plugins of this host", body = PluginList)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn list_plugins(
    State(state): State<ApiState>,
    _: Caller,
    Query(query): Query<PluginQuery>,
) -> Json<PluginList> {
    let plugins = state.orchestrator.catalogue.list().into_iter();
    let items = plugins
        .filter(|plugin| {
            query
                .kind
                .as_deref()
                .is_none_or(|kind| kind == plugin.kind.world())
        })
        .map(PluginView::from);
    Json(PluginList {
        items: items.collect(),
    })
}

/// Look at a plugin
#[utoipa::path(
    get, path = "/api/v1/plugins/{plugin}", tag = "plugins",
    params(("plugin" = String, Path, description = "The plugin's id; the `/` of a native step's is written `%2F`")),
    responses((status = 200, description = "The plugin", body = PluginView)),
    extensions(("x-cofferdam-role" = json!("any")), ("x-cofferdam-scope" = json!("own"))),
)]
async fn get_plugin(
    State(state): State<ApiState>,
    _: Caller,
    Path(id): Path<String>,
) -> Result<Json<PluginView>, Problem> {
    let plugins = state.orchestrator.catalogue.list();
    plugins
        .into_iter()
        .find(|plugin| plugin.id == id)
        .map(|plugin| Json(plugin.into()))
        .ok_or_else(|| Problem::not_found("plugin", &id))
}
