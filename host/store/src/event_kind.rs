//! The kinds of events, `WHAT.HAPPENED`.

use crate::{RunState, StepState};

/// A run was written down. Data: `workflow`.
pub const RUN_CREATED: &str = "run.created";
/// A run's state became running for the first time.
pub const RUN_STARTED: &str = "run.started";
/// A run that waited, or was parked, goes on.
pub const RUN_RESUMED: &str = "run.resumed";
/// A run that had failed or was cancelled goes on with its failed and unrun steps.
pub const RUN_RETRIED: &str = "run.retried";
/// Nothing goes on before someone decides.
pub const RUN_WAITING_APPROVAL: &str = "run.waiting-approval";
/// A run is parked. Data: `attention`.
pub const RUN_NEEDS_ATTENTION: &str = "run.needs-attention";
/// A run is being cancelled. Data: `actor`, `reason`.
pub const RUN_CANCELLING: &str = "run.cancelling";
/// Succeeded steps are being undone. Data: `error`.
pub const RUN_COMPENSATING: &str = "run.compensating";
/// A run succeeded.
pub const RUN_SUCCEEDED: &str = "run.succeeded";
/// A run failed. Data: `error`.
pub const RUN_FAILED: &str = "run.failed";
/// A run was cancelled.
pub const RUN_CANCELLED: &str = "run.cancelled";

/// A step goes to its next attempt from the beginning, because its run was resumed,
/// retried or its plan approved.
pub const STEP_PENDING: &str = "step.pending";
/// An attempt began. Data: `interrupted`.
pub const STEP_STARTED: &str = "step.started";
/// An attempt succeeded.
pub const STEP_SUCCEEDED: &str = "step.succeeded";
/// A step failed. Data: `error`.
pub const STEP_FAILED: &str = "step.failed";
/// An attempt failed, and another follows. Data: `error`, `next_attempt_at`.
pub const STEP_RETRYING: &str = "step.retrying";
/// A step is not needed. Data: `reason`.
pub const STEP_SKIPPED: &str = "step.skipped";
/// A step was cancelled.
pub const STEP_CANCELLED: &str = "step.cancelled";
/// A step is parked. Data: `error`.
pub const STEP_NEEDS_ATTENTION: &str = "step.needs-attention";
/// A step's compensation began. The attempt is the compensation's. Data: `interrupted`.
pub const STEP_COMPENSATING: &str = "step.compensating";
/// A step is undone.
pub const STEP_COMPENSATED: &str = "step.compensated";
/// A step could not be undone. Data: `error`.
pub const STEP_COMPENSATION_FAILED: &str = "step.compensation-failed";

/// Someone is asked to approve a plan. Data: `digest`.
pub const APPROVAL_REQUESTED: &str = "approval.requested";
/// A plan was approved. Data: `digest`, `actor`, `comment`.
pub const APPROVAL_APPROVED: &str = "approval.approved";
/// A plan was rejected. Data: `digest`, `actor`, `comment`.
pub const APPROVAL_REJECTED: &str = "approval.rejected";
/// A plan's approval is no longer asked.
pub const APPROVAL_WITHDRAWN: &str = "approval.withdrawn";

/// A host operation began. Data: `name`, `key`.
pub const OPERATION_STARTED: &str = "operation.started";
/// A host operation ended. Data: `name`, `key`.
pub const OPERATION_FINISHED: &str = "operation.finished";
/// Nothing is known about a host operation's end. Data: `name`, `key`.
pub const OPERATION_LOST: &str = "operation.lost";
/// A host operation was given up. Data: `name`, `key`.
pub const OPERATION_ABANDONED: &str = "operation.abandoned";

/// A run was given or made a file. Data: `name`, `size`.
pub const ARTIFACT_RECORDED: &str = "artifact.recorded";

/// A version of a plugin was installed, or granted something else. Data: `version`,
/// `digest`, `actor`, `grants`.
pub const PLUGIN_INSTALLED: &str = "plugin.installed";
/// An installed version was removed. Data: `version`, `digest`, `actor`.
pub const PLUGIN_REMOVED: &str = "plugin.removed";
/// A stage of an activation began, passed or failed. Data: `activation`, `cause`, `from`,
/// `to`, `stage`, `state` (`began`, `passed`, `failed`), `detail`.
pub const PLUGIN_STAGE: &str = "plugin.stage";
/// A version is active. Data: `activation`, `cause`, `from`, `to`.
pub const PLUGIN_ACTIVATED: &str = "plugin.activated";
/// An activation failed, and the old version serves. Data: `activation`, `cause`, `from`,
/// `to`, `stage`, `reason`.
pub const PLUGIN_ACTIVATION_FAILED: &str = "plugin.activation-failed";
/// A version crashed too often and is not called any more. Data: `version`, `digest`,
/// `reason`.
pub const PLUGIN_QUARANTINED: &str = "plugin.quarantined";
/// A version is called again. Data: `version`, `digest`, `actor`.
pub const PLUGIN_RELEASED: &str = "plugin.released";

/// What it is called that a run became `state`, other than by starting.
pub(crate) const fn of_run(state: RunState) -> &'static str {
    match state {
        RunState::Pending => RUN_CREATED,
        RunState::Running => RUN_RESUMED,
        RunState::WaitingApproval => RUN_WAITING_APPROVAL,
        RunState::NeedsAttention => RUN_NEEDS_ATTENTION,
        RunState::Cancelling => RUN_CANCELLING,
        RunState::Compensating => RUN_COMPENSATING,
        RunState::Succeeded => RUN_SUCCEEDED,
        RunState::Failed => RUN_FAILED,
        RunState::Cancelled => RUN_CANCELLED,
    }
}

/// What it is called that a step became `state`.
pub(crate) const fn of_step(state: StepState) -> &'static str {
    match state {
        StepState::Pending => STEP_PENDING,
        StepState::WaitingApproval => APPROVAL_REQUESTED,
        StepState::Running => STEP_STARTED,
        StepState::Retrying => STEP_RETRYING,
        StepState::Succeeded => STEP_SUCCEEDED,
        StepState::Failed => STEP_FAILED,
        StepState::Skipped => STEP_SKIPPED,
        StepState::Cancelled => STEP_CANCELLED,
        StepState::Compensating => STEP_COMPENSATING,
        StepState::Compensated => STEP_COMPENSATED,
        StepState::CompensationFailed => STEP_COMPENSATION_FAILED,
        StepState::NeedsAttention => STEP_NEEDS_ATTENTION,
    }
}
