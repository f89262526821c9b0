//! A fixer that is a component.

use super::{ComponentPlugin, extensions, mistyped, provide, returned};
use async_trait::async_trait;
use cofferdam_contract::bindings::exports::cofferdam::plugin::fixing::GuestIndices;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, Fixer, FixerGuest};

#[async_trait]
impl Fixer for ComponentPlugin<GuestIndices> {
    async fn fix(&self, call: Call, guest: FixerGuest) -> Result<(), CallError> {
        let exports = self.exports().await?;
        let mut given = extensions(&call);
        provide(&mut given, guest.view);
        provide(&mut given, guest.facts);
        provide(&mut given, guest.edits);
        let result = self
            .code
            .call_once("fix", call.context, given, move |store, instance| {
                Box::pin(async move {
                    let guest = exports.load(&mut *store, instance).map_err(mistyped)?;
                    guest.call_fix(store).await
                })
            })
            .await?;
        returned(|| self.callee("fix"), result)
    }
}
