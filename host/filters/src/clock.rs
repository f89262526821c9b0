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

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use cofferdam_contract::types::{Level, Timestamp};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A clock on which only sleeping takes time.
    #[derive(Default)]
    pub(crate) struct ManualClock(pub(crate) Mutex<Duration>);

    impl ManualClock {
        pub(crate) fn pass(&self, time: Duration) {
            *self.0.lock().unwrap() += time;
        }
    }

    #[async_trait]
    impl Clock for ManualClock {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }
        async fn sleep(&self, time: Duration) {
            self.pass(time);
        }
    }

    /// A run that may be cancelled.
    #[derive(Default)]
    pub(crate) struct TestRun(pub(crate) AtomicBool);

    impl Context for TestRun {
        fn run_id(&self) -> String {
            "run".to_owned()
        }
        fn cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
        fn now(&self) -> Timestamp {
            Timestamp {
                seconds: 0,
                nanoseconds: 0,
            }
        }
        fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
        fn log(&self, _: &str, _: Level, _: &str, _: &[(String, String)]) {}
    }
}
