//! Time as filters see it; tests put their own in its place.

use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::services::Context;
use std::time::{Duration, Instant};

/// How often a call that waits looks whether its run was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// A clock that can be waited on.
#[async_trait]
pub(crate) trait Clock: Send + Sync {
    /// Time since some moment that stays the same.
    fn now(&self) -> Duration;
    /// Returns after so long.
    async fn sleep(&self, time: Duration);
}

/// The system's.
pub(crate) struct SystemClock(Instant);

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Waits so long, and ends as cancelled where the run is.
pub(crate) async fn wait(
    clock: &dyn Clock,
    time: Duration,
    context: &dyn Context,
    callee: impl Fn() -> Callee,
) -> Result<(), CallError> {
    let end = clock.now().saturating_add(time);
    loop {
        if context.cancelled() {
            return Err(CallError::Cancelled { callee: callee() });
        }
        let left = end.saturating_sub(clock.now());
        if left.is_zero() {
            return Ok(());
        }
        clock.sleep(left.min(LOOK)).await;
    }
}
