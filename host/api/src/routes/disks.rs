//! `/api/v1/disks`: disk images in the folders that the operator named.

use crate::auth::Caller;
use crate::extract::Json;
use crate::problem::{Code, Problem};
use crate::state::ApiState;
use axum::extract::State;
use cofferdam_orchestrator::disks::{self, DiskAccessError};
use cofferdam_orchestrator::identity::EVERY_PROJECT;
use cofferdam_store::Role;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(disk_info))
        .routes(routes!(disk_map))
}

/// Which image.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskRequest {
    /// Absolute path on the host.
    #[schema(min_length = 1, max_length = 4096)]
    path: String,
}

/// Which part of which image's map.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskMapRequest {
    /// Absolute path on the host.
    #[schema(min_length = 1, max_length = 4096)]
    path: String,
    /// Begin with the range that holds this byte.
    #[serde(default)]
    #[schema(minimum = 0)]
    from: u64,
    /// How many ranges at most.
    #[serde(default = "most_extents")]
    #[schema(minimum = 1, maximum = 10000)]
    limit: u32,
}

fn most_extents() -> u32 {
    1000
}

/// An image.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DiskInfo {
    /// Path of the file that was opened.
    pub file: String,
    /// `raw`, `qcow2`, `vmdk` or another.
    pub format: String,
    /// Version or subformat in the format's own words.
    pub variant: Option<String>,
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// Bytes that all files take on their file system.
    pub allocated: u64,
    /// Unit of allocation in bytes.
    pub cluster_size: Option<u64>,
    /// Every file of the image, the opened one first.
    pub files: Vec<DiskFile>,
    /// Oddities that do not keep the image from being read.
    pub warnings: Vec<String>,
    /// The partition table: kind, disk id, sector size, partitions, warnings.
    pub partition_table: Option<Value>,
}

/// A file of an image.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DiskFile {
    /// Name relative to the image's folder.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// Bytes that it takes on its file system.
    pub allocated: u64,
}

/// A part of an image's map.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DiskMap {
    /// Ranges in order.
    pub extents: Vec<DiskExtent>,
    /// `from` of the next part; none at the end of the disk.
    pub next: Option<u64>,
}

/// A range of bytes of one kind.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DiskExtent {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// `data`, `zero`, `hole` or `compressed`.
    pub kind: Value,
}

impl From<DiskAccessError> for Problem {
    fn from(error: DiskAccessError) -> Self {
        Self::new(error.code().into(), error.to_string())
    }
}

/// Look at a disk image
///
/// Only files in the host's configured folders can be named; needs the role deploy for
/// all projects.
#[utoipa::path(
    post, path = "/api/v1/disks/info", tag = "disks",
    request_body = DiskRequest,
    responses((status = 200, description = "What is known about the image", body = DiskInfo)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn disk_info(
    State(state): State<ApiState>,
    caller: Caller,
    Json(request): Json<DiskRequest>,
) -> Result<Json<DiskInfo>, Problem> {
    let identity = &state.orchestrator.identity;
    identity.require(&caller.0, EVERY_PROJECT, Role::Deploy)?;
    let info = blocking(move || disks::info(&state.options.file_roots, &request.path)).await?;
    let files = info.files.into_iter().map(|file| DiskFile {
        name: file.name,
        size: file.size,
        allocated: file.allocated,
    });
    Ok(Json(DiskInfo {
        files: files.collect(),
        file: info.file,
        format: info.format.as_str().to_owned(),
        variant: info.variant,
        virtual_size: info.virtual_size,
        allocated: info.allocated,
        cluster_size: info.cluster_size,
        warnings: info.warnings,
        partition_table: info
            .partition_table
            .and_then(|table| serde_json::to_value(table).ok()),
    }))
}

/// See what lies where on a disk image
///
/// Only files in the host's configured folders can be named; needs the role deploy for
/// all projects.
#[utoipa::path(
    post, path = "/api/v1/disks/map", tag = "disks",
    request_body = DiskMapRequest,
    responses((status = 200, description = "A part of the map", body = DiskMap)),
    extensions(("x-cofferdam-role" = json!("deploy")), ("x-cofferdam-scope" = json!("host"))),
)]
async fn disk_map(
    State(state): State<ApiState>,
    caller: Caller,
    Json(request): Json<DiskMapRequest>,
) -> Result<Json<DiskMap>, Problem> {
    let identity = &state.orchestrator.identity;
    identity.require(&caller.0, EVERY_PROJECT, Role::Deploy)?;
    if !(1..=10_000).contains(&request.limit) {
        return Err(Problem::invalid("limit must be 1 to 10000"));
    }
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let part = blocking(move || {
        disks::map(
            &state.options.file_roots,
            &request.path,
            request.from,
            limit,
        )
    })
    .await?;
    let extents = part.extents.into_iter().map(|extent| DiskExtent {
        offset: extent.offset,
        length: extent.length,
        kind: serde_json::to_value(extent.kind).unwrap_or_default(),
    });
    Ok(Json(DiskMap {
        extents: extents.collect(),
        next: part.next,
    }))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DiskAccessError> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| {
            Problem::new(Code::Other, format!("looking at the image failed: {error}"))
        })?
        .map_err(Problem::from)
}
