//! The changes that the engine makes while it executes a run.

use rusqlite::params;
use serde_json::{Value, json};

use super::transition::{RunHead, Settled, StepHead};
use crate::error::Within;
use crate::event_kind;
use crate::journal::Journal;
use crate::sql::{Json, all, change, first};
use crate::store::Tx;
use crate::{
    ApprovalState, Attempt, AttemptOutcome, Change, CompensationOutcome, Durability, Event,
    Problem, RunOutcome, RunState, StepState, Store, StoreError,
};

impl Store {
    /// Makes several changes of one run, in order, in one transaction: all of them, or
    /// none. Says the events that were written.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the run's or the step's state does not allow a
    /// change, [`StoreError::NotFound`], and those of every write.
    pub fn advance(
        &self,
        run: &str,
        durability: Durability,
        changes: &[Change],
    ) -> Result<Vec<Event>, StoreError> {
        self.write(durability, |tx| {
            let mut head = RunHead::read(tx, run)?;
            let project = head.project.clone();
            let mut journal = Journal::of(run, &project);
            for change in changes {
                apply(tx, &mut head, &mut journal, change)?;
            }
            Ok(journal.events)
        })
    }

    /// Begins an attempt of a step.
    ///
    /// # Errors
    /// Those of [`Store::advance`]; [`StoreError::Conflict`] also where the run was asked
    /// to cancel, or the step's plan is not approved for the attempt's digest.
    pub fn begin_attempt(&self, run: &str, attempt: Attempt) -> Result<Vec<Event>, StoreError> {
        self.advance(run, Durability::Process, &[Change::Begin(attempt)])
    }

    /// Ends an attempt of a step, and begins those of the steps that follow from it.
    ///
    /// # Errors
    /// Those of [`Store::advance`]; [`StoreError::Conflict`] also where `attempt` is not
    /// the step's present one.
    pub fn end_attempt(
        &self,
        run: &str,
        step: &str,
        attempt: u32,
        outcome: AttemptOutcome,
        following: Vec<Attempt>,
    ) -> Result<Vec<Event>, StoreError> {
        let mut changes = vec![Change::End {
            step: step.to_owned(),
            attempt,
            outcome,
        }];
        changes.extend(following.into_iter().map(Change::Begin));
        self.advance(run, Durability::Process, &changes)
    }

    /// Takes a run to another unfinished state that needs no reason.
    ///
    /// # Errors
    /// Those of [`Store::advance`].
    pub fn set_run_state(&self, run: &str, state: RunState) -> Result<Vec<Event>, StoreError> {
        self.advance(run, Durability::Process, &[Change::run(state)])
    }

    /// Skips steps that are not needed.
    ///
    /// # Errors
    /// Those of [`Store::advance`].
    pub fn skip_steps(
        &self,
        run: &str,
        steps: &[String],
        reason: &str,
    ) -> Result<Vec<Event>, StoreError> {
        let changes: Vec<Change> = steps
            .iter()
            .map(|step| Change::Skip {
                step: step.clone(),
                reason: reason.to_owned(),
            })
            .collect();
        self.advance(run, Durability::Process, &changes)
    }

    /// Ends a run; see [`Change::Finish`]. Survives the loss of power.
    ///
    /// # Errors
    /// Those of [`Store::advance`]; [`StoreError::Conflict`] also where a step is still
    /// executed, or has not ended in a run that succeeds.
    pub fn finish_run(&self, run: &str, outcome: RunOutcome) -> Result<Vec<Event>, StoreError> {
        self.advance(run, Durability::Power, &[Change::Finish(outcome)])
    }
}

