//! `cofferdam:runtime/config`: the plugin's settings.

use crate::host::{Host, capability, missing};
use cofferdam_contract::bindings::cofferdam::runtime::config;

capability!(
    ConfigCapability,
    "cofferdam:runtime/config@0.1.0",
    cofferdam_contract::bindings::cofferdam::runtime::config
);

/// The settings of one instance, JSON.
pub(crate) struct Settings(pub(crate) String);

impl config::Host for Host<'_> {
    async fn settings(&mut self) -> wasmtime::Result<String> {
        self.0
            .extensions()
            .get::<Settings>()
            .map(|settings| settings.0.clone())
            .ok_or_else(|| missing("settings"))
    }
}
