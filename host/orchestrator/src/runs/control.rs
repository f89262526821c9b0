//! What people do to runs, and what they see of them.

use super::Runs;
use super::engine::Engine;
use super::error::RunError;
use super::notice::Notice;
use super::request::RunView;
use crate::identity::Actor;
use cofferdam_store::{
    Approval, ApprovalFilter, Decision, Event, EventFilter, LogFilter, LogLine, NewAudit, Page,
    PageRequest, Role, RunFilter, RunSummary, StoreError,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::broadcast;

impl Runs {
    /// The runs that fit, the newest first.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub fn list(
        &self,
        filter: &RunFilter,
        page: &PageRequest,
    ) -> Result<Page<RunSummary>, RunError> {
        Ok(self.engine.store.runs(filter, page)?)
    }

    /// A run with all that belongs to it.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub fn get(&self, run: &str) -> Result<RunView, RunError> {
        Ok(self.engine.store.run_detail(run)?)
    }

    /// The events after the one with id `after` (0 for the first), ascending, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub fn events(
        &self,
        after: i64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<Event>, RunError> {
        Ok(self.engine.store.events(after, filter, limit)?)
    }

    /// The log lines of a run after the one with id `after` (0 for the first), ascending,
    /// at most `limit`.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub fn logs(
        &self,
        run: &str,
        after: i64,
        filter: &LogFilter,
        limit: u32,
    ) -> Result<Vec<LogLine>, RunError> {
        // An unknown run has no empty log.
        self.engine.store.run(run)?;
        Ok(self.engine.store.logs(run, after, filter, limit)?)
    }

    /// The approvals that fit, the newest runs' first.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub fn approvals(
        &self,
        filter: &ApprovalFilter,
        page: &PageRequest,
    ) -> Result<Page<Approval>, RunError> {
        Ok(self.engine.store.approvals(filter, page)?)
    }

    /// Events, log lines and progress from now on. A watcher that falls behind is told so
    /// and reads what it missed by id.
    pub fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.engine.publisher.subscribe(&self.engine.store)
    }

    /// Approves what a step would do, which is what `digest` stands for. For who may deploy
    /// in the run's project.
    ///
    /// # Errors
    /// [`RunError::Identity`]; [`RunError::Store`] with `conflict` where it was decided
    /// already, or another digest waits.
    pub async fn approve(
        &self,
        actor: &Actor,
        run: &str,
        step: &str,
        digest: &str,
        comment: Option<&str>,
    ) -> Result<RunView, RunError> {
        self.decide(actor, run, step, digest, comment, Decision::Approve)
            .await
    }

    /// Rejects what a step would do: the step fails, and with it the run. For who may
    /// deploy in the run's project.
    ///
    /// # Errors
    /// Those of [`approve`](Self::approve).
    pub async fn reject(
        &self,
        actor: &Actor,
        run: &str,
        step: &str,
        digest: &str,
        comment: Option<&str>,
    ) -> Result<RunView, RunError> {
        self.decide(actor, run, step, digest, comment, Decision::Reject)
            .await
    }

    async fn decide(
        &self,
        actor: &Actor,
        run: &str,
        step: &str,
        digest: &str,
        comment: Option<&str>,
        decision: Decision,
    ) -> Result<RunView, RunError> {
        let detail = json!({ "step": step, "digest": digest, "comment": comment });
        let action = match decision {
            Decision::Approve => "run.approve",
            Decision::Reject => "run.reject",
        };
        let (step, digest) = (step.to_owned(), digest.to_owned());
        let comment = comment.map(str::to_owned);
        self.change(actor, run, action, detail, move |engine, run, audit| {
            engine
                .store
                .decide_approval(run, &step, &digest, decision, comment.as_deref(), audit)
        })
        .await
    }

    /// Cancels a run: what goes on is stopped, then what asked for it is compensated. For
    /// who may deploy in the run's project.
    ///
    /// # Errors
    /// [`RunError::Identity`]; [`RunError::Store`] with `conflict` where it has ended.
    pub async fn cancel(
        &self,
        actor: &Actor,
        run: &str,
        reason: Option<&str>,
    ) -> Result<RunView, RunError> {
        let reason = reason.map(str::to_owned);
        let detail = json!({ "reason": reason });
        self.change(
            actor,
            run,
            "run.cancel",
            detail,
            move |engine, run, audit| engine.store.request_cancel(run, reason.as_deref(), audit),
        )
        .await
    }

    /// Lets a parked run go on: operations whose end nobody knows are begun anew. For who
    /// may deploy in the run's project.
    ///
    /// # Errors
    /// [`RunError::Identity`]; [`RunError::Store`] with `conflict` where it is not parked.
    pub async fn resume(&self, actor: &Actor, run: &str) -> Result<RunView, RunError> {
        self.change(actor, run, "run.resume", json!({}), |engine, run, audit| {
            engine.store.resume_run(run, audit)
        })
        .await
    }

    /// Runs the failed and unrun steps of a failed or cancelled run again; what succeeded
    /// is kept unless it was compensated. For who may deploy in the run's project.
    ///
    /// # Errors
    /// [`RunError::Identity`]; [`RunError::Store`] with `conflict` where it neither failed
    /// nor was cancelled.
    pub async fn retry(&self, actor: &Actor, run: &str) -> Result<RunView, RunError> {
        self.change(actor, run, "run.retry", json!({}), |engine, run, audit| {
            engine.store.retry_run(run, audit)
        })
        .await
    }

    async fn change(
        &self,
        actor: &Actor,
        run: &str,
        action: &str,
        detail: Value,
        change: impl FnOnce(&Engine, &str, &NewAudit) -> Result<Vec<Event>, StoreError> + Send + 'static,
    ) -> Result<RunView, RunError> {
        let project = self.engine.store.run(run)?.project;
        self.engine
            .identity
            .require_for(actor, &project, Role::Deploy, "run", run)?;
        let audit = actor.audit(action, run, Some(&project), detail);
        let id = run.to_owned();
        let view = self
            .blocking(move |engine| {
                change(engine, &id, &audit)?;
                Ok(engine.store.run_detail(&id)?)
            })
            .await?;
        self.engine.publisher.events_written();
        self.engine.wake(run, None);
        Ok(view)
    }

    /// Does on a thread that may block what waits for the disk.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Engine>) -> Result<T, RunError> + Send + 'static,
    ) -> Result<T, RunError> {
        let engine = Arc::clone(&self.engine);
        match tokio::task::spawn_blocking(move || work(&engine)).await {
            Ok(result) => result,
            Err(error) => Err(RunError::Host(error.to_string())),
        }
    }
}
