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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{ManualClock, TestRun};

    async fn delays(delay: &Delay, clock: &ManualClock, calls: usize) -> Vec<Duration> {
        let run = TestRun::default();
        let mut found = Vec::new();
        for _ in 0..calls {
            let before = clock.now();
            let calling = Calling {
                plugin: "p",
                function: "fix",
                context: &run,
                sent: 0,
            };
            delay.before(&calling).await.unwrap();
            found.push(clock.now() - before);
        }
        found
    }

    #[tokio::test]
    async fn the_seed_decides_how_late_each_call_is() {
        let clock = Arc::new(ManualClock::default());
        let with = |seed| Delay::new(100, 40, seed, Arc::clone(&clock) as Arc<dyn Clock>);
        let first = delays(&with(1), &clock, 50).await;
        assert_eq!(first, delays(&with(1), &clock, 50).await);
        assert_ne!(first, delays(&with(2), &clock, 50).await);
        let range = Duration::from_millis(100)..=Duration::from_millis(140);
        assert!(first.iter().all(|it| range.contains(it)), "{first:?}");
        assert!(first.iter().any(|it| *it != first[0]));
        let fixed = Delay::new(7, 0, 0, Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!(
            delays(&fixed, &clock, 2).await,
            [Duration::from_millis(7); 2]
        );
    }

    #[tokio::test]
    async fn a_cancelled_run_does_not_wait() {
        let clock = Arc::new(ManualClock::default());
        let delay = Delay::new(60_000, 0, 0, Arc::clone(&clock) as Arc<dyn Clock>);
        let run = TestRun(true.into());
        let calling = Calling {
            plugin: "p",
            function: "fix",
            context: &run,
            sent: 0,
        };
        let error = delay.before(&calling).await.unwrap_err();
        assert!(matches!(error, CallError::Cancelled { .. }), "{error}");
        assert_eq!(clock.now(), Duration::ZERO);
    }
}
