//! What all handlers share.

use crate::idempotency::InFlight;
use crate::options::ApiOptions;
use crate::rate::RateLimits;
use crate::readiness::Readiness;
use crate::streams::StreamSlots;
use axum::body::Bytes;
use axum::extract::FromRef;
use cofferdam_orchestrator::Orchestrator;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Shared by all requests. Clones are cheap.
#[derive(Clone)]
pub struct ApiState {
    /// What does the work.
    pub orchestrator: Arc<Orchestrator>,
    /// The operator's limits.
    pub options: Arc<ApiOptions>,
    /// Rates by client.
    pub rates: Arc<RateLimits>,
    /// Event streams and WebSockets that are open.
    pub streams: Arc<StreamSlots>,
    /// Places for components that are being received.
    pub uploads: Arc<Semaphore>,
    /// Idempotency keys whose request is being answered.
    pub in_flight: Arc<InFlight>,
    /// Whether the host can take work.
    pub readiness: Arc<Readiness>,
    /// The OpenAPI document, as sent.
    pub document: Bytes,
}

impl ApiState {
    /// The state of a router that nobody has asked yet.
    pub fn new(orchestrator: Arc<Orchestrator>, options: ApiOptions, document: Bytes) -> Self {
        Self {
            rates: Arc::new(RateLimits::new(&options)),
            streams: Arc::new(StreamSlots::new(&options)),
            uploads: Arc::new(Semaphore::new(options.max_uploads)),
            in_flight: Arc::default(),
            readiness: Arc::default(),
            options: Arc::new(options),
            orchestrator,
            document,
        }
    }
}

impl FromRef<ApiState> for Arc<ApiOptions> {
    fn from_ref(state: &ApiState) -> Self {
        Arc::clone(&state.options)
    }
}
