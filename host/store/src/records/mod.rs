//! The records that go in and come out. In JSON their fields are snake_case, their
//! enumerations kebab-case, and their times RFC 3339.

mod audit;
mod identity;
mod journal;
mod plugin;
mod run;
mod secret;
mod step;
mod workflow;

pub use audit::{AuditFilter, AuditRecord, IdempotencyClaim, IdempotencyKey, KeptAnswer, NewAudit};
pub use identity::{
    EffectiveRole, Grant, GrantFilter, NewGrant, NewToken, Role, RoleBinding, Token, User,
};
pub use journal::{
    Event, EventFilter, LogFilter, LogLevel, LogLine, NewLogLine, Operation, OperationBegun,
    OperationState,
};
pub use plugin::{
    Activation, ActivationOutcome, Cause, Crash, NewActivation, NewPluginVersion, PluginVersion,
    Quarantine, Stage, VersionName,
};
pub use run::{
    Artifact, NewArtifact, NewPin, NewRun, NewStep, PinnedPlugin, Problem, Run, RunDetail,
    RunFilter, RunOutcome, RunState, RunSummary, StepCounts,
};
pub use secret::SecretInfo;
pub use step::{
    Approval, ApprovalFilter, ApprovalState, Attempt, AttemptOutcome, Change, CompensationOutcome,
    Decision, StepRecord, StepState,
};
pub use workflow::SavedWorkflow;
