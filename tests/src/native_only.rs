//! Services that only native steps are given, behind components: none of them may reach one.

use async_trait::async_trait;
use cofferdam_contract::services::{Artifacts, Begun, Operations};
use cofferdam_contract::types::Error;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Panics whatever is asked of it.
pub struct NativeOnly;

fn reached<T>() -> Result<T, Error> {
    panic!("a component reached a service of native steps")
}

#[async_trait]
impl Operations for NativeOnly {
    async fn begin(&self, _: &str, _: Value) -> Result<Begun, Error> {
        reached()
    }
    async fn finish(&self, _: &str, _: Value) -> Result<(), Error> {
        reached()
    }
    async fn lost(&self, _: &str) -> Result<(), Error> {
        reached()
    }
}

#[async_trait]
impl Artifacts for NativeOnly {
    async fn path(&self, _: &str) -> Result<PathBuf, Error> {
        reached()
    }
    async fn add(&self, _: &Path, _: &str) -> Result<String, Error> {
        reached()
    }
}
