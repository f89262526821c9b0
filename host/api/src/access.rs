//! What a caller may read.
//!
//! The facade checks who changes something; who reads is checked here. What one may not
//! read is answered exactly as what does not exist.

use crate::problem::Problem;
use crate::state::ApiState;
use cofferdam_orchestrator::identity::{Actor, IdentityError, project_name};
use cofferdam_store::{Role, Run, StoreError};

/// The run, where the actor may read its project.
pub fn readable_run(state: &ApiState, actor: &Actor, id: &str) -> Result<Run, Problem> {
    let orchestrator = &state.orchestrator;
    let run = match orchestrator.store.run(id) {
        Ok(run) => run,
        Err(StoreError::NotFound { .. }) => return Err(Problem::not_found("run", id)),
        Err(error) => return Err(error.into()),
    };
    require_readable(state, actor, &run.project, id)?;
    Ok(run)
}

/// Refuses unless the actor may read the project of the run `id`.
pub fn require_readable(
    state: &ApiState,
    actor: &Actor,
    project: &str,
    id: &str,
) -> Result<(), Problem> {
    let identity = &state.orchestrator.identity;
    match identity.require(actor, project, Role::Read) {
        Err(IdentityError::NotFound { .. }) => Err(Problem::not_found("run", id)),
        other => Ok(other?),
    }
}

/// The projects that a list of what is in `wanted` may show, as the store's filters have
/// them. Refuses what is no name of a project.
pub fn readable_projects(
    state: &ApiState,
    actor: &Actor,
    wanted: Option<String>,
) -> Result<Option<Vec<String>>, Problem> {
    if let Some(wanted) = &wanted {
        project_name(wanted)?;
    }
    let visible = state.orchestrator.identity.visible(actor, Role::Read)?;
    Ok(visible.narrowed(wanted.map(|project| vec![project])))
}
