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
