//! The driver's memory of its run: what the journal says, and what is about to be written.
//!
//! Every change goes through [`RunMemory::apply`] when it is decided, before it is written,
//! so that several changes of one transaction see each other. Where writing fails, the
//! memory is made anew from the store.

use super::attempt::Ended;
use crate::runs::approval;
use crate::runs::context::StopSignal;
use crate::runs::expression::Scope;
use crate::runs::problem::{code_of, problem, retry_after};
use crate::runs::retry;
use crate::runs::workflow::{CompiledStep, CompiledWorkflow};
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{
    Approval, ApprovalState, Attempt, AttemptOutcome, Change, CompensationOutcome, Event,
    PinnedPlugin, Problem, RunDetail, RunOutcome, RunState, StepRecord, StepState, Time,
    event_kind,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// What never changes while a run is driven.
#[derive(Debug)]
pub(super) struct RunFacts {
    pub(super) id: Arc<str>,
    pub(super) project: Arc<str>,
    pub(super) plugins: Vec<PinnedPlugin>,
}

/// One step.
#[derive(Debug)]
pub(super) struct StepMemory {
    pub(super) state: StepState,
    pub(super) attempt: u32,
    pub(super) failures: u32,
    pub(super) compensation_attempt: u32,
    pub(super) next_attempt_at: Option<Time>,
    /// Whether it was going on when an earlier host ended.
    pub(super) interrupted: bool,
    /// What compensation goes by, downwards: the event of the success.
    pub(super) order: i64,
    pub(super) approval: Option<Approval>,
    pub(super) plugin: Option<String>,
    pub(super) input: Option<Value>,
    /// Kept only for steps that are compensated; expressions have it in the scope.
    pub(super) output: Option<Value>,
    pub(super) error: Option<Problem>,
}

/// A run.
pub(super) struct RunMemory {
    pub(super) facts: Arc<RunFacts>,
    pub(super) workflow: Arc<CompiledWorkflow>,
    pub(super) state: RunState,
    pub(super) cancel_requested: bool,
    pub(super) error: Option<Problem>,
    pub(super) steps: Vec<StepMemory>,
    pub(super) scope: Scope,
    /// Tells calls of this driver that the run is cancelled.
    pub(super) stop: StopSignal,
    /// The next number for a success whose event is not written yet.
    unwritten: i64,
}

/// Above every event's id.
const UNWRITTEN: i64 = i64::MAX / 2;

impl RunMemory {
    /// What the store says.
    ///
    /// # Errors
    /// Where the record does not fit the workflow.
    pub(super) fn new(workflow: Arc<CompiledWorkflow>, detail: RunDetail) -> Result<Self, Problem> {
        let fits = workflow.steps.len() == detail.steps.len()
            && workflow
                .steps
                .iter()
                .zip(&detail.steps)
                .all(|(step, record)| step.id == record.step);
        if !fits {
            return Err(problem(
                ErrorCode::Corrupt,
                "the steps in the run's record are not those of its workflow; restore the database from a backup, or cancel the run",
            ));
        }
        let mut memory = Self {
            facts: Arc::new(RunFacts {
                id: detail.run.id.as_str().into(),
                project: detail.run.project.as_str().into(),
                plugins: detail.plugins.clone(),
            }),
            scope: Scope::new(&detail.run.inputs),
            steps: Vec::with_capacity(workflow.steps.len()),
            workflow,
            state: detail.run.state,
            cancel_requested: detail.run.cancel_requested,
            error: None,
            stop: StopSignal::default(),
            unwritten: UNWRITTEN,
        };
        memory.read(detail, |_| false);
        Ok(memory)
    }

    /// Takes over what the store says now; `going_on` are the steps with a task.
    pub(super) fn reread(&mut self, detail: RunDetail, going_on: impl Iterator<Item = usize>) {
        let going_on: Vec<usize> = going_on.collect();
        self.read(detail, |step| going_on.contains(&step));
    }

    fn read(&mut self, detail: RunDetail, going_on: impl Fn(usize) -> bool) {
        self.state = detail.run.state;
        self.cancel_requested = detail.run.cancel_requested;
        self.error = detail.run.error;
        self.steps.clear();
        let mut approvals = detail.approvals;
        for (index, record) in detail.steps.into_iter().enumerate() {
            let approval = approvals
                .iter()
                .position(|approval| approval.step == record.step)
                .map(|position| approvals.swap_remove(position));
            let keeps_output = self
                .workflow
                .steps
                .get(index)
                .is_some_and(|step| step.compensate);
            match (&record.output, record.state) {
                (_, StepState::Skipped) => self.scope.set_outputs(&record.step, &json!({})),
                (Some(output), StepState::Pending | StepState::Retrying) if output.is_null() => {
                    self.scope.clear_outputs(&record.step);
                }
                (Some(output), _) => self.scope.set_outputs(&record.step, output),
                (None, _) => self.scope.clear_outputs(&record.step),
            }
            self.steps.push(StepMemory::of(
                record,
                approval,
                keeps_output,
                going_on(index),
            ));
        }
    }

    fn index(&self, step: &str) -> Option<usize> {
        self.workflow.index(step)
    }

    fn step_mut(&mut self, step: &str) -> Option<&mut StepMemory> {
        let index = self.index(step)?;
        self.steps.get_mut(index)
    }

    fn is_compensated(&self, step: &str) -> bool {
        self.index(step)
            .and_then(|index| self.workflow.steps.get(index))
            .is_some_and(|step| step.compensate)
    }

    /// Whether an attempt of an earlier host has not ended.
    pub(super) fn has_interrupted(&self) -> bool {
        self.steps
            .iter()
            .any(|step| step.interrupted && step.state == StepState::Running)
    }

    /// The pinned plugin of a step.
    pub(super) fn plugin_of(&self, step: &str) -> Option<&PinnedPlugin> {
        let digest = self.steps.get(self.index(step)?)?.plugin.as_ref()?;
        let id = &self.workflow.steps.get(self.index(step)?)?.uses.id;
        self.facts
            .plugins
            .iter()
            .find(|plugin| plugin.digest == *digest && plugin.id == *id)
    }

    /// A step with its definition.
    pub(super) fn step(&self, index: usize) -> Option<(&CompiledStep, &StepMemory)> {
        Some((self.workflow.steps.get(index)?, self.steps.get(index)?))
    }

    /// Whether the run is being cancelled and not yet compensated.
    pub(super) fn is_cancelling(&self) -> bool {
        self.cancel_requested && self.state != RunState::Compensating
    }

    /// Whether all that a step waits for has ended well.
    pub(super) fn is_ready(&self, index: usize) -> bool {
        self.workflow.graph.needs(index).iter().all(|need| {
            self.steps
                .get(*need)
                .is_some_and(|step| matches!(step.state, StepState::Succeeded | StepState::Skipped))
        })
    }

    /// When the next attempt that waits for its time may begin.
    pub(super) fn next_timer(&self) -> Option<Time> {
        if self.is_cancelling() {
            return None;
        }
        self.steps
            .iter()
            .filter(|step| step.state == StepState::Retrying)
            .filter_map(|step| step.next_attempt_at)
            .min()
    }

    /// Why the run fails, where a step has failed.
    pub(super) fn failure(&self) -> Option<Problem> {
        let (step, error) = self
            .workflow
            .steps
            .iter()
            .zip(&self.steps)
            .find(|(_, memory)| memory.state == StepState::Failed)
            .map(|(step, memory)| (step, memory.error.as_ref()))?;
        Some(match error {
            Some(error) => Problem {
                message: format!("step `{}` failed: {}", step.id, error.message),
                retry_after: None,
                ..error.clone()
            },
            None => problem(ErrorCode::Other, format!("step `{}` failed", step.id)),
        })
    }

    /// Whether a compensation is parked: those of the steps before it wait for it.
    pub(super) fn is_parked_undoing(&self) -> bool {
        self.steps.iter().any(StepMemory::is_parked_undoing)
    }

    /// Why undoing went wrong, where it did.
    pub(super) fn compensation_failure(&self) -> Option<Problem> {
        self.workflow
            .steps
            .iter()
            .zip(&self.steps)
            .find(|(_, memory)| memory.state == StepState::CompensationFailed)
            .map(|(step, memory)| {
                let (code, why) = match &memory.error {
                    Some(error) => (code_of(&error.code), error.message.as_str()),
                    None => (ErrorCode::Other, "no reason is known"),
                };
                problem(
                    code,
                    format!("step `{}` could not be compensated: {why}", step.id),
                )
            })
    }

    /// The approved digest, where what is about to be executed is what was approved: the
    /// recorded plan is part of what is digested, so that a changed record counts too.
    pub(super) fn approved(&self, index: usize, input: &Value) -> Option<String> {
        let (step, memory) = self.step(index)?;
        let approval = memory.approval.as_ref()?;
        if approval.state != ApprovalState::Approved {
            return None;
        }
        let plugin = memory.plugin.as_deref().unwrap_or_default();
        let digest = approval::digest(&step.id, plugin, input, &approval.plan);
        (digest == approval.digest).then_some(digest)
    }

    /// What a planning call came to.
    pub(super) fn planned(&self, index: usize, ended: Ended) -> Option<Change> {
        let (step, memory) = self.step(index)?;
        let step = step.id.clone();
        let active = memory.state == StepState::Running;
        let attempt = memory.attempt;
        let end = |outcome| Change::End {
            step: step.clone(),
            attempt,
            outcome,
        };
        match ended {
            // Nobody is asked about a step of a run that does not go forward.
            _ if self.is_cancelling() || self.failure().is_some() => None,
            Ended::Planned {
                input,
                digest,
                plan,
            } => Some(Change::RequestApproval {
                step,
                input,
                digest,
                plan,
            }),
            Ended::Failed(error) | Ended::Crashed(error, _) if active => {
                Some(end(AttemptOutcome::Failed { error }))
            }
            Ended::Failed(error) | Ended::Crashed(error, _) => Some(Change::Fail { step, error }),
            Ended::Parked(error) if active => Some(end(AttemptOutcome::NeedsAttention { error })),
            Ended::Parked(error) => Some(Change::Park { step, error }),
            Ended::Executed(_) | Ended::Compensated | Ended::Stopped => None,
        }
    }

    /// What an attempt came to.
    pub(super) fn executed(&self, index: usize, attempt: u32, ended: Ended) -> Option<Change> {
        let (step, memory) = self.step(index)?;
        let outcome = match ended {
            Ended::Executed(output) => AttemptOutcome::Succeeded { output },
            Ended::Parked(error) => AttemptOutcome::NeedsAttention { error },
            Ended::Failed(_) | Ended::Crashed(..) if self.is_cancelling() => {
                AttemptOutcome::Cancelled
            }
            Ended::Crashed(error, policy) => {
                let failures = memory.failures.saturating_add(1);
                let wait = self
                    .failure()
                    .is_none()
                    .then(|| retry::wait(&policy, failures, None, retry::chance()))
                    .flatten();
                match wait {
                    Some(wait) => AttemptOutcome::Retry {
                        error,
                        at: Time::now().plus(wait),
                    },
                    None => AttemptOutcome::Failed { error },
                }
            }
            Ended::Failed(error) => {
                let after = retry_after(&error);
                let wait = (self.failure().is_none()
                    && retry::is_retryable(code_of(&error.code), after))
                .then(|| {
                    let failures = memory.failures.saturating_add(1);
                    retry::wait(&step.retry, failures, after, retry::chance())
                })
                .flatten();
                match wait {
                    Some(wait) => AttemptOutcome::Retry {
                        error,
                        at: Time::now().plus(wait),
                    },
                    None => AttemptOutcome::Failed { error },
                }
            }
            Ended::Planned { .. } | Ended::Compensated | Ended::Stopped => {
                AttemptOutcome::Cancelled
            }
        };
        Some(Change::End {
            step: step.id.clone(),
            attempt,
            outcome,
        })
    }

    /// What a compensation came to.
    pub(super) fn compensated(&self, index: usize, attempt: u32, ended: Ended) -> Option<Change> {
        let (step, _) = self.step(index)?;
        let outcome = match ended {
            Ended::Parked(error) => CompensationOutcome::NeedsAttention { error },
            Ended::Failed(error) | Ended::Crashed(error, _) => {
                CompensationOutcome::Failed { error }
            }
            Ended::Stopped => CompensationOutcome::Failed {
                error: problem(
                    ErrorCode::Cancelled,
                    "the compensation was stopped before it ended",
                ),
            },
            Ended::Planned { .. } | Ended::Executed(_) | Ended::Compensated => {
                CompensationOutcome::Compensated
            }
        };
        Some(Change::EndCompensation {
            step: step.id.clone(),
            attempt,
            outcome,
        })
    }

    /// Takes in a change that is about to be written.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Run { state, error, .. } => {
                self.state = *state;
                if error.is_some() {
                    self.error.clone_from(error);
                }
            }
            Change::Finish(outcome) => {
                self.state = match outcome {
                    RunOutcome::Succeeded { .. } => RunState::Succeeded,
                    RunOutcome::Failed { .. } => RunState::Failed,
                    RunOutcome::Cancelled => RunState::Cancelled,
                };
            }
            Change::Begin(Attempt { step, input, .. }) => {
                let keeps = self.is_compensated(step);
                if let Some(memory) = self.step_mut(step) {
                    memory.input = keeps.then(|| input.clone());
                    memory.state = StepState::Running;
                    memory.attempt = memory.attempt.saturating_add(1);
                    memory.interrupted = false;
                    memory.next_attempt_at = None;
                    memory.error = None;
                }
            }
            Change::End { step, outcome, .. } => self.apply_end(step, outcome),
            Change::Fail { step, error } => self.settle(step, StepState::Failed, Some(error)),
            Change::Skip { step, .. } => {
                self.settle(step, StepState::Skipped, None);
                self.scope.set_outputs(step, &json!({}));
            }
            Change::Cancel { step } => self.give_up(step),
            Change::Park { step, error } => {
                self.settle(step, StepState::NeedsAttention, Some(error));
            }
            Change::RequestApproval { step, .. } => {
                self.settle(step, StepState::WaitingApproval, None);
                if let Some(memory) = self.step_mut(step) {
                    memory.approval = None;
                }
            }
            Change::BeginCompensation { step, .. } => {
                if let Some(memory) = self.step_mut(step) {
                    memory.state = StepState::Compensating;
                    memory.compensation_attempt = memory.compensation_attempt.saturating_add(1);
                    memory.interrupted = false;
                }
            }
            Change::EndCompensation { step, outcome, .. } => match outcome {
                CompensationOutcome::Compensated => {
                    self.settle(step, StepState::Compensated, None);
                }
                CompensationOutcome::Failed { error } => {
                    self.settle(step, StepState::CompensationFailed, Some(error));
                }
                CompensationOutcome::NeedsAttention { error } => {
                    self.settle(step, StepState::NeedsAttention, Some(error));
                }
            },
        }
    }

    fn apply_end(&mut self, step: &str, outcome: &AttemptOutcome) {
        match outcome {
            AttemptOutcome::Succeeded { output } => {
                self.scope.set_outputs(step, output);
                self.settle(step, StepState::Succeeded, None);
                let order = self.unwritten;
                self.unwritten = self.unwritten.saturating_add(1);
                let keeps = self.is_compensated(step);
                if let Some(memory) = self.step_mut(step) {
                    memory.order = order;
                    memory.output = keeps.then(|| output.clone());
                }
            }
            AttemptOutcome::Failed { error } => self.settle(step, StepState::Failed, Some(error)),
            AttemptOutcome::Retry { error, at } => {
                self.settle(step, StepState::Retrying, Some(error));
                if let Some(memory) = self.step_mut(step) {
                    memory.failures = memory.failures.saturating_add(1);
                    memory.next_attempt_at = Some(*at);
                }
            }
            AttemptOutcome::Cancelled => self.settle(step, StepState::Cancelled, None),
            AttemptOutcome::NeedsAttention { error } => {
                self.settle(step, StepState::NeedsAttention, Some(error));
            }
        }
    }

    fn give_up(&mut self, step: &str) {
        let undoing = self
            .step_mut(step)
            .filter(|memory| memory.is_parked_undoing())
            .map(|memory| memory.error.clone());
        match undoing {
            Some(error) => self.settle(step, StepState::CompensationFailed, error.as_ref()),
            None => self.settle(step, StepState::Cancelled, None),
        }
    }

    fn settle(&mut self, step: &str, state: StepState, error: Option<&Problem>) {
        if let Some(memory) = self.step_mut(step) {
            memory.state = state;
            memory.interrupted = false;
            memory.next_attempt_at = None;
            memory.error = error.cloned();
        }
    }

    /// Takes in the events of what was written.
    pub(super) fn confirm(&mut self, events: &[Event]) {
        for event in events {
            if event.kind == event_kind::STEP_SUCCEEDED
                && let Some(step) = &event.step
                && let Some(memory) = self.step_mut(step)
            {
                memory.order = event.id;
            }
        }
    }
}

impl StepMemory {
    /// Whether it is its compensation that is parked.
    pub(super) fn is_parked_undoing(&self) -> bool {
        self.state == StepState::NeedsAttention && self.order > 0
    }

    fn of(
        record: StepRecord,
        approval: Option<Approval>,
        keeps_output: bool,
        going_on: bool,
    ) -> Self {
        Self {
            state: record.state,
            attempt: record.attempt,
            failures: record.failures,
            compensation_attempt: record.compensation_attempt,
            next_attempt_at: record.next_attempt_at,
            interrupted: record.state.is_active() && !going_on,
            order: record.succeeded_event.unwrap_or_default(),
            approval,
            plugin: record.plugin,
            input: record.input,
            output: record.output.filter(|_| keeps_output),
            error: record.error,
        }
    }
}
