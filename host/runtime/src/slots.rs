//! How many instances there may be at once, by depth.
//!
//! Outer calls (sources, inspectors, fixers) wait for sessions (file systems), never the
//! other way round. Each depth has its own slots, and all sessions that one guest needs
//! are taken together, so that a full pool queues and cannot deadlock. Workflow steps have
//! slots of their own: one may wait for a program for an hour. Plugins that wait for a call's
//! slot take turns ([`fair`](crate::fair)); guests that wait for their sessions do so in the
//! order they came.

use crate::fair::{FairSlots, Slot};
use crate::runtime::Options;
use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee, Limit};
use cofferdam_contract::kinds::{Kind, SessionSlot, SessionSlots};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The slots of one runtime.
#[derive(Debug)]
pub(crate) struct Slots {
    calls: Arc<FairSlots>,
    sessions: Arc<Semaphore>,
    steps: Arc<FairSlots>,
    most_sessions: u32,
}

impl Slots {
    /// As many as the options say.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            calls: FairSlots::new(options.calls as usize),
            sessions: Arc::new(Semaphore::new(options.sessions as usize)),
            steps: FairSlots::new(options.steps as usize),
            most_sessions: options.sessions,
        }
    }

    /// Waits for the right to one call of `plugin`, which is of this kind.
    pub(crate) async fn call(&self, kind: Kind, plugin: &str) -> Slot {
        let calls = match kind {
            Kind::WorkflowStep => &self.steps,
            _ => &self.calls,
        };
        calls.enter(plugin).await
    }
}

#[async_trait]
impl SessionSlots for Slots {
    async fn reserve(&self, count: u32) -> Result<Vec<SessionSlot>, CallError> {
        let callee = Callee {
            plugin: "filesystem".to_owned(),
            call: "open".to_owned(),
        };
        if count > self.most_sessions {
            return Err(CallError::Limit {
                callee,
                limit: Limit::Sessions,
                allowed: format!("{} sessions at once ({count} needed)", self.most_sessions),
            });
        }
        let sessions = Arc::clone(&self.sessions);
        let mut together =
            sessions
                .acquire_many_owned(count)
                .await
                .map_err(|_| CallError::Host {
                    callee,
                    reason: "the runtime is shutting down".to_owned(),
                })?;
        let mut slots = Vec::new();
        while let Some(one) = together.split(1) {
            slots.push(SessionSlot::held_by(one));
        }
        Ok(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_millis(50);

    fn slots(calls: u32, sessions: u32, steps: u32) -> Slots {
        Slots::new(&Options {
            calls,
            sessions,
            steps,
            ..Options::uncached()
        })
    }

    #[tokio::test]
    async fn steps_that_wait_do_not_hold_up_other_calls() {
        let slots = slots(1, 1, 1);
        let _waiting = slots.call(Kind::WorkflowStep, "p").await;
        assert!(
            timeout(SOON, slots.call(Kind::WorkflowStep, "p"))
                .await
                .is_err()
        );
        slots.call(Kind::Fixer, "p").await;
    }

    #[tokio::test]
    async fn sessions_are_taken_together_and_given_back_one_by_one() {
        let slots = slots(1, 3, 1);
        let mut first = slots.reserve(2).await.unwrap();
        assert_eq!(first.len(), 2);
        assert!(
            timeout(SOON, slots.reserve(2)).await.is_err(),
            "one is left"
        );
        first.pop();
        assert_eq!(
            timeout(SOON, slots.reserve(2))
                .await
                .unwrap()
                .unwrap()
                .len(),
            2
        );
    }

    #[tokio::test]
    async fn more_than_there_are_is_an_error_at_once() {
        let slots = slots(1, 3, 1);
        let _all = slots.reserve(3).await.unwrap();
        let error = slots.reserve(4).await.err().unwrap();
        assert!(
            matches!(
                error,
                CallError::Limit {
                    limit: Limit::Sessions,
                    ..
                }
            ),
            "{error}"
        );
        assert!(slots.reserve(0).await.unwrap().is_empty());
    }
}
