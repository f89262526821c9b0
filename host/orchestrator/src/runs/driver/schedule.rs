//! What can be done now.

use super::attempt::{Work, WorkKind};
use super::state::{RunMemory, StepMemory};
use crate::runs::problem::problem;
use cofferdam_contract::kinds::MOST_STEP_JSON;
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{
    Attempt, AttemptOutcome, Change, Problem, RunOutcome, RunState, StepState, Time,
};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is to be written, and what begins once it is.
#[derive(Default)]
pub(super) struct Next {
    /// Changes that the memory has taken in already.
    pub(super) changes: Vec<Change>,
    /// What begins then.
    pub(super) launches: Vec<Work>,
    /// Whether a step could begin and all rights to execute one are taken.
    pub(super) waits_for_slot: bool,
}

/// Works out what is next.
pub(super) struct Scheduler<'a> {
    /// What is known; changes are taken in at once.
    pub(super) memory: &'a mut RunMemory,
    /// The steps with a task.
    pub(super) going_on: Vec<usize>,
    /// A right to execute a step that is held already.
    pub(super) spare: Option<OwnedSemaphorePermit>,
    /// Where such rights come from.
    pub(super) slots: &'a Arc<Semaphore>,
    /// The time.
    pub(super) now: Time,
    /// What was found.
    pub(super) next: Next,
}

