//! The configuration's filters around the plugins that were loaded.

use crate::config::Config;
use crate::telemetry;
use anyhow::{Context, Result};
use cofferdam_capabilities::plugins::LoadedPlugins;
use cofferdam_filters::{Filters, Redact};
use std::borrow::Cow;
use std::sync::Arc;

/// Takes out of recordings the secrets that this process has handed out.
struct HandedOut;

impl Redact for HandedOut {
    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        telemetry::redactor().text(text)
    }
}

/// The filters of the configuration, for the whole process.
pub fn configured(config: &Config) -> Result<Arc<Filters>> {
    let filters = config
        .plugins
        .iter()
        .map(|(id, plugin)| (id.as_str(), plugin.filters.as_slice()));
    let redact: Arc<dyn Redact> = Arc::new(HandedOut);
    let filters = Filters::from_config(filters, &redact)
        .context("the filters in the configuration cannot be used")?;
    Ok(Arc::new(filters))
}

/// The plugins with their filters.
pub fn filtered(mut plugins: LoadedPlugins, filters: &Filters) -> Result<LoadedPlugins> {
    for (plugin, names) in filters.plugins() {
        if plugins.code.contains_key(plugin) {
            tracing::info!(plugin, filters = names.join(", "), "calls pass filters");
        } else {
            tracing::warn!(plugin, "there are filters for a plugin that is not loaded");
        }
    }
    plugins.set = filters.wrap_set(plugins.set)?;
    for step in plugins.steps.values_mut() {
        *step = filters.wrap_step(Arc::clone(step))?;
    }
    Ok(plugins)
}
