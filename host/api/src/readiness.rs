//! Whether the host can take work, asked of it at most once a second.
//!
//! The question needs no token and writes to the database, so that whoever asks often
//! must not make the host do nothing else.

use cofferdam_orchestrator::Orchestrator;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(1);

/// The last answer. Those who ask while it is made wait for it.
#[derive(Default)]
pub struct Readiness(Mutex<Option<(Instant, Result<(), String>)>>);

impl Readiness {
    /// Nothing, or why not.
    pub async fn look(&self, orchestrator: &Arc<Orchestrator>) -> Result<(), String> {
        let mut last = self.0.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < HOLDS
        {
            return answer.clone();
        }
        let orchestrator = Arc::clone(orchestrator);
        let answer = tokio::task::spawn_blocking(move || orchestrator.ready())
            .await
            .unwrap_or_else(|error| Err(error.to_string()));
        if let Err(reason) = &answer {
            tracing::warn!(reason, "not ready");
        }
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}