impl Scheduler<'_> {
    /// What is next.
    pub(super) fn next(mut self) -> Next {
        match self.memory.state {
            RunState::Compensating => self.compensate(),
            // It waits for the plugin of a compensation, also where it failed or was cancelled.
            RunState::NeedsAttention if self.memory.is_parked_undoing() => {}
            _ if self.memory.cancel_requested => self.cancel(),
            RunState::Succeeded | RunState::Failed | RunState::Cancelled => {}
            // Goes on only after somebody resumed it, or decided that a step fails.
            RunState::NeedsAttention => {
                if let Some(failure) = self.memory.failure() {
                    self.fail(failure);
                }
            }
            RunState::Pending
            | RunState::Running
            | RunState::WaitingApproval
            | RunState::Cancelling => self.forward(),
        }
        self.next
    }

    fn change(&mut self, change: Change) {
        self.memory.apply(&change);
        self.next.changes.push(change);
    }

    fn is_busy(&self) -> bool {
        !self.going_on.is_empty() || !self.next.launches.is_empty()
    }

    fn permit(&mut self) -> Option<OwnedSemaphorePermit> {
        let permit = self
            .spare
            .take()
            .or_else(|| Arc::clone(self.slots).try_acquire_owned().ok());
        self.next.waits_for_slot |= permit.is_none();
        permit
    }

    fn forward(&mut self) {
        if self.memory.state == RunState::Pending {
            self.change(run_becomes(RunState::Running));
        }
        // A step that is skipped may make another ready that stands before it in the file.
        while self.memory.failure().is_none() && self.pass() {}
        if let Some(failure) = self.memory.failure() {
            self.fail(failure);
        } else if !self.is_busy() {
            self.settle();
        }
    }

    /// Begins what can begin; says whether another look may find more.
    fn pass(&mut self) -> bool {
        let mut skipped = false;
        for index in 0..self.memory.steps.len() {
            if self.going_on.contains(&index) {
                continue;
            }
            let Some((_, step)) = self.memory.step(index) else {
                continue;
            };
            let begins = match step.state {
                StepState::Pending => self.memory.is_ready(index),
                StepState::Retrying => step.next_attempt_at.is_none_or(|at| at <= self.now),
                StepState::Running => step.interrupted,
                _ => false,
            };
            if begins {
                skipped |= self.begin(index);
                if self.memory.failure().is_some() {
                    return false;
                }
            }
        }
        skipped
    }

    /// Begins a step, skips it, or has it fail; says whether it was skipped.
    fn begin(&mut self, index: usize) -> bool {
        let Some((step, memory)) = self.memory.step(index) else {
            return false;
        };
        let id = step.id.clone();
        if memory.state == StepState::Pending
            && let Some(condition) = &step.condition
        {
            match condition.truth(&self.memory.scope) {
                Ok(true) => {}
                Ok(false) => {
                    self.change(Change::Skip {
                        step: id,
                        reason: "its condition (`if`) is not true".to_owned(),
                    });
                    return true;
                }
                Err(error) => {
                    self.fail_step(index, problem(ErrorCode::Invalid, format!("`if`: {error}")));
                    return false;
                }
            }
        }
        let input = match step.with.resolve(&self.memory.scope) {
            Ok(input) => input,
            Err(error) => {
                self.fail_step(
                    index,
                    problem(ErrorCode::Invalid, format!("`with`: {error}")),
                );
                return false;
            }
        };
        let text = input.to_string();
        if text.len() > MOST_STEP_JSON {
            self.fail_step(
                index,
                problem(
                    ErrorCode::Limit,
                    format!(
                        "the input has {} bytes, more than the {MOST_STEP_JSON} that a step can be given; hand it over as a file",
                        text.len()
                    ),
                ),
            );
            return false;
        }
        let interrupted = memory.interrupted;
        // What follows from the run's inputs alone was checked when the run started.
        let validate = memory.attempt == 0 && step.is_dynamic;
        let needs_approval = !step.approval.is_unneeded();
        let digest = if needs_approval {
            self.memory.approved(index, &input)
        } else {
            None
        };
        let Some(permit) = self.permit() else {
            return false;
        };
        let kind = if needs_approval && digest.is_none() {
            WorkKind::Plan
        } else {
            self.change(Change::Begin(Attempt {
                step: id,
                input,
                digest,
                interrupted,
            }));
            WorkKind::Execute
        };
        self.going_on.push(index);
        self.next.launches.push(Work {
            step: index,
            kind,
            input: text,
            validate,
            output: None,
            permit: Some(permit),
        });
        false
    }

    fn fail_step(&mut self, index: usize, error: Problem) {
        let Some((step, memory)) = self.memory.step(index) else {
            return;
        };
        let step = step.id.clone();
        let change = if memory.state == StepState::Running {
            Change::End {
                step,
                attempt: memory.attempt,
                outcome: AttemptOutcome::Failed { error },
            }
        } else {
            Change::Fail { step, error }
        };
        self.change(change);
    }

    /// Nothing goes on and nothing can begin: the run ends or waits.
    fn settle(&mut self) {
        let has = |state: StepState| self.memory.steps.iter().any(|step| step.state == state);
        if has(StepState::Retrying) || self.next.waits_for_slot {
            return;
        }
        if has(StepState::WaitingApproval) {
            if self.memory.state != RunState::WaitingApproval {
                self.change(run_becomes(RunState::WaitingApproval));
            }
        } else if has(StepState::NeedsAttention) {
            self.park();
        } else {
            match self.outputs() {
                Ok(outputs) => self.change(Change::Finish(RunOutcome::Succeeded { outputs })),
                Err(error) => self.wind_up(error),
            }
        }
    }

    /// The run needs attention: nothing more begins before somebody resumes or cancels it,
    /// or what it waits for is back.
    fn park(&mut self) {
        if self.memory.state != RunState::NeedsAttention {
            let attention = self.attention();
            self.change(Change::Run {
                state: RunState::NeedsAttention,
                attention: Some(attention),
                error: None,
            });
        }
    }

    fn attention(&self) -> String {
        let parked: Vec<String> = self
            .memory
            .workflow
            .steps
            .iter()
            .zip(&self.memory.steps)
            .filter(|(_, memory)| memory.state == StepState::NeedsAttention)
            .map(|(step, memory)| {
                let why = memory
                    .error
                    .as_ref()
                    .map_or("no reason is known", |error| error.message.as_str());
                format!("step `{}`: {why}", step.id)
            })
            .collect();
        parked.join("; ")
    }

    fn outputs(&self) -> Result<Value, Problem> {
        let mut outputs = Map::new();
        for (name, template) in &self.memory.workflow.outputs {
            let value = template.resolve(&self.memory.scope).map_err(|error| {
                problem(
                    ErrorCode::Invalid,
                    format!(
                        "all steps ended well, but the output `{name}` cannot be made: {error}"
                    ),
                )
            })?;
            outputs.insert(name.clone(), value);
        }
        Ok(Value::Object(outputs))
    }

    /// The run fails: nothing more begins, and once nothing goes on it is wound up.
    fn fail(&mut self, failure: Problem) {
        let given_up: Vec<String> = self
            .steps_in(&[StepState::Retrying, StepState::WaitingApproval])
            .into_iter()
            .filter(|(index, _)| !self.going_on.contains(index))
            .map(|(_, step)| step)
            .collect();
        for step in given_up {
            self.change(Change::Cancel { step });
        }
        if !self.is_busy() {
            self.end_interrupted();
            self.wind_up(failure);
        }
    }

    fn steps_in(&self, states: &[StepState]) -> Vec<(usize, String)> {
        self.memory
            .workflow
            .steps
            .iter()
            .zip(&self.memory.steps)
            .enumerate()
            .filter(|(_, (_, memory))| states.contains(&memory.state))
            .map(|(index, (step, _))| (index, step.id.clone()))
            .collect()
    }

    /// Attempts of an earlier host that are not made again have ended.
    fn end_interrupted(&mut self) {
        for (index, step) in self.steps_in(&[StepState::Running]) {
            if let Some((_, memory)) = self.memory.step(index) {
                let attempt = memory.attempt;
                self.change(Change::End {
                    step,
                    attempt,
                    outcome: AttemptOutcome::Cancelled,
                });
            }
        }
    }

    /// Nothing goes on: compensates, or ends as failed.
    fn wind_up(&mut self, failure: Problem) {
        if self.next_compensation().is_none() {
            self.change(Change::Finish(RunOutcome::Failed { error: failure }));
            return;
        }
        self.change(Change::Run {
            state: RunState::Compensating,
            attention: None,
            error: Some(failure),
        });
        self.compensate();
    }

    /// The run is cancelled: once nothing goes on it is compensated and ends.
    fn cancel(&mut self) {
        if self.is_busy() {
            return;
        }
        self.end_interrupted();
        if self.memory.state != RunState::Cancelling {
            self.change(run_becomes(RunState::Cancelling));
        }
        // Whoever cancels a run whose compensation is parked does without that one.
        for (index, step) in self.steps_in(&[StepState::NeedsAttention]) {
            let undoing = |(_, memory): (_, &StepMemory)| memory.is_parked_undoing();
            if self.memory.step(index).is_some_and(undoing) {
                self.change(Change::Cancel { step });
            }
        }
        if self.next_compensation().is_none() && self.memory.compensation_failure().is_none() {
            self.change(Change::Finish(RunOutcome::Cancelled));
            return;
        }
        self.change(run_becomes(RunState::Compensating));
        self.compensate();
    }

    /// The step that is compensated next: one that was interrupted, else the last that
    /// succeeded.
    fn next_compensation(&self) -> Option<usize> {
        let compensates = |index: &usize| {
            self.memory.step(*index).is_some_and(|(step, memory)| {
                step.compensate
                    && (memory.state == StepState::Succeeded
                        || (memory.state == StepState::Compensating && memory.interrupted))
            })
        };
        (0..self.memory.steps.len())
            .filter(compensates)
            .max_by_key(|index| {
                self.memory
                    .steps
                    .get(*index)
                    .map(|memory| (memory.interrupted, memory.order))
            })
    }

    fn compensate(&mut self) {
        if self.is_busy() {
            return;
        }
        if self.memory.is_parked_undoing() {
            return self.park();
        }
        let Some(index) = self.next_compensation() else {
            let outcome = match self.memory.compensation_failure() {
                Some(error) => RunOutcome::Failed {
                    error: self.memory.error.clone().map_or_else(
                        || error.clone(),
                        |first| Problem {
                            message: format!("{}; {}", first.message, error.message),
                            ..first
                        },
                    ),
                },
                None if self.memory.cancel_requested => RunOutcome::Cancelled,
                None => RunOutcome::Failed {
                    error: self
                        .memory
                        .error
                        .clone()
                        .or_else(|| self.memory.failure())
                        .unwrap_or_else(|| problem(ErrorCode::Other, "the run failed")),
                },
            };
            self.change(Change::Finish(outcome));
            return;
        };
        let Some(permit) = self.permit() else {
            return;
        };
        let Some((step, memory)) = self.memory.step(index) else {
            return;
        };
        let (step, interrupted) = (step.id.clone(), memory.interrupted);
        let input = memory
            .input
            .as_ref()
            .map_or_else(|| "{}".to_owned(), Value::to_string);
        let output = memory.output.as_ref().map(Value::to_string);
        self.change(Change::BeginCompensation { step, interrupted });
        self.going_on.push(index);
        self.next.launches.push(Work {
            step: index,
            kind: WorkKind::Compensate,
            input,
            validate: false,
            output,
            permit: Some(permit),
        });
    }
}

fn run_becomes(state: RunState) -> Change {
    Change::Run {
        state,
        attention: None,
        error: None,
    }
}
