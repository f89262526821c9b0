//! One step of a run's or a step's life: read where it is, refuse what must not be,
//! write where it is now, and its event.

use rusqlite::params;
use serde_json::{Map, Value, json};

use crate::error::Within;
use crate::event_kind;
use crate::journal::Journal;
use crate::sql::{Json, change, first};
use crate::store::Tx;
use crate::{ApprovalState, Problem, RunState, StepState, StoreError};

/// What decides about a run's changes.
#[derive(Clone, Debug)]
pub(super) struct RunHead {
    pub(super) id: String,
    pub(super) project: String,
    pub(super) state: RunState,
    pub(super) cancel_requested: bool,
    pub(super) started: bool,
}

impl RunHead {
    pub(super) fn read(tx: &Tx<'_>, run: &str) -> Within<Self> {
        let head = first(
            tx,
            "SELECT project, state, cancel_requested, started IS NOT NULL FROM runs WHERE id = ?1",
            [run],
            |row| {
                Ok(Self {
                    id: run.to_owned(),
                    project: row.get(0)?,
                    state: row.get(1)?,
                    cancel_requested: row.get(2)?,
                    started: row.get(3)?,
                })
            },
        )?;
        Ok(head.ok_or_else(|| StoreError::not_found("run", run))?)
    }

    pub(super) fn conflict(&self, why: impl Into<String>) -> StoreError {
        StoreError::conflict("run", &self.id, why)
    }

    /// Refuses what only a run that has not ended allows.
    pub(super) fn require_unfinished(&self) -> Within<()> {
        if self.state.is_finished() {
            return Err(self
                .conflict(format!("it has ended ({})", self.state))
                .into());
        }
        Ok(())
    }

    /// Refuses new attempts where the run does not go forward.
    pub(super) fn require_forward(&self, what: &str) -> Within<()> {
        if self.cancel_requested
            || !matches!(self.state, RunState::Running | RunState::WaitingApproval)
        {
            let asked = if self.cancel_requested {
                " and was asked to cancel"
            } else {
                ""
            };
            return Err(self
                .conflict(format!(
                    "it is {}{asked}, so {what} is not allowed",
                    self.state
                ))
                .into());
        }
        Ok(())
    }

    /// Writes that the run is now `state`.
    pub(super) fn become_state(
        &mut self,
        tx: &Tx<'_>,
        journal: &mut Journal<'_>,
        state: RunState,
        kind: Option<&str>,
        data: Value,
    ) -> Within<()> {
        if !self.state.may_become(state) {
            return Err(self
                .conflict(format!("it is {} and cannot become {state}", self.state))
                .into());
        }
        let starts = state == RunState::Running && !self.started;
        change(
            tx,
            "UPDATE runs SET state = ?2, attention = NULL,
                 started = CASE WHEN ?3 THEN ?4 ELSE started END,
                 finished = CASE WHEN ?5 THEN ?4 ELSE NULL END
             WHERE id = ?1",
            params![self.id, state, starts, tx.now, state.is_finished()],
        )?;
        let kind = match kind {
            Some(kind) => kind,
            None if starts => event_kind::RUN_STARTED,
            None => event_kind::of_run(state),
        };
        journal.write(tx, None, None, kind, data)?;
        self.state = state;
        self.started |= starts;
        Ok(())
    }
}

/// What decides about a step's changes.
#[derive(Clone, Debug)]
pub(super) struct StepHead {
    pub(super) run: String,
    pub(super) step: String,
    pub(super) state: StepState,
    pub(super) attempt: u32,
    pub(super) compensation_attempt: u32,
    pub(super) succeeded: bool,
}

impl StepHead {
    pub(super) fn read(tx: &Tx<'_>, run: &str, step: &str) -> Within<Self> {
        let head = first(
            tx,
            "SELECT state, attempt, compensation_attempt, succeeded_event IS NOT NULL
             FROM steps WHERE run = ?1 AND step = ?2",
            [run, step],
            |row| {
                Ok(Self {
                    run: run.to_owned(),
                    step: step.to_owned(),
                    state: row.get(0)?,
                    attempt: row.get(1)?,
                    compensation_attempt: row.get(2)?,
                    succeeded: row.get(3)?,
                })
            },
        )?;
        Ok(head.ok_or_else(|| StoreError::not_found("step", format!("{run}/{step}")))?)
    }

