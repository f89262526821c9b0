//! The configuration's filters around the plugins that were loaded.

use super::live::Codes;
use crate::config::Config;
use crate::telemetry;
use anyhow::{Context, Result};
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

/// Says in the log which of these plugins have filters.
pub fn tell(filters: &Filters, code: &Codes) {
    for (plugin, names) in filters.plugins() {
        if code.contains_key(plugin) {
            tracing::info!(plugin, filters = names.join(", "), "calls pass filters");
        }
    }
}
