//! Runs and what belongs to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::step::{Approval, StepRecord};
use crate::Time;
use crate::names::words;

words! {
    /// Where a run is.
    RunState: "run state" {
        /// Written down, and not begun.
        Pending = "pending",
        /// Steps are executed.
        Running = "running",
        /// Nothing goes on before someone decides.
        WaitingApproval = "waiting-approval",
        /// Parked: someone has to look, and then resume or cancel it.
        NeedsAttention = "needs-attention",
        /// Being cancelled: what is executed is being stopped.
        Cancelling = "cancelling",
        /// Succeeded steps are being undone, after a failure or a cancellation.
        Compensating = "compensating",
        /// Ended as it should.
        Succeeded = "succeeded",
        /// Ended with an error.
        Failed = "failed",
        /// Ended by request.
        Cancelled = "cancelled",
    }
}

impl RunState {
    /// Whether it has ended.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Whether a run in this state may go to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        use RunState as S;
        match self {
            S::Pending => matches!(
                next,
                S::Running | S::NeedsAttention | S::Cancelling | S::Failed | S::Cancelled
            ),
            S::Running => matches!(
                next,
                S::WaitingApproval
                    | S::NeedsAttention
                    | S::Cancelling
                    | S::Compensating
                    | S::Succeeded
                    | S::Failed
            ),
            S::WaitingApproval => matches!(
                next,
                S::Running | S::NeedsAttention | S::Cancelling | S::Compensating | S::Failed
            ),
            S::NeedsAttention => matches!(
                next,
                S::Running | S::WaitingApproval | S::Cancelling | S::Compensating | S::Failed
            ),
            S::Cancelling => matches!(next, S::Compensating | S::Cancelled | S::NeedsAttention),
            S::Compensating => matches!(next, S::Failed | S::Cancelled | S::NeedsAttention),
            // By a retry.
            S::Failed | S::Cancelled => matches!(next, S::Running),
            S::Succeeded => false,
        }
    }
}

/// Why something failed: the fields of the contract's error record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The contract's error code, kebab-case: `not-found`, `timeout`, ...
    pub code: String,
    /// What happened and why, in one sentence.
    pub message: String,
    /// What the user can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When trying again makes sense, in milliseconds from the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// The digest of the plugin version that is in quarantine, where that is what the step
    /// is parked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            hint: None,
            retry_after: None,
            waits_for: None,
        }
    }
}

/// A run: one execution of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// `run-` and a ULID; ids ascend with time.
    pub id: String,
    /// The project it belongs to.
    pub project: String,
    /// The workflow's name.
    pub workflow: String,
    /// SHA-256 of the workflow's text, hexadecimal.
    pub workflow_digest: String,
    /// The workflow's text, as it was at the start.
    pub source: String,
    /// The inputs.
    pub inputs: Value,
    /// The outputs, once it succeeded.
    pub outputs: Option<Value>,
    /// Where it is.
    pub state: RunState,
    /// Who started it.
    pub actor: String,
    /// When it was written down.
    pub created: Time,
    /// When its first step could begin.
    pub started: Option<Time>,
    /// When it ended; none exactly if its state is not a finished one.
    pub finished: Option<Time>,
    /// Why it failed.
    pub error: Option<Problem>,
    /// Whether someone asked to cancel it.
    pub cancel_requested: bool,
    /// Why someone has to look, in state needs-attention.
    pub attention: Option<String>,
    /// The run that this one repeats or belongs to.
    pub parent: Option<String>,
    /// What the one who started it says about it.
    pub labels: BTreeMap<String, String>,
}

/// How many steps of a run are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepCounts {
    /// All of them.
    pub total: u32,
    /// Succeeded, or succeeded once and compensated since.
    pub succeeded: u32,
    /// Failed, or their compensation did.
    pub failed: u32,
    /// Skipped or cancelled.
    pub skipped: u32,
    /// Being executed or compensated now.
    pub running: u32,
}

