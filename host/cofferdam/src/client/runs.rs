//! The API's calls about runs.

use super::events::Events;
use super::problem::ClientError;
use super::{Ask, Client, IDEMPOTENCY_KEY, path};
use cofferdam_store::{Approval, LogLevel, LogLine, Page, RunDetail, RunSummary};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A page of a run's log.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogPage {
    /// The lines in order.
    pub items: Vec<LogLine>,
    /// Where the next page begins; none where nothing more is there now.
    pub next: Option<i64>,
}

/// Which part of a run's log.
#[derive(Debug, Clone, Default)]
pub struct LogSelection {
    /// Of this step.
    pub step: Option<String>,
    /// At least this important.
    pub level: Option<LogLevel>,
}

/// What can be done with a run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Stop it and undo.
    Cancel,
    /// Let it go on.
    Resume,
    /// Run what failed again.
    Retry,
}

impl Action {
    const fn segment(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Resume => "resume",
            Self::Retry => "retry",
        }
    }
}

impl Client {
    /// Starts a run. With a key, asking again gives the same run.
    pub async fn start_run(
        &self,
        request: Value,
        key: Option<&str>,
    ) -> Result<RunDetail, ClientError> {
        let ask = Ask::post(path(&["runs"]), request).header(IDEMPOTENCY_KEY, key);
        self.ask_for(ask).await
    }

    /// A run; `last` is the newest of `project`.
    pub async fn run(&self, run: &str, project: &str) -> Result<RunDetail, ClientError> {
        let id = self.run_id(run, project).await?;
        self.ask_for(Ask::get(path(&["runs", &id]))).await
    }

    /// A run's id; `last` is the newest of `project`.
    pub async fn run_id(&self, run: &str, project: &str) -> Result<String, ClientError> {
        if run != "last" {
            return Ok(run.to_owned());
        }
        let ask = Ask::get(path(&["runs"]))
            .with("project", Some(project))
            .with("limit", Some(1));
        let newest: Page<RunSummary> = self.ask_for(ask).await?;
        match newest.items.into_iter().next() {
            Some(run) => Ok(run.id),
            None => Err(ClientError::Setup(format!(
                "there is no run in the project {project} yet; start one with `cofferdam run`"
            ))),
        }
    }

    /// Follows what happens in a run, beginning after `after`.
    pub async fn run_events(
        &self,
        run: &str,
        after: Option<&str>,
        logs: bool,
    ) -> Result<Events, ClientError> {
        let ask = events(run, after, logs).with("progress", Some(true));
        Ok(Events::new(self.stream(ask).await?))
    }

    /// What has happened in a run so far, beginning after `after`.
    pub async fn past_events(
        &self,
        run: &str,
        after: Option<&str>,
        logs: bool,
    ) -> Result<Events, ClientError> {
        let ask = events(run, after, logs).with("follow", Some(false));
        Ok(Events::new(self.stream(ask).await?))
    }

    /// The id of the last thing that happened in a run so far.
    pub async fn last_event(&self, run: &str) -> Result<Option<String>, ClientError> {
        let mut events = self.past_events(run, None, true).await?;
        let mut last = None;
        while let Ok(Some(event)) = events.next().await {
            last = event.id.or(last);
        }
        Ok(last)
    }

    /// A page of a run's log.
    pub async fn run_logs(
        &self,
        run: &str,
        selection: &LogSelection,
        after: i64,
    ) -> Result<LogPage, ClientError> {
        let ask = Ask::get(path(&["runs", run, "logs"]))
            .with("after", Some(after))
            .with("step", selection.step.as_deref())
            .with("level", selection.level)
            .with("limit", Some(1000));
        self.ask_for(ask).await
    }

    /// A file that a run made.
    pub async fn run_file(&self, run: &str, name: &str) -> Result<Vec<u8>, ClientError> {
        self.bytes(Ask::get(path(&["runs", run, "artifacts", name])))
            .await
    }

    /// Approves or rejects a step's plan.
    pub async fn decide(
        &self,
        approval: &Approval,
        approve: bool,
        comment: Option<&str>,
    ) -> Result<RunDetail, ClientError> {
        let verb = if approve { "approve" } else { "reject" };
        let body = json!({"step": approval.step, "digest": approval.digest, "comment": comment});
        self.ask_for(Ask::post(path(&["runs", &approval.run, verb]), body))
            .await
    }

    /// Cancels, resumes or retries a run.
    pub async fn act(
        &self,
        run: &str,
        action: Action,
        reason: Option<&str>,
    ) -> Result<RunDetail, ClientError> {
        let path = path(&["runs", run, action.segment()]);
        let mut ask = Ask::post(path, json!({"reason": reason}));
        if action != Action::Cancel {
            ask.body = None;
        }
        self.ask_for(ask).await
    }
}

fn events(run: &str, after: Option<&str>, logs: bool) -> Ask {
    Ask::get(path(&["runs", run, "events"]))
        .with("after", after)
        .with("logs", logs.then_some(true))
}
