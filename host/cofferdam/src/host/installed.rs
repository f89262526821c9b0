//! The program's side of installed plugins: components, read by the runtime.

use super::catalogue::{Plugins, in_force};
use super::live::refusal;
use async_trait::async_trait;
use cofferdam_contract::types::ErrorCode;
use cofferdam_orchestrator::grants::PluginGrants;
use cofferdam_orchestrator::plugins::{
    Active, Candidate, Inspected, PluginHost, Prepared, Refusal,
};
use cofferdam_runtime::{Inspection, inspect};
use std::sync::Arc;

#[async_trait]
impl PluginHost for Plugins {
    fn inspect(&self, component: &[u8]) -> Result<Inspected, Refusal> {
        let Inspection {
            kind,
            manifest,
            digest,
            size,
            imports,
            wasi: _,
        } = inspect(component).map_err(|error| refusal(&error))?;
        Ok(Inspected {
            manifest,
            kind,
            digest,
            size,
            imports,
        })
    }

    async fn compile(&self, candidate: &Candidate) -> Result<Prepared, Refusal> {
        let (live, wanted) = (Arc::clone(&self.live), candidate.clone());
        // Some megabytes are read and parsed.
        let code = tokio::task::spawn_blocking(move || live.code_of(&wanted))
            .await
            .map_err(|error| Refusal {
                reason: error.to_string(),
                code: ErrorCode::Other,
            })??;
        code.load().await.map_err(|error| refusal(&error))?;
        let manifest = &code.file().inspection.manifest;
        let settings = in_force(manifest, &self.settings).map_err(|reason| Refusal {
            reason,
            code: ErrorCode::Invalid,
        })?;
        Ok(Prepared {
            ready: self.live.ready(&code)?,
            settings,
        })
    }

    fn publish(&self, active: &Active) -> Result<(), Refusal> {
        self.live.publish(active)
    }

    fn set_grants(&self, digest: &str, grants: &PluginGrants) {
        self.live.set_grants(digest, grants);
    }

    fn retire(&self, digest: &str) {
        self.live.retire(digest);
    }
}