fn apply(tx: &Tx<'_>, run: &mut RunHead, journal: &mut Journal<'_>, change: &Change) -> Within<()> {
    let step = |name: &str| StepHead::read(tx, &run.id, name);
    match change {
        Change::Run {
            state,
            attention,
            error,
        } => set_run(
            tx,
            run,
            journal,
            *state,
            attention.as_deref(),
            error.as_ref(),
        ),
        Change::Finish(outcome) => finish(tx, run, journal, outcome),
        Change::Begin(attempt) => {
            run.require_forward("a new attempt")?;
            begin(tx, step(&attempt.step)?, journal, attempt)
        }
        Change::End {
            step: name,
            attempt,
            outcome,
        } => {
            run.require_unfinished()?;
            end(tx, step(name)?, journal, *attempt, outcome)
        }
        Change::Fail { step: name, error } => {
            run.require_unfinished()?;
            let mut head = not_executed(step(name)?)?;
            head.settle(tx, journal, Settled::because(StepState::Failed, error))
        }
        Change::Skip { step: name, reason } => {
            run.require_unfinished()?;
            let settled = Settled {
                data: json!({ "reason": reason }),
                ..Settled::plainly(StepState::Skipped)
            };
            step(name)?.settle(tx, journal, settled)
        }
        Change::Cancel { step: name } => {
            run.require_unfinished()?;
            give_up(
                tx,
                not_executed(step(name)?)?,
                journal,
                StepState::Cancelled,
            )
        }
        Change::Park { step: name, error } => {
            run.require_unfinished()?;
            let mut head = not_executed(step(name)?)?;
            head.settle(
                tx,
                journal,
                Settled::because(StepState::NeedsAttention, error),
            )
        }
        Change::RequestApproval {
            step: name,
            input,
            digest,
            plan,
        } => {
            run.require_forward("asking for approval")?;
            request_approval(tx, &step(name)?, journal, input, digest, plan)
        }
        Change::BeginCompensation {
            step: name,
            interrupted,
        } => {
            if run.state != RunState::Compensating {
                return Err(run
                    .conflict(format!("it is {}, not compensating", run.state))
                    .into());
            }
            begin_compensation(tx, step(name)?, journal, *interrupted)
        }
        Change::EndCompensation {
            step: name,
            attempt,
            outcome,
        } => {
            run.require_unfinished()?;
            end_compensation(tx, step(name)?, journal, *attempt, outcome)
        }
    }
}

fn set_run(
    tx: &Tx<'_>,
    run: &mut RunHead,
    journal: &mut Journal<'_>,
    state: RunState,
    attention: Option<&str>,
    error: Option<&Problem>,
) -> Within<()> {
    if state.is_finished() || run.state.is_finished() {
        return Err(run
            .conflict(format!(
                "it is {}, and only finishing or retrying it leads to {state}",
                run.state
            ))
            .into());
    }
    let data = match (attention, error) {
        (Some(attention), _) => json!({ "attention": attention }),
        (None, Some(error)) => json!({ "error": error }),
        (None, None) => json!({}),
    };
    run.become_state(tx, journal, state, None, data)?;
    if attention.is_some() || error.is_some() {
        change(
            tx,
            "UPDATE runs SET attention = ?2, error = coalesce(?3, error) WHERE id = ?1",
            params![run.id, attention, error.map(Json)],
        )?;
    }
    Ok(())
}

fn finish(
    tx: &Tx<'_>,
    run: &mut RunHead,
    journal: &mut Journal<'_>,
    outcome: &RunOutcome,
) -> Within<()> {
    run.require_unfinished()?;
    let unfinished = all(
        tx,
        "SELECT step, state FROM steps WHERE run = ?1
         AND state IN ('pending', 'waiting-approval', 'running', 'retrying', 'compensating',
                       'needs-attention')
         ORDER BY position",
        [&run.id],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, StepState>(1)?)),
    )?;
    for (name, state) in unfinished {
        let instead = match outcome {
            RunOutcome::Failed { .. } if state == StepState::NeedsAttention => StepState::Failed,
            RunOutcome::Failed { .. } => StepState::Skipped,
            RunOutcome::Cancelled => StepState::Cancelled,
            RunOutcome::Succeeded { .. } => {
                return Err(run
                    .conflict(format!(
                        "its step `{name}` is {state}, so it has not succeeded"
                    ))
                    .into());
            }
        };
        if state.is_active() {
            return Err(run
                .conflict(format!("its step `{name}` is {state}; end it first"))
                .into());
        }
        give_up(tx, StepHead::read(tx, &run.id, &name)?, journal, instead)?;
    }
    let (state, data) = match outcome {
        RunOutcome::Succeeded { outputs } => {
            change(
                tx,
                "UPDATE runs SET outputs = ?2 WHERE id = ?1",
                params![run.id, Json(outputs)],
            )?;
            (RunState::Succeeded, json!({}))
        }
        RunOutcome::Failed { error } => {
            change(
                tx,
                "UPDATE runs SET error = ?2 WHERE id = ?1",
                params![run.id, Json(error)],
            )?;
            (RunState::Failed, json!({ "error": error }))
        }
        RunOutcome::Cancelled => (RunState::Cancelled, json!({})),
    };
    run.become_state(tx, journal, state, None, data)
}

