//! Steps that are part of the program.

use crate::config::Config;
use anyhow::Result;
use cofferdam_capabilities::plugins::LoadedPlugins;
use cofferdam_orchestrator::catalogue::NativeSteps;

/// The native steps, over the plugins that they use.
pub fn steps(_plugins: &LoadedPlugins, _config: &Config) -> Result<NativeSteps> {
    Ok(NativeSteps::new())
}
