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
