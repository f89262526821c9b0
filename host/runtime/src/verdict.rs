//! From the way a call ended to the typed failure that names plugin, call and limit.

use crate::egress::EgressSpent;
use crate::engine::GUEST_STACK;
use crate::state::{State, Stop};
use cofferdam_contract::failure::{CallError, Callee, Limit};
use cofferdam_contract::limits::Limits;
use std::time::Duration;
use thiserror::Error;
use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

/// What a capability ends a call with when the guest broke the contract in a way that a
/// function's error record cannot say.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Misbehaviour(pub String);

/// What a capability ends a call with when the host itself is at fault.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct HostFailure(pub String);

/// wasmtime keeps the types of these errors to itself; tests hold their texts to it.
const TOO_MUCH_COPIED: &str = "fuel allocated for hostcalls has been exhausted";
const TOO_MANY_HANDLES: &str = "store handle limit exceeded";
const TOO_MANY_INSTANCES: &str = "resource limit exceeded: instance count too high";

/// Names the callee in failures.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) callee: Callee,
    pub(crate) limits: Limits,
}

impl Verdict {
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_millis(u64::from(self.limits.cpu_ms))
    }

    pub(crate) fn wall(&self) -> Duration {
        Duration::from_millis(u64::from(self.limits.wall_ms))
    }

    /// The same, for what is going on in the instance: its start, or the call.
    pub(crate) fn during(&self, state: &State) -> Self {
        let mut verdict = self.clone();
        if state.starting {
            "start".clone_into(&mut verdict.callee.call);
        }
        verdict
    }

    pub(crate) fn limit(&self, limit: Limit) -> CallError {
        let allowed = match self.limits.row(limit) {
            Some(row) => row.allowed(),
            None => format!("{} KiB", GUEST_STACK >> 10),
        };
        CallError::Limit {
            callee: self.callee.clone(),
            limit,
            allowed,
        }
    }

    pub(crate) fn host(&self, reason: impl ToString) -> CallError {
        CallError::Host {
            callee: self.callee.clone(),
            reason: reason.to_string(),
        }
    }

    /// Why the guest's code did not return.
    pub(crate) fn of(&self, error: &wasmtime::Error, state: &State) -> CallError {
        let callee = self.callee.clone();
        match state.stop {
            Some(Stop::Cpu) => return self.limit(Limit::Cpu),
            Some(Stop::Cancelled) => return CallError::Cancelled { callee },
            None => {}
        }
        if let Some(misbehaviour) = error.downcast_ref::<Misbehaviour>() {
            return CallError::Nonsense {
                callee,
                reason: misbehaviour.to_string(),
            };
        }
        if let Some(failure) = error.downcast_ref::<HostFailure>() {
            return self.host(failure);
        }
        if error.downcast_ref::<EgressSpent>().is_some() {
            return self.limit(Limit::Egress);
        }
        if let Some(ResourceTableError::Full) = error.downcast_ref() {
            return self.limit(Limit::OpenHandles);
        }
        let trap = error.downcast_ref::<Trap>();
        if trap == Some(&Trap::StackOverflow) {
            return self.limit(Limit::Stack);
        }
        let reason = error.root_cause().to_string();
        if trap.is_none() && reason.contains(TOO_MUCH_COPIED) {
            return self.limit(Limit::HostCallBytes);
        }
        if trap.is_none() && reason.contains(TOO_MANY_HANDLES) {
            return self.limit(Limit::OpenHandles);
        }
        if trap.is_none() && reason.contains(TOO_MANY_INSTANCES) {
            return self.limit(Limit::Instances);
        }
        if let Some(refused) = state.limiter.refused() {
            return self.limit(refused);
        }
        CallError::Trapped { callee, reason }
    }
}
