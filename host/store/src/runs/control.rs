//! What people do to runs: cancel, resume, retry.

use std::collections::BTreeMap;

use rusqlite::params;
use serde_json::json;

use super::transition::{RunHead, Settled, StepHead};
use crate::error::Within;
use crate::event_kind;
use crate::journal::Journal;
use crate::operations;
use crate::sql::{all, change};
use crate::store::Tx;
use crate::{Durability, Event, NewAudit, RunState, StepState, Store, StoreError, audit};

impl Store {
    /// Asks to cancel a run. From then on no attempt begins; whoever executes the run
    /// stops what is executed, compensates, and finishes it. Again asked, it changes
    /// nothing and says no events. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the run has ended, or is being compensated after a
    /// failure; [`StoreError::NotFound`], and those of every write.
    pub fn request_cancel(
        &self,
        run: &str,
        reason: Option<&str>,
        audit: &NewAudit,
    ) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            let mut head = RunHead::read(tx, run)?;
            head.require_unfinished()?;
            // A cancelled run that is parked goes on to be cancelled.
            if head.cancel_requested && head.state != RunState::NeedsAttention {
                return Ok(Vec::new());
            }
            let project = head.project.clone();
            let mut journal = Journal::of(run, &project);
            let data = json!({ "actor": audit.actor, "reason": reason });
            head.become_state(tx, &mut journal, RunState::Cancelling, None, data)?;
            change(
                tx,
                "UPDATE runs SET cancel_requested = 1 WHERE id = ?1",
                [run],
            )?;
            audit::append(tx, audit)?;
            Ok(journal.events)
        })
    }

    /// Lets a parked run go on: parked steps are pending again (or succeeded, where it
    /// was their compensation that was parked), and their lost host operations are given
    /// up, so that their next begin makes new ones. The run is running again, or
    /// cancelling or compensating where it was when it was parked. Survives the loss of
    /// power.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the run is not parked, [`StoreError::NotFound`], and
    /// those of every write.
    pub fn resume_run(&self, run: &str, audit: &NewAudit) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            let mut head = RunHead::read(tx, run)?;
            // A step can be parked while others go on.
            let parked = steps_in(tx, run, &[StepState::NeedsAttention])?;
            if head.state.is_finished()
                || (head.state != RunState::NeedsAttention && parked.is_empty())
            {
                return Err(head
                    .conflict(format!("it is {}, and nothing of it is parked", head.state))
                    .into());
            }
            let project = head.project.clone();
            let mut journal = Journal::of(run, &project);
            go_on(tx, &mut head, &mut journal, &parked, &audit.actor)?;
            audit::append(tx, audit)?;
            Ok(journal.events)
        })
    }

    /// Runs a failed or cancelled run's failed and unrun steps again: they are pending,
    /// their host operations are given up; what succeeded is kept with its output, unless
    /// it was compensated. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the run did not fail and is not cancelled,
    /// [`StoreError::NotFound`], and those of every write.
    pub fn retry_run(&self, run: &str, audit: &NewAudit) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            let mut head = RunHead::read(tx, run)?;
            if !matches!(head.state, RunState::Failed | RunState::Cancelled) {
                return Err(head
                    .conflict(format!(
                        "it is {}, neither failed nor cancelled",
                        head.state
                    ))
                    .into());
            }
            let project = head.project.clone();
            let mut journal = Journal::of(run, &project);
            let again = steps_in(
                tx,
                run,
                &[
                    StepState::Failed,
                    StepState::Skipped,
                    StepState::Cancelled,
                    StepState::Compensated,
                    StepState::CompensationFailed,
                ],
            )?;
            for name in again {
                operations::abandon(tx, &mut journal, &name, operations::Which::All)?;
                let mut step = StepHead::read(tx, run, &name)?;
                step.settle(tx, &mut journal, Settled::plainly(StepState::Pending))?;
                change(
                    tx,
                    "UPDATE steps SET failures = 0, output = NULL, succeeded_event = NULL,
                         started = NULL
                     WHERE run = ?1 AND step = ?2",
                    [run, name.as_str()],
                )?;
            }
            let data = json!({ "actor": audit.actor });
            let kind = Some(event_kind::RUN_RETRIED);
            head.become_state(tx, &mut journal, RunState::Running, kind, data)?;
            change(
                tx,
                "UPDATE runs SET error = NULL, cancel_requested = 0 WHERE id = ?1",
                [run],
            )?;
            audit::append(tx, audit)?;
            Ok(journal.events)
        })
    }
}