/// Writes that a step which is not executed ends as `instead`; one whose compensation is
/// parked is one that could not be undone, and keeps why.
fn give_up(
    tx: &Tx<'_>,
    mut step: StepHead,
    journal: &mut Journal<'_>,
    instead: StepState,
) -> Within<()> {
    if !step.is_parked_undoing() {
        return step.settle(tx, journal, Settled::plainly(instead));
    }
    let error = first(
        tx,
        "SELECT error FROM steps WHERE run = ?1 AND step = ?2",
        [&step.run, &step.step],
        |row| row.get::<_, Option<Json<Problem>>>(0),
    )?;
    let settled = match error.flatten() {
        Some(Json(error)) => {
            return step.settle(
                tx,
                journal,
                Settled::because(StepState::CompensationFailed, &error),
            );
        }
        None => Settled::plainly(StepState::CompensationFailed),
    };
    step.settle(tx, journal, settled)
}

/// Refuses a change that is not for a step whose plugin is being called.
fn not_executed(step: StepHead) -> Within<StepHead> {
    if step.state.is_active() {
        return Err(step
            .conflict(format!("it is {}; end its attempt instead", step.state))
            .into());
    }
    Ok(step)
}

/// Refuses to begin again what is going on, unless the host was killed meanwhile.
fn check_interrupted(step: &StepHead, active: StepState, interrupted: bool) -> Within<()> {
    if (step.state == active) == interrupted {
        return Ok(());
    }
    let why = if interrupted {
        format!("it is {} and was not interrupted", step.state)
    } else {
        format!("it is {} already", step.state)
    };
    Err(step.conflict(why).into())
}

fn begin(tx: &Tx<'_>, step: StepHead, journal: &mut Journal<'_>, attempt: &Attempt) -> Within<()> {
    step.require(StepState::Running)?;
    check_interrupted(&step, StepState::Running, attempt.interrupted)?;
    let approval = first(
        tx,
        "SELECT state, digest FROM approvals WHERE run = ?1 AND step = ?2",
        [&step.run, &step.step],
        |row| Ok((row.get::<_, ApprovalState>(0)?, row.get::<_, String>(1)?)),
    )?;
    if let Some((state, digest)) = approval {
        if state != ApprovalState::Approved {
            return Err(step
                .conflict(format!("its plan is {state}, not approved"))
                .into());
        }
        if attempt.digest.as_ref() != Some(&digest) {
            return Err(step
                .conflict("what would be executed is not what was approved")
                .into());
        }
    }
    let number = step.attempt.saturating_add(1);
    change(
        tx,
        "UPDATE steps SET state = 'running', attempt = ?3, input = ?4, error = NULL,
             next_attempt_at = NULL, started = coalesce(started, ?5), finished = NULL
         WHERE run = ?1 AND step = ?2",
        params![step.run, step.step, number, Json(&attempt.input), tx.now],
    )?;
    journal.write(
        tx,
        Some(&step.step),
        Some(number),
        event_kind::STEP_STARTED,
        json!({ "interrupted": attempt.interrupted }),
    )?;
    Ok(())
}

