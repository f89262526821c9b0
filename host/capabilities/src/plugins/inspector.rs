//! An inspector that is a component.

use super::{ComponentPlugin, extensions, mistyped, provide, returned};
use async_trait::async_trait;
use cofferdam_contract::bindings::exports::cofferdam::plugin::inspection::GuestIndices;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, Inspector};
use cofferdam_contract::services::{Findings, Trees};
use std::sync::Arc;

#[async_trait]
impl Inspector for ComponentPlugin<GuestIndices> {
    async fn inspect(
        &self,
        call: Call,
        trees: Arc<dyn Trees>,
        findings: Arc<dyn Findings>,
    ) -> Result<(), CallError> {
        let exports = self.exports().await?;
        let mut given = extensions(&call);
        provide(&mut given, trees);
        provide(&mut given, findings);
        let result = self
            .code
            .call_once("inspect", call.context, given, move |store, instance| {
                Box::pin(async move {
                    let guest = exports.load(&mut *store, instance).map_err(mistyped)?;
                    guest.call_inspect(store).await
                })
            })
            .await?;
        returned(|| self.callee("inspect"), result)
    }
}
