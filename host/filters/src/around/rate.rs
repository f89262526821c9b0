//! `rate`: so many calls a second, with bursts (GCRA, the leaky bucket as a meter of ITU-T
//! I.371: a call conforms where it does not come earlier than its theoretical time less the
//! burst's).

use super::{Around, Calling};
use crate::clock::{Clock, wait};
use crate::config::Excess;
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::types::{Error, ErrorCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) struct Rate {
    interval: Duration,
    tolerance: Duration,
    excess: Excess,
    clock: Arc<dyn Clock>,
    /// When the next call would come at an even pace.
    theoretical: Mutex<Duration>,
}

impl Rate {
    pub(crate) fn new(
        interval: Duration,
        burst: u32,
        excess: Excess,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            interval,
            tolerance: interval.saturating_mul(burst.saturating_sub(1)),
            excess,
            clock,
            theoretical: Mutex::default(),
        }
    }

    /// How long a call has to wait. It has its place then, unless it is refused.
    fn take(&self) -> Duration {
        let now = self.clock.now();
        let mut theoretical = self
            .theoretical
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mine = (*theoretical).max(now);
        let early = mine.saturating_sub(self.tolerance).saturating_sub(now);
        if early.is_zero() || self.excess == Excess::Wait {
            *theoretical = mine.saturating_add(self.interval);
        }
        early
    }
}

#[async_trait]
impl Around for Rate {
    async fn before(&self, calling: &Calling<'_>) -> Result<(), CallError> {
        let early = self.take();
        if early.is_zero() {
            return Ok(());
        }
        match self.excess {
            Excess::Wait => {
                wait(self.clock.as_ref(), early, calling.context, || {
                    calling.callee()
                })
                .await
            }
            Excess::Refuse => Err(CallError::Returned {
                callee: calling.callee(),
                error: Error {
                    code: ErrorCode::Limit,
                    message: format!(
                        "{} is called more often than the {:.3} times a second that its filter allows",
                        calling.function,
                        self.interval.as_secs_f64().recip()
                    ),
                    hint: Some(format!(
                        "raise the rate in [[plugins.{}.filters]], or let calls wait with excess = \"wait\"",
                        calling.plugin
                    )),
                    // Rounded up: a call that is on time must not be early.
                    retry_after: Some(
                        u32::try_from(early.as_millis().saturating_add(1)).unwrap_or(u32::MAX),
                    ),
                },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::{ManualClock, TestRun};

    fn rate(per_second: u32, burst: u32, excess: Excess, clock: &Arc<ManualClock>) -> Rate {
        let interval = Duration::from_secs(1) / per_second;
        Rate::new(interval, burst, excess, Arc::clone(clock) as Arc<dyn Clock>)
    }

    async fn call(rate: &Rate) -> Result<(), CallError> {
        let calling = Calling {
            plugin: "p",
            function: "execute",
            context: &TestRun::default(),
            sent: 0,
        };
        rate.before(&calling).await
    }

    #[tokio::test]
    async fn a_burst_goes_through_and_the_rest_waits_for_its_turn() {
        let clock = Arc::new(ManualClock::default());
        let rate = rate(10, 3, Excess::Wait, &clock);
        let mut began = Vec::new();
        for _ in 0..6 {
            call(&rate).await.unwrap();
            began.push(clock.now().as_millis());
        }
        assert_eq!(began, [0, 0, 0, 100, 200, 300]);
        // A pause brings the burst back, and no more than it.
        clock.pass(Duration::from_secs(60));
        let after = clock.now();
        for _ in 0..4 {
            call(&rate).await.unwrap();
        }
        assert_eq!((clock.now() - after).as_millis(), 100);
    }

    #[tokio::test]
    async fn what_is_refused_is_told_when_to_come_again_and_takes_no_place() {
        let clock = Arc::new(ManualClock::default());
        let rate = rate(4, 1, Excess::Refuse, &clock);
        call(&rate).await.unwrap();
        for _ in 0..3 {
            let error = call(&rate).await.unwrap_err();
            let error = error.returned().unwrap().clone();
            assert_eq!(error.code, ErrorCode::Limit);
            assert_eq!(error.retry_after, Some(251));
        }
        clock.pass(Duration::from_millis(251));
        call(&rate).await.unwrap();
    }
}
