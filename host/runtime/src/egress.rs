//! How much a call sends through the network.
//!
//! A capability charges what it is about to send, before it sends it. The budget is shared:
//! what streams a body has a handle of its own ([`State::egress`](crate::State::egress)) and
//! no access to the instance.

use crate::watched::Watched;
use cofferdam_contract::failure::Limit;
use cofferdam_contract::types::{Error, ErrorCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The bytes that one call may still send.
#[derive(Debug)]
pub struct EgressBudget {
    allowed: u64,
    left: AtomicU64,
    spent: AtomicBool,
    watched: Watched,
}

/// The call may not send any more. Ending a call with it reports the egress limit; a
/// capability whose interface has an error for it may tell the guest instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("one call may send {} KiB through the network, and no more", allowed >> 10)]
pub struct EgressSpent {
    /// What a call may send, bytes.
    pub allowed: u64,
}

impl EgressBudget {
    pub(crate) fn new(allowed_kib: u32, watched: Watched) -> Self {
        let allowed = u64::from(allowed_kib) << 10;
        Self {
            allowed,
            left: AtomicU64::new(allowed),
            spent: AtomicBool::new(false),
            watched,
        }
    }

    /// Takes `bytes` from the budget, or nothing where they are not left.
    ///
    /// # Errors
    /// They are not left; nothing may be sent then.
    pub fn charge(&self, bytes: u64) -> Result<(), EgressSpent> {
        let take = |left: u64| left.checked_sub(bytes);
        self.left
            .try_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map(|_| ())
            .map_err(|_| {
                if !self.spent.swap(true, Ordering::Relaxed) {
                    self.watched.reached(Limit::Egress);
                }
                EgressSpent {
                    allowed: self.allowed,
                }
            })
    }

    /// Whether a charge was refused.
    pub fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// What was sent.
    pub fn used(&self) -> u64 {
        self.allowed
            .saturating_sub(self.left.load(Ordering::Relaxed))
    }
}

impl From<EgressSpent> for Error {
    fn from(spent: EgressSpent) -> Self {
        Self::new(ErrorCode::Limit, spent.to_string())
            .with_hint("send less, or ask the operator for a higher egress-kib")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_taken_to_its_last_byte_and_not_beyond() {
        let budget = EgressBudget::new(1, Watched::nobody());
        budget.charge(1_000).unwrap();
        let spent = budget.charge(25).unwrap_err();
        assert_eq!(spent.allowed, 1_024);
        assert!(budget.is_spent());
        budget.charge(24).unwrap();
        assert_eq!(budget.used(), 1_024);
        budget.charge(u64::MAX).unwrap_err();
    }

    #[test]
    fn nothing_may_be_sent_where_the_limit_is_none() {
        let budget = EgressBudget::new(0, Watched::nobody());
        budget.charge(0).unwrap();
        budget.charge(1).unwrap_err();
    }
}
