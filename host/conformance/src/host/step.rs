//! What a workflow step may use: programs and secrets as its case says, and nothing else.

use crate::convert;
use async_trait::async_trait;
use cofferdam_contract::kinds::StepServices;
use cofferdam_contract::services::{
    Artifacts, Begun, Operations, Outbound, OutboundRequest, Secrets, Tools,
};
use cofferdam_contract::types::{Error, ErrorCode, ToolOutcome, ToolRequest};
use cofferdam_sdk::step::StepHost as _;
use cofferdam_sdk::testing::MemoryStep;
use serde_json::Value;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The host of a step.
pub(crate) struct Offered(pub(crate) Mutex<MemoryStep>);

impl Offered {
    pub(crate) fn services(this: &Arc<Self>) -> StepServices {
        StepServices {
            tools: Arc::clone(this) as _,
            secrets: Arc::clone(this) as _,
            http: Arc::clone(this) as _,
            operations: Arc::clone(this) as _,
            artifacts: Arc::clone(this) as _,
        }
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut MemoryStep) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn denied<T>(what: &str) -> Result<T, Error> {
    Err(Error::new(
        ErrorCode::Denied,
        format!("{what} is not granted here"),
    ))
}

#[async_trait]
impl Tools for Offered {
    async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        let request = convert::tool_request_back(request);
        self.with(|step| step.run(&request))
            .map(convert::tool_outcome)
            .map_err(convert::error)
    }
    async fn keep(&self, file: &str, name: &str) -> Result<String, Error> {
        self.with(|step| step.keep(file, name))
            .map_err(convert::error)
    }
}

#[async_trait]
impl Secrets for Offered {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.with(|step| step.secret(name)).map_err(convert::error)
    }
}

impl Outbound for Offered {
    fn request(&self, request: &OutboundRequest) -> Result<(), Error> {
        denied(&format!("a request to {}", request.host))
    }
    fn address(&self, host: &str, _: IpAddr) -> Result<(), Error> {
        denied(&format!("a request to {host}"))
    }
}

#[async_trait]
impl Operations for Offered {
    async fn begin(&self, name: &str, _: Value) -> Result<Begun, Error> {
        denied(name)
    }
    async fn finish(&self, name: &str, _: Value) -> Result<(), Error> {
        denied(name)
    }
    async fn lost(&self, name: &str) -> Result<(), Error> {
        denied(name)
    }
}

#[async_trait]
impl Artifacts for Offered {
    async fn path(&self, reference: &str) -> Result<PathBuf, Error> {
        denied(reference)
    }
    async fn add(&self, _: &Path, name: &str) -> Result<String, Error> {
        denied(name)
    }
}