/// A run as lists show it: without the text, the inputs and the outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSummary {
    /// See [`Run::id`].
    pub id: String,
    /// See [`Run::project`].
    pub project: String,
    /// See [`Run::workflow`].
    pub workflow: String,
    /// See [`Run::state`].
    pub state: RunState,
    /// See [`Run::actor`].
    pub actor: String,
    /// See [`Run::created`].
    pub created: Time,
    /// See [`Run::started`].
    pub started: Option<Time>,
    /// See [`Run::finished`].
    pub finished: Option<Time>,
    /// See [`Run::error`].
    pub error: Option<Problem>,
    /// See [`Run::cancel_requested`].
    pub cancel_requested: bool,
    /// See [`Run::attention`].
    pub attention: Option<String>,
    /// See [`Run::parent`].
    pub parent: Option<String>,
    /// See [`Run::labels`].
    pub labels: BTreeMap<String, String>,
    /// How far its steps are.
    pub steps: StepCounts,
}

/// A plugin that a run uses, fixed at the run's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PinnedPlugin {
    /// The run.
    pub run: String,
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, hexadecimal, or `native:VERSION`.
    pub digest: String,
    /// Its file's path in the component store; empty for a native step.
    pub path: String,
}

/// A file that a run was given or made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Artifact {
    /// The run.
    pub run: String,
    /// `STEP/FILE`, or `inputs/NAME`.
    pub name: String,
    /// Where the file is.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content, hexadecimal, where it was computed.
    pub sha256: Option<String>,
}

/// A run and all that a restart needs of it, read at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDetail {
    /// The run.
    pub run: Run,
    /// Its steps, in the workflow's order.
    pub steps: Vec<StepRecord>,
    /// The latest approval of each step that has one, by step.
    pub approvals: Vec<Approval>,
    /// Its files, by name.
    pub artifacts: Vec<Artifact>,
    /// Its plugins, by id.
    pub plugins: Vec<PinnedPlugin>,
}

/// A step of a run to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewStep {
    /// The step's id, unique in its run.
    pub step: String,
    /// The digest of its plugin, one of the run's pins.
    pub plugin: Option<String>,
}

/// A plugin of a run to be created; see [`PinnedPlugin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPin {
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, or `native:VERSION`.
    pub digest: String,
    /// Its file's path in the component store.
    pub path: String,
}

/// A file of a run; see [`Artifact`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewArtifact {
    /// `STEP/FILE`, or `inputs/NAME`.
    pub name: String,
    /// Where the file is.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content, where it was computed.
    pub sha256: Option<String>,
}

/// A run to be created; see [`Run`].
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// From [`new_run_id`](crate::new_run_id).
    pub id: String,
    /// The project it belongs to.
    pub project: String,
    /// The workflow's name.
    pub workflow: String,
    /// SHA-256 of the workflow's text.
    pub workflow_digest: String,
    /// The workflow's text.
    pub source: String,
    /// The inputs.
    pub inputs: Value,
    /// Who starts it.
    pub actor: String,
    /// The run that this one repeats or belongs to.
    pub parent: Option<String>,
    /// What the one who starts it says about it.
    pub labels: BTreeMap<String, String>,
    /// Its steps, in the workflow's order.
    pub steps: Vec<NewStep>,
    /// Its plugins.
    pub plugins: Vec<NewPin>,
    /// The files among its inputs.
    pub artifacts: Vec<NewArtifact>,
    /// The claimed idempotency key of the request that starts it: the claim then
    /// names the run, so that a repetition after a crash finds it.
    pub idempotency: Option<super::IdempotencyKey>,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq)]
pub enum RunOutcome {
    /// As it should, with these outputs.
    Succeeded {
        /// The workflow's outputs.
        outputs: Value,
    },
    /// With this error.
    Failed {
        /// Why.
        error: Problem,
    },
    /// By request.
    Cancelled,
}

/// Which runs a list shows: those that fit every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunFilter {
    /// Of these projects; none for all, an empty list for no run.
    pub projects: Option<Vec<String>>,
    /// In one of these states; empty for all.
    pub states: Vec<RunState>,
    /// Of this workflow.
    pub workflow: Option<String>,
    /// Started by this user.
    pub actor: Option<String>,
    /// Belonging to this run.
    pub parent: Option<String>,
    /// Created at or after.
    pub since: Option<Time>,
    /// Created before.
    pub until: Option<Time>,
    /// Having all of these labels.
    pub labels: BTreeMap<String, String>,
}