fn end(
    tx: &Tx<'_>,
    mut step: StepHead,
    journal: &mut Journal<'_>,
    attempt: u32,
    outcome: &AttemptOutcome,
) -> Within<()> {
    if step.state != StepState::Running || step.attempt != attempt {
        return Err(step
            .conflict(format!(
                "it is {} in attempt {}, so attempt {attempt} cannot end",
                step.state, step.attempt
            ))
            .into());
    }
    let settled = match outcome {
        AttemptOutcome::Succeeded { output } => Settled {
            output: Some(output),
            ..Settled::plainly(StepState::Succeeded)
        },
        AttemptOutcome::Failed { error } => Settled {
            counts_as_failure: true,
            ..Settled::because(StepState::Failed, error)
        },
        AttemptOutcome::Retry { error, at } => Settled {
            counts_as_failure: true,
            next_attempt_at: Some(*at),
            data: json!({ "error": error, "next_attempt_at": at }),
            ..Settled::because(StepState::Retrying, error)
        },
        AttemptOutcome::Cancelled => Settled::plainly(StepState::Cancelled),
        AttemptOutcome::NeedsAttention { error } => {
            Settled::because(StepState::NeedsAttention, error)
        }
    };
    step.settle(tx, journal, settled)
}

fn request_approval(
    tx: &Tx<'_>,
    step: &StepHead,
    journal: &mut Journal<'_>,
    input: &Value,
    digest: &str,
    plan: &Value,
) -> Within<()> {
    step.require(StepState::WaitingApproval)?;
    change(
        tx,
        "INSERT INTO approvals (run, step, digest, plan, state, requested)
         VALUES (?1, ?2, ?3, ?4, 'pending', ?5)
         ON CONFLICT (run, step) DO UPDATE SET digest = ?3, plan = ?4, state = 'pending',
             requested = ?5, decided = NULL, actor = NULL, comment = NULL",
        params![step.run, step.step, digest, Json(plan), tx.now],
    )?;
    change(
        tx,
        "UPDATE steps SET state = 'waiting-approval', input = ?3, error = NULL,
             next_attempt_at = NULL
         WHERE run = ?1 AND step = ?2",
        params![step.run, step.step, Json(input)],
    )?;
    journal.write(
        tx,
        Some(&step.step),
        None,
        event_kind::APPROVAL_REQUESTED,
        json!({ "digest": digest }),
    )?;
    Ok(())
}

fn begin_compensation(
    tx: &Tx<'_>,
    step: StepHead,
    journal: &mut Journal<'_>,
    interrupted: bool,
) -> Within<()> {
    step.require(StepState::Compensating)?;
    check_interrupted(&step, StepState::Compensating, interrupted)?;
    let number = step.compensation_attempt.saturating_add(1);
    change(
        tx,
        "UPDATE steps SET state = 'compensating', compensation_attempt = ?3, error = NULL
         WHERE run = ?1 AND step = ?2",
        params![step.run, step.step, number],
    )?;
    journal.write(
        tx,
        Some(&step.step),
        Some(number),
        event_kind::STEP_COMPENSATING,
        json!({ "interrupted": interrupted }),
    )?;
    Ok(())
}

fn end_compensation(
    tx: &Tx<'_>,
    mut step: StepHead,
    journal: &mut Journal<'_>,
    attempt: u32,
    outcome: &CompensationOutcome,
) -> Within<()> {
    if step.state != StepState::Compensating || step.compensation_attempt != attempt {
        return Err(step
            .conflict(format!(
                "it is {} in compensation {}, so compensation {attempt} cannot end",
                step.state, step.compensation_attempt
            ))
            .into());
    }
    let settled = match outcome {
        CompensationOutcome::Compensated => Settled::plainly(StepState::Compensated),
        CompensationOutcome::Failed { error } => {
            Settled::because(StepState::CompensationFailed, error)
        }
        CompensationOutcome::NeedsAttention { error } => {
            Settled::because(StepState::NeedsAttention, error)
        }
    };
    step.settle(tx, journal, settled)
}
