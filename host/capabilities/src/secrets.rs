//! `cofferdam:runtime/secrets`: the project's secrets that were granted to the plugin.

use crate::arguments;
use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::runtime::secrets;
use cofferdam_contract::services::Secrets;
use cofferdam_contract::types::{Error, ErrorCode};

capability!(
    SecretsCapability,
    "cofferdam:runtime/secrets@0.1.0",
    cofferdam_contract::bindings::cofferdam::runtime::secrets
);

/// The longest name of a secret.
const MOST_NAME: usize = 128;

/// The largest value that a plugin gets, bytes.
const MOST_VALUE: usize = 64 << 10;

impl secrets::Host for Host<'_> {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let secrets = self.service::<dyn Secrets>()?;
        if let Err(error) = arguments::name("the secret's name", &name, MOST_NAME, true) {
            return Ok(Err(error));
        }
        let value = secrets.get(&name).await;
        Ok(value.and_then(|value| {
            if value.len() <= MOST_VALUE {
                return Ok(value);
            }
            Err(Error::new(
                ErrorCode::Limit,
                format!("the secret {name} is larger than {MOST_VALUE} bytes"),
            ))
        }))
    }
}
