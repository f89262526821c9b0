//! Plans that wait for a decision, and the decisions.

use rusqlite::{Connection, Row, params};
use serde_json::json;

use super::transition::{RunHead, Settled, StepHead};
use crate::error::Within;
use crate::event_kind;
use crate::id::is_id;
use crate::journal::Journal;
use crate::page::foreign_cursor;
use crate::sql::{Json, all, change, first, json as json_column};
use crate::{
    Approval, ApprovalFilter, ApprovalState, Decision, Durability, Event, NewAudit, Page,
    PageRequest, Problem, RunState, StepState, Store, StoreError, audit,
};

impl Store {
    /// Decides about a step's plan. Approved, the step is pending again and its attempt
    /// may begin for this digest; rejected, it fails with code `denied`. A run that
    /// waited for nothing else to go on is running again. Survives the loss of power.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where no approval was requested, [`StoreError::Conflict`]
    /// where it was decided already or is for another digest, and those of every write.
    pub fn decide_approval(
        &self,
        run: &str,
        step: &str,
        digest: &str,
        decision: Decision,
        comment: Option<&str>,
        audit: &NewAudit,
    ) -> Result<Vec<Event>, StoreError> {
        self.write(Durability::Power, |tx| {
            let mut head = RunHead::read(tx, run)?;
            head.require_unfinished()?;
            let id = format!("{run}/{step}");
            let asked = first(
                tx,
                "SELECT state, digest FROM approvals WHERE run = ?1 AND step = ?2",
                [run, step],
                |row| Ok((row.get::<_, ApprovalState>(0)?, row.get::<_, String>(1)?)),
            )?;
            let Some((state, asked)) = asked else {
                return Err(StoreError::not_found("approval", id).into());
            };
            if state != ApprovalState::Pending {
                let why = format!("it is {state} already");
                return Err(StoreError::conflict("approval", id, why).into());
            }
            if asked != digest {
                let why = format!(
                    "the plan that waits has digest {asked}, not {digest}; look at it again"
                );
                return Err(StoreError::conflict("approval", id, why).into());
            }
            let (state, kind) = match decision {
                Decision::Approve => (ApprovalState::Approved, event_kind::APPROVAL_APPROVED),
                Decision::Reject => (ApprovalState::Rejected, event_kind::APPROVAL_REJECTED),
            };
            change(
                tx,
                "UPDATE approvals SET state = ?3, decided = ?4, actor = ?5, comment = ?6
                 WHERE run = ?1 AND step = ?2",
                params![run, step, state, tx.now, audit.actor, comment],
            )?;
            let project = head.project.clone();
            let mut journal = Journal::of(run, &project);
            let data = json!({ "digest": digest, "actor": audit.actor, "comment": comment });
            journal.write(tx, Some(step), None, kind, data)?;
            let mut step = StepHead::read(tx, run, step)?;
            match decision {
                Decision::Approve => {
                    step.settle(tx, &mut journal, Settled::plainly(StepState::Pending))?;
                }
                Decision::Reject => {
                    let said = comment.map(|text| format!(": {text}")).unwrap_or_default();
                    let error =
                        Problem::new("denied", format!("{} rejected the plan{said}", audit.actor));
                    let settled = Settled::because(StepState::Failed, &error);
                    step.settle(tx, &mut journal, settled)?;
                }
            }
            if head.state == RunState::WaitingApproval {
                head.become_state(tx, &mut journal, RunState::Running, None, json!({}))?;
            }
            audit::append(tx, audit)?;
            Ok(journal.events)
        })
    }

    /// A step's latest approval.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where none was requested, and those of every read.
    pub fn approval(&self, run: &str, step: &str) -> Result<Approval, StoreError> {
        self.read(|connection| {
            let found = first(
                connection,
                "SELECT approvals.*, runs.project FROM approvals
                 JOIN runs ON runs.id = approvals.run
                 WHERE approvals.run = ?1 AND step = ?2",
                [run, step],
                approval,
            )?;
            Ok(found.ok_or_else(|| StoreError::not_found("approval", format!("{run}/{step}")))?)
        })
    }

    /// The approvals that fit `filter`, the newest runs' first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a page that was not given out, and those of every read.
    pub fn approvals(
        &self,
        filter: &ApprovalFilter,
        page: &PageRequest,
    ) -> Result<Page<Approval>, StoreError> {
        let limit = page.checked_limit()?;
        let (run, step) = match page.cursor.as_deref().map(|cursor| cursor.split_once('/')) {
            None => (None, None),
            Some(Some((run, step))) if is_id("run", run) && !step.is_empty() => {
                (Some(run), Some(step))
            }
            Some(_) => return Err(foreign_cursor()),
        };
        self.read(|connection| {
            let found = all(
                connection,
                "SELECT approvals.*, runs.project FROM approvals
                 JOIN runs ON runs.id = approvals.run
                 WHERE (?1 IS NULL OR runs.project IN (SELECT value FROM json_each(?1)))
                 AND (?2 IS NULL OR approvals.run = ?2)
                 AND (?3 IS NULL OR approvals.state = ?3)
                 AND (?4 IS NULL OR approvals.run < ?4
                      OR (approvals.run = ?4 AND approvals.step > ?5))
                 ORDER BY approvals.run DESC, approvals.step LIMIT ?6",
                params![
                    filter.projects.as_ref().map(Json),
                    filter.run,
                    filter.state,
                    run,
                    step,
                    one_more(limit),
                ],
                approval,
            )?;
            Ok(Page::cut(found, limit, |approval| {
                format!("{}/{}", approval.run, approval.step)
            }))
        })
    }
}

/// One more than `limit`, which tells whether another page follows.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

pub(super) fn of_run(connection: &Connection, run: &str) -> Within<Vec<Approval>> {
    all(
        connection,
        "SELECT approvals.*, runs.project FROM approvals JOIN runs ON runs.id = approvals.run
         WHERE approvals.run = ?1 ORDER BY step",
        [run],
        approval,
    )
}

fn approval(row: &Row<'_>) -> rusqlite::Result<Approval> {
    Ok(Approval {
        run: row.get("run")?,
        project: row.get("project")?,
        step: row.get("step")?,
        digest: row.get("digest")?,
        plan: json_column(row, "plan")?,
        state: row.get("state")?,
        requested: row.get("requested")?,
        decided: row.get("decided")?,
        actor: row.get("actor")?,
        comment: row.get("comment")?,
    })
}
