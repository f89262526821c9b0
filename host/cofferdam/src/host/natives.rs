//! Steps and workflows that are part of the program.

use super::live::Live;
use super::migrations::ServingPlugins;
use crate::config::Config;
use anyhow::Result;
use cofferdam_orchestrator::StatePaths;
use cofferdam_orchestrator::catalogue::{BuiltInWorkflow, NativeSteps};
use cofferdam_orchestrator::migration::steps::{
    Migrations, RunReach, WORKFLOW, WORKFLOW_WITH_BOOT,
};
use std::path::PathBuf;
use std::sync::Arc;

/// The native steps, over the plugins that they use. `roots` are the folders whose files
/// runs of token holders may name; the reach has to be told of the host's store.
pub fn steps(
    live: &Arc<Live>,
    config: &Config,
    paths: &StatePaths,
    roots: Vec<PathBuf>,
) -> Result<(NativeSteps, Arc<RunReach>)> {
    let plugins = Arc::new(ServingPlugins::new(Arc::clone(live), config)?);
    let reach = Arc::new(RunReach::new(roots));
    let mut steps = NativeSteps::new();
    let told = Arc::clone(&reach);
    Migrations::register(plugins, paths.clone(), told, &mut steps);
    Ok((steps, reach))
}

/// The workflows.
pub fn workflows() -> Vec<BuiltInWorkflow> {
    vec![WORKFLOW, WORKFLOW_WITH_BOOT]
}
