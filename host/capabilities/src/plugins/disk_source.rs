//! A disk source that is a component.

use super::{ComponentPlugin, extensions, mistyped, provide, returned};
use async_trait::async_trait;
use cofferdam_contract::bindings::exports::cofferdam::plugin::discovery::GuestIndices;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, DiskSource};
use cofferdam_contract::services::{Machine, SourceFolder};
use std::sync::Arc;

#[async_trait]
impl DiskSource for ComponentPlugin<GuestIndices> {
    async fn discover(
        &self,
        call: Call,
        folder: Arc<dyn SourceFolder>,
        machine: Arc<dyn Machine>,
        name: &str,
    ) -> Result<bool, CallError> {
        let exports = self.exports().await?;
        let mut given = extensions(&call);
        provide(&mut given, folder);
        provide(&mut given, machine);
        let name = name.to_owned();
        let result = self
            .code
            .call_once("discover", call.context, given, move |store, instance| {
                Box::pin(async move {
                    let guest = exports.load(&mut *store, instance).map_err(mistyped)?;
                    guest.call_discover(store, &name).await
                })
            })
            .await?;
        returned(|| self.callee("discover"), result)
    }
}
