//! Steps, their attempts, and their approvals.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::{Problem, RunOutcome, RunState};
use crate::Time;
use crate::names::words;

words! {
    /// Where a step is.
    StepState: "step state" {
        /// Not begun.
        Pending = "pending",
        /// Its plan waits for someone to decide.
        WaitingApproval = "waiting-approval",
        /// An attempt is going on, or was when the host was killed.
        Running = "running",
        /// An attempt failed, and another follows.
        Retrying = "retrying",
        /// Ended as it should.
        Succeeded = "succeeded",
        /// Ended with an error.
        Failed = "failed",
        /// Not needed.
        Skipped = "skipped",
        /// Not begun or not ended, because the run is cancelled.
        Cancelled = "cancelled",
        /// Being undone.
        Compensating = "compensating",
        /// Undone.
        Compensated = "compensated",
        /// Could not be undone.
        CompensationFailed = "compensation-failed",
        /// Parked: someone has to look.
        NeedsAttention = "needs-attention",
    }
}

impl StepState {
    /// Whether the step has ended, for now.
    pub const fn is_finished(self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Failed
                | Self::Skipped
                | Self::Cancelled
                | Self::Compensated
                | Self::CompensationFailed
        )
    }

    /// Whether its plugin is being called.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Compensating)
    }

    /// Whether a step in this state may go to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        use StepState as S;
        match self {
            S::Pending | S::Retrying => matches!(
                next,
                S::Running
                    | S::WaitingApproval
                    | S::Skipped
                    | S::Failed
                    | S::Cancelled
                    | S::NeedsAttention
            ),
            S::WaitingApproval => matches!(
                next,
                S::Pending | S::WaitingApproval | S::Skipped | S::Failed | S::Cancelled
            ),
            S::Running => matches!(
                next,
                // Again, after the host was killed.
                S::Running
                    | S::WaitingApproval
                    | S::Retrying
                    | S::Succeeded
                    | S::Failed
                    | S::Cancelled
                    | S::NeedsAttention
            ),
            S::Succeeded => matches!(next, S::Compensating),
            S::Compensating => matches!(
                next,
                S::Compensating | S::Compensated | S::CompensationFailed | S::NeedsAttention
            ),
            S::NeedsAttention => matches!(
                next,
                // Succeeded where it was parked while it was compensated.
                S::Pending | S::Succeeded | S::Failed | S::Cancelled | S::CompensationFailed
            ),
            // By a retry of the run.
            S::Failed | S::Skipped | S::Cancelled | S::Compensated => matches!(next, S::Pending),
            S::CompensationFailed => matches!(next, S::Pending | S::Compensating),
        }
    }
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepRecord {
    /// The run.
    pub run: String,
    /// The step's id.
    pub step: String,
    /// Its place in the workflow's file, from 0.
    pub position: u32,
    /// Where it is.
    pub state: StepState,
    /// How often it was begun, kills of the host included.
    pub attempt: u32,
    /// How many attempts ended with an error, kills of the host not counted; what a
    /// retry limit is compared with. A retry of the run begins at 0 again.
    pub failures: u32,
    /// How often its compensation was begun.
    pub compensation_attempt: u32,
    /// The digest of its plugin.
    pub plugin: Option<String>,
    /// Its resolved input, since its first attempt or its approval request.
    pub input: Option<Value>,
    /// Its output, since it succeeded.
    pub output: Option<Value>,
    /// Why the last attempt or the compensation failed, or it was parked.
    pub error: Option<Problem>,
    /// When the next attempt may begin, in state retrying.
    pub next_attempt_at: Option<Time>,
    /// When the first attempt began.
    pub started: Option<Time>,
    /// When it ended; what was undone since has kept when it had succeeded.
    pub finished: Option<Time>,
    /// The id of the event of its success. Compensation goes by it, downwards.
    pub succeeded_event: Option<i64>,
}

words! {
    /// What was decided about a plan.
    ApprovalState: "approval state" {
        /// Nothing yet.
        Pending = "pending",
        /// It may be carried out.
        Approved = "approved",
        /// It must not.
        Rejected = "rejected",
        /// It is no longer asked: the step ended otherwise.
        Withdrawn = "withdrawn",
    }
}