    pub(super) fn conflict(&self, why: impl Into<String>) -> StoreError {
        StoreError::conflict("step", format!("{}/{}", self.run, self.step), why)
    }

    /// Refuses a way that no step may go.
    pub(super) fn require(&self, next: StepState) -> Within<()> {
        if self.state.may_become(next) {
            Ok(())
        } else {
            Err(self
                .conflict(format!("it is {} and cannot become {next}", self.state))
                .into())
        }
    }

    /// Whether it is its compensation that is parked: what was parked while it was executed
    /// has not succeeded.
    pub(super) fn is_parked_undoing(&self) -> bool {
        self.state == StepState::NeedsAttention && self.succeeded
    }

    /// Writes that the step ended, is parked or is to be tried again.
    pub(super) fn settle(
        &mut self,
        tx: &Tx<'_>,
        journal: &mut Journal<'_>,
        settled: Settled<'_>,
    ) -> Within<()> {
        self.require(settled.state)?;
        if self.state == StepState::WaitingApproval {
            self.withdraw_approval(tx, journal)?;
        }
        let kind = event_kind::of_step(settled.state);
        let undoing = self.state == StepState::Compensating || self.is_parked_undoing();
        let attempt = if undoing {
            self.compensation_attempt
        } else {
            self.attempt
        };
        let event = journal.write(
            tx,
            Some(&self.step),
            (attempt > 0).then_some(attempt),
            kind,
            settled.data,
        )?;
        let succeeds = settled.state == StepState::Succeeded;
        change(
            tx,
            "UPDATE steps SET state = ?3, error = ?4, next_attempt_at = ?5,
                 failures = failures + ?6,
                 output = CASE WHEN ?7 THEN ?8 ELSE output END,
                 succeeded_event = CASE WHEN ?7 THEN ?9 ELSE succeeded_event END,
                 finished = CASE WHEN ?12 THEN coalesce(finished, ?11)
                     WHEN ?10 THEN ?11 ELSE NULL END
             WHERE run = ?1 AND step = ?2",
            params![
                self.run,
                self.step,
                settled.state,
                settled.error.map(Json),
                settled.next_attempt_at,
                settled.counts_as_failure,
                succeeds,
                settled.output.map(Json),
                event,
                settled.state.is_finished(),
                tx.now,
                undoing,
            ],
        )?;
        self.state = settled.state;
        self.succeeded |= succeeds;
        Ok(())
    }

    /// Writes that nobody is asked any more to approve the step's plan.
    fn withdraw_approval(&self, tx: &Tx<'_>, journal: &mut Journal<'_>) -> Within<()> {
        let withdrawn = change(
            tx,
            "UPDATE approvals SET state = ?3, decided = ?4
             WHERE run = ?1 AND step = ?2 AND state = 'pending'",
            params![self.run, self.step, ApprovalState::Withdrawn, tx.now],
        )?;
        if withdrawn > 0 {
            journal.write(
                tx,
                Some(&self.step),
                None,
                event_kind::APPROVAL_WITHDRAWN,
                json!({}),
            )?;
        }
        Ok(())
    }
}

/// Where a step is after something ended, and why.
pub(super) struct Settled<'a> {
    pub(super) state: StepState,
    pub(super) error: Option<&'a Problem>,
    pub(super) output: Option<&'a Value>,
    pub(super) next_attempt_at: Option<crate::Time>,
    pub(super) counts_as_failure: bool,
    pub(super) data: Value,
}

impl<'a> Settled<'a> {
    /// In `state`, for no error.
    pub(super) fn plainly(state: StepState) -> Self {
        Self {
            state,
            error: None,
            output: None,
            next_attempt_at: None,
            counts_as_failure: false,
            data: Value::Object(Map::new()),
        }
    }

    /// In `state`, because of `error`.
    pub(super) fn because(state: StepState, error: &'a Problem) -> Self {
        Self {
            error: Some(error),
            data: json!({ "error": error }),
            ..Self::plainly(state)
        }
    }
}
