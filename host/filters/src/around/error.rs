//! `error`: calls end with an error record before they reach the plugin.

use super::{Around, Calling};
use crate::chance;
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::types::{Error, ErrorCode};
use std::sync::atomic::{AtomicU64, Ordering};

/// Which calls fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum When {
    /// Each so many-th.
    Every(u64),
    /// By chance.
    Chance { probability: f64, seed: u64 },
}

pub(crate) struct Fail {
    pub(crate) when: When,
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<String>,
    pub(crate) retry_after: Option<u32>,
    calls: AtomicU64,
}

impl Fail {
    pub(crate) fn new(
        when: When,
        code: ErrorCode,
        message: Option<String>,
        retry_after: Option<u32>,
    ) -> Self {
        Self {
            when,
            code,
            message,
            retry_after,
            calls: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl Around for Fail {
    async fn before(&self, calling: &Calling<'_>) -> Result<(), CallError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let number = call.saturating_add(1);
        let (fails, which) = match self.when {
            When::Every(every) => (
                number.is_multiple_of(every),
                format!("call {number}, every {every}"),
            ),
            When::Chance { probability, seed } => (
                chance::fraction(seed, call) < probability,
                format!("call {number}, probability {probability}, seed {seed}"),
            ),
        };
        if !fails {
            return Ok(());
        }
        let said = self.message.as_deref().unwrap_or("made to fail");
        Err(CallError::Returned {
            callee: calling.callee(),
            error: Error {
                code: self.code,
                message: format!("{said} (filter error: {which})"),
                hint: Some(format!(
                    "the configuration asks for it, in [[plugins.{}.filters]]",
                    calling.plugin
                )),
                retry_after: self.retry_after,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::testing::TestRun;

    async fn failures(fail: &Fail, calls: u64) -> Vec<u64> {
        let run = TestRun::default();
        let mut failed = Vec::new();
        for call in 1..=calls {
            let calling = Calling {
                plugin: "p",
                function: "execute",
                context: &run,
                sent: 0,
            };
            if let Err(error) = fail.before(&calling).await {
                let error = error.returned().unwrap().clone();
                assert_eq!(error.code, ErrorCode::NoSpace);
                assert_eq!(error.retry_after, Some(9));
                assert!(
                    error.message.contains(&format!("call {call},")),
                    "{error:?}"
                );
                failed.push(call);
            }
        }
        failed
    }

    fn fail(when: When) -> Fail {
        Fail::new(when, ErrorCode::NoSpace, Some("full".to_owned()), Some(9))
    }

    #[tokio::test]
    async fn every_so_many_th_call_fails() {
        assert_eq!(failures(&fail(When::Every(3)), 10).await, [3, 6, 9]);
        assert_eq!(failures(&fail(When::Every(1)), 3).await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn chance_is_decided_by_the_seed() {
        let by = |probability, seed| fail(When::Chance { probability, seed });
        let first = failures(&by(0.25, 5), 1_000).await;
        assert_eq!(first, failures(&by(0.25, 5), 1_000).await);
        assert_ne!(first, failures(&by(0.25, 6), 1_000).await);
        // Five standard deviations of a binomial distribution are 68.
        assert!((182..=318).contains(&first.len()), "{}", first.len());
        assert_eq!(failures(&by(1.0, 1), 20).await.len(), 20);
    }
}
