//! What stands behind the imports of `validate` and `plan`: nothing that has an effect or
//! tells a secret.

use super::artifact::SCHEME;
use async_trait::async_trait;
use cofferdam_contract::services::{
    Artifacts, Begun, Operations, Outbound, OutboundRequest, Secrets,
};
use cofferdam_contract::types::{Error, ErrorCode};
use cofferdam_store::NewArtifact;
use serde_json::Value;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Refuses operations, secrets and requests.
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

impl Outbound for Looking {
    fn request(&self, request: &OutboundRequest) -> Result<(), Error> {
        Err(refused("request to", &request.host))
    }

    fn address(&self, host: &str, _: IpAddr) -> Result<(), Error> {
        Err(refused("request to", host))
    }
}

/// Shows artifacts and takes none.
pub struct LookingArtifacts(pub Arc<dyn Artifacts>);

#[async_trait]
impl Artifacts for LookingArtifacts {
    async fn path(&self, reference: &str) -> Result<PathBuf, Error> {
        self.0.path(reference).await
    }

    async fn add(&self, _: &Path, name: &str) -> Result<String, Error> {
        Err(refused("artifact", name))
    }
}

/// The input files of a run that is not written down yet.
pub struct GivenFiles(pub Vec<NewArtifact>);

#[async_trait]
impl Artifacts for GivenFiles {
    async fn path(&self, reference: &str) -> Result<PathBuf, Error> {
        let name = reference.strip_prefix(SCHEME).unwrap_or_default();
        self.0
            .iter()
            .find(|file| file.name == name)
            .map(|file| PathBuf::from(&file.path))
            .ok_or_else(|| Error::not_found(format!("there is no `{reference}` in this run")))
    }

    async fn add(&self, _: &Path, name: &str) -> Result<String, Error> {
        Err(refused("artifact", name))
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