/// A step's plan that someone is asked to approve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Approval {
    /// The run.
    pub run: String,
    /// The run's project.
    pub project: String,
    /// The step.
    pub step: String,
    /// SHA-256 of what would be executed, hexadecimal.
    pub digest: String,
    /// What would change.
    pub plan: Value,
    /// What was decided.
    pub state: ApprovalState,
    /// When it was asked.
    pub requested: Time,
    /// When it was decided.
    pub decided: Option<Time>,
    /// Who decided.
    pub actor: Option<String>,
    /// What they said.
    pub comment: Option<String>,
}

/// Which approvals a list shows: those that fit every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalFilter {
    /// Of these projects; none for all.
    pub projects: Option<Vec<String>>,
    /// Of this run.
    pub run: Option<String>,
    /// In this state.
    pub state: Option<ApprovalState>,
}

words! {
    /// A decision about a plan.
    Decision: "decision" {
        /// Carry it out.
        Approve = "approve",
        /// Do not: the step fails.
        Reject = "reject",
    }
}

impl Change {
    /// The run goes to `state`, for a state that needs no reason.
    pub fn run(state: RunState) -> Self {
        Self::Run {
            state,
            attention: None,
            error: None,
        }
    }
}

/// An attempt to be begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The step.
    pub step: String,
    /// Its resolved input.
    pub input: Value,
    /// The digest of what is about to be executed, computed anew. Where the step has
    /// an approval, it must be approved for this very digest.
    pub digest: Option<String>,
    /// Whether the step was running when the host was killed: only then may a running
    /// step be begun again.
    pub interrupted: bool,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptOutcome {
    /// As it should.
    Succeeded {
        /// The step's output.
        output: Value,
    },
    /// With an error that ends the step.
    Failed {
        /// Why.
        error: Problem,
    },
    /// With an error after which the step is tried again.
    Retry {
        /// Why.
        error: Problem,
        /// When the next attempt may begin.
        at: Time,
    },
    /// Stopped, because the run is cancelled.
    Cancelled,
    /// Someone has to look, for example because the record of an outside effect is lost.
    NeedsAttention {
        /// Why.
        error: Problem,
    },
}

/// How a compensation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CompensationOutcome {
    /// The step is undone.
    Compensated,
    /// It could not be undone.
    Failed {
        /// Why.
        error: Problem,
    },
    /// Someone has to look, or its plugin has to come back, before it is tried again.
    NeedsAttention {
        /// Why.
        error: Problem,
    },
}

/// One change of a run; see [`Store::advance`](crate::Store::advance).
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The run goes to another unfinished state. Cancelling and compensating forbid
    /// new attempts from then on.
    Run {
        /// The state.
        state: RunState,
        /// Why someone has to look, for needs-attention.
        attention: Option<String>,
        /// What it will fail with once it is compensated, for compensating.
        error: Option<Problem>,
    },
    /// The run ends. No step may be executed any more; those that have not ended are
    /// skipped if it failed, cancelled if it is cancelled, and not allowed if it succeeded.
    Finish(RunOutcome),
    /// A step's attempt begins.
    Begin(Attempt),
    /// A step's attempt ends.
    End {
        /// The step.
        step: String,
        /// The attempt's number: another one's end is refused.
        attempt: u32,
        /// How.
        outcome: AttemptOutcome,
    },
    /// A step that has not begun fails, for example because its input cannot be computed.
    Fail {
        /// The step.
        step: String,
        /// Why.
        error: Problem,
    },
    /// A step is not needed.
    Skip {
        /// The step.
        step: String,
        /// Why.
        reason: String,
    },
    /// A step that has not begun, waits or is parked is given up, because the run is
    /// cancelled. Where it was its compensation that was parked, that has failed.
    Cancel {
        /// The step.
        step: String,
    },
    /// A step that has not begun is parked.
    Park {
        /// The step.
        step: String,
        /// Why.
        error: Problem,
    },
    /// A step waits for someone to decide about its plan. An earlier approval of the
    /// step is replaced.
    RequestApproval {
        /// The step.
        step: String,
        /// Its resolved input.
        input: Value,
        /// SHA-256 of what would be executed.
        digest: String,
        /// What would change.
        plan: Value,
    },
    /// A succeeded step's compensation begins.
    BeginCompensation {
        /// The step.
        step: String,
        /// Whether it was going on when the host was killed.
        interrupted: bool,
    },
    /// A step's compensation ends.
    EndCompensation {
        /// The step.
        step: String,
        /// The number of the compensation's attempt.
        attempt: u32,
        /// How.
        outcome: CompensationOutcome,
    },
}