/// Who lets steps go on when the plugin that they wait for is back.
const HOST: &str = "cofferdam";

/// Lets the steps go on that wait for the plugin version of this digest, whatever else of
/// their runs is parked. Says the runs.
pub(crate) fn release_steps(tx: &Tx<'_>, digest: &str) -> Within<(Vec<String>, Vec<Event>)> {
    let waiting = all(
        tx,
        "SELECT run, step FROM steps WHERE state = 'needs-attention'
         AND error ->> '$.waits_for' = ?1 ORDER BY run, position",
        [digest],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
    )?;
    let mut runs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (run, step) in waiting {
        runs.entry(run).or_default().push(step);
    }
    let mut events = Vec::new();
    for (run, steps) in &runs {
        let mut head = RunHead::read(tx, run)?;
        if head.state.is_finished() {
            continue;
        }
        let project = head.project.clone();
        let mut journal = Journal::of(run, &project);
        go_on(tx, &mut head, &mut journal, steps, HOST)?;
        events.append(&mut journal.events);
    }
    Ok((runs.into_keys().collect(), events))
}

/// Lets parked steps go on, and their run, if it is parked.
fn go_on(
    tx: &Tx<'_>,
    head: &mut RunHead,
    journal: &mut Journal<'_>,
    steps: &[String],
    actor: &str,
) -> Within<()> {
    let compensating = compensation_began(tx, &head.id)?;
    for name in steps {
        let mut step = StepHead::read(tx, &head.id, name)?;
        let next = if step.is_parked_undoing() {
            StepState::Succeeded
        } else {
            StepState::Pending
        };
        operations::abandon(tx, journal, name, operations::Which::Lost)?;
        unpark(tx, &mut step, journal, next)?;
    }
    if head.state != RunState::NeedsAttention {
        return Ok(());
    }
    let next = if head.cancel_requested {
        RunState::Cancelling
    } else if compensating {
        RunState::Compensating
    } else {
        RunState::Running
    };
    let data = json!({ "actor": actor, "state": next });
    head.become_state(tx, journal, next, Some(event_kind::RUN_RESUMED), data)
}

/// The names of the run's steps that are in one of `states`.
fn steps_in(tx: &Tx<'_>, run: &str, states: &[StepState]) -> Within<Vec<String>> {
    let found = all(
        tx,
        "SELECT step, state FROM steps WHERE run = ?1 ORDER BY position",
        [run],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, StepState>(1)?)),
    )?;
    Ok(found
        .into_iter()
        .filter(|(_, state)| states.contains(state))
        .map(|(step, _)| step)
        .collect())
}

/// Whether the run's compensation was going on when it was parked.
fn compensation_began(tx: &Tx<'_>, run: &str) -> Within<bool> {
    let last = all(
        tx,
        "SELECT kind FROM events WHERE run = ?1
         AND kind IN ('run.compensating', 'run.retried') ORDER BY id DESC LIMIT 1",
        [run],
        |row| row.get::<_, String>(0),
    )?;
    Ok(last
        .first()
        .is_some_and(|kind| kind == event_kind::RUN_COMPENSATING))
}

/// Writes that a parked step is `next` again. A success that is kept keeps its place in
/// the order of compensation.
fn unpark(
    tx: &Tx<'_>,
    step: &mut StepHead,
    journal: &mut Journal<'_>,
    next: StepState,
) -> Within<()> {
    step.require(next)?;
    change(
        tx,
        "UPDATE steps SET state = ?3, error = NULL,
             finished = CASE WHEN ?4 THEN coalesce(finished, ?5) ELSE NULL END
         WHERE run = ?1 AND step = ?2",
        params![step.run, step.step, next, next.is_finished(), tx.now],
    )?;
    journal.write(
        tx,
        Some(&step.step),
        None,
        event_kind::STEP_PENDING,
        json!({}),
    )?;
    step.state = next;
    Ok(())
}
