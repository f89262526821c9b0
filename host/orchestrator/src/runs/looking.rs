//! What stands behind the imports of `validate` and `plan`: nothing that has an effect or
//! tells a secret.

use async_trait::async_trait;
use cofferdam_contract::services::{Begun, Operations, Secrets};
use cofferdam_contract::types::{Error, ErrorCode};
use serde_json::Value;

/// Refuses operations and secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looking;

#[async_trait]
impl Operations for Looking {
    async fn begin(&self, name: &str, _: Value) -> Result<Begun, Error> {
        Err(refused("operation", name))
    }

    async fn finish(&self, name: &str, _: Value) -> Result<(), Error> {
        Err(refused("operation", name))
    }

    async fn lost(&self, name: &str) -> Result<(), Error> {
        Err(refused("operation", name))
    }
}

#[async_trait]
impl Secrets for Looking {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        Err(refused("secret", name))
    }
}

fn refused(what: &str, name: &str) -> Error {
    Error::new(
        ErrorCode::Denied,
        format!(
            "the {what} `{name}` is refused during `validate` and `plan`, because looking has no effect and needs no secret"
        ),
    )
    .with_hint("ask for it in `execute`")
}
