//! `delay`: calls begin later, by a fixed time and one that a seed decides.

use super::{Around, Calling};
use crate::chance;
use crate::clock::{Clock, wait};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) struct Delay {
    pub(crate) fixed: Duration,
    pub(crate) jitter: Duration,
    pub(crate) seed: u64,
    pub(crate) clock: Arc<dyn Clock>,
    calls: AtomicU64,
}

impl Delay {
    pub(crate) fn new(fixed: u32, jitter: u32, seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            fixed: Duration::from_millis(fixed.into()),
            jitter: Duration::from_millis(jitter.into()),
            seed,
            clock,
            calls: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl Around for Delay {
    async fn before(&self, calling: &Calling<'_>) -> Result<(), CallError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let jitter = self.jitter.mul_f64(chance::fraction(self.seed, call));
        let time = self.fixed.saturating_add(jitter);
        wait(self.clock.as_ref(), time, calling.context, || {
            calling.callee()
        })
        .await
    }
}
