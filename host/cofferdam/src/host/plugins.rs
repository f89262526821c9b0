//! Which plugins there are, and the runtime that runs them.

use super::filters::{configured, tell};
use super::grants;
use super::live::Live;
use crate::cli::Global;
use crate::config::Config;
use anyhow::{Context, Result};
use cofferdam_capabilities::plugins::load_plugins;
use cofferdam_contract::limits::{HostLimits, LimitObserver};
use cofferdam_orchestrator::plugins::CallWatch;
use cofferdam_runtime::compiler::Compiler;
use cofferdam_runtime::{Options, PluginFolder, Runtime};
use std::path::PathBuf;
use std::sync::Arc;

/// The environment variable with plugin folders, separated as in `PATH`.
const FOLDERS_VARIABLE: &str = "COFFERDAM_PLUGINS";

/// The plugin folders in force: those of the command line, else of the environment, else of
/// the configuration, else the user's and the installation's, as far as they exist.
pub fn plugin_folders(global: &Global, config: &Config) -> Vec<PathBuf> {
    if !global.plugin_folders.is_empty() {
        return global.plugin_folders.clone();
    }
    if let Some(folders) = std::env::var_os(FOLDERS_VARIABLE) {
        return std::env::split_paths(&folders)
            .filter(|folder| !folder.as_os_str().is_empty())
            .collect();
    }
    if !config.plugin_folders.is_empty() {
        return config.plugin_folders.clone();
    }
    let data = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    let installed = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.parent()?.join("plugins")));
    data.map(|data| data.join("cofferdam/plugins"))
        .into_iter()
        .chain(installed)
        .filter(|folder| folder.is_dir())
        .collect()
}

/// A runtime with the configuration's limits, which compiles in child processes. `observer`
/// is told of limits that plugins reach.
pub fn runtime(config: &Config, observer: Arc<dyn LimitObserver>) -> Result<Arc<Runtime>> {
    // The program of unit tests has no command that compiles.
    let compiler = if cfg!(test) {
        Compiler::InThisProcess
    } else {
        Compiler::this_program()
    };
    let options = Options {
        compiler,
        host_limits: HostLimits::DEFAULT.overridden(&config.limits),
        limits: config.plugin_limits(),
        observer,
        ..Options::with_default_cache()
    };
    cofferdam_capabilities::runtime(&options).context("the plugin runtime cannot start")
}

/// Loads the plugins of the plugin folders, with the grants and policies of the
/// configuration; `observer` is told of limits that they reach. What was refused is in the
/// result.
pub fn load(
    global: &Global,
    config: &Config,
    watch: Arc<CallWatch>,
    observer: Arc<dyn LimitObserver>,
) -> Result<Live> {
    let granted = grants::interfaces(config);
    let folder = PluginFolder::scan(&plugin_folders(global, config));
    let runtime = runtime(config, observer)?;
    let plugins =
        load_plugins(&runtime, folder, &granted).context("the plugins cannot be put in order")?;
    let filters = configured(config)?;
    tell(&filters, &plugins.code);
    Live::new(runtime, plugins, granted, filters, watch)
        .context("the filters in the configuration cannot be used")
}
