//! The secrets of a step: those that the operator granted to its plugin.

use crate::secrets::{SecretGrant, StepSecrets};
use crate::tool::Granted;
use async_trait::async_trait;
use cofferdam_contract::services::Secrets;
use cofferdam_contract::types::Error;
use std::sync::Arc;

/// Asks the plugin's grants before the project's secrets.
pub struct GrantedSecrets {
    /// What the plugin was granted.
    pub granted: Arc<Granted>,
    /// The project's secrets, which remember what they gave out.
    pub secrets: StepSecrets,
}

impl GrantedSecrets {
    /// The grant of [`StepSecrets`] that leaves the question to [`Granted`], which knows
    /// the checked patterns.
    pub fn every_name() -> SecretGrant {
        SecretGrant {
            names: vec!["*".to_owned()],
        }
    }
}

#[async_trait]
impl Secrets for GrantedSecrets {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.granted.secret(name)?;
        self.secrets.get(name).await
    }
}
