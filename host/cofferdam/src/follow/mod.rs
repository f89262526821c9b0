//! Following a run: to its end, to an approval that nobody here can give, or to where it
//! needs somebody.
//!
//! **Design.** The run's stream of events says that something happened; what counts is then
//! asked of the run itself, so that a stream that repeats history (a run that failed and is
//! tried again) deceives nobody. A stream that breaks off is taken up after the last event
//! seen. What is shown while waiting goes to standard error ([`show`]).
//!
//! An interrupt asks the host to cancel the run, where this command set the run in motion;
//! a second one stops following, and a host in this process leaves the run resumable.

mod ask;
mod show;

use crate::cli::{Follow, Output};
use crate::client::Client;
use crate::client::events::{Events, ServerEvent};
use crate::client::problem::ClientError;
use crate::client::runs::Action;
use crate::exit::{self, RunEnded};
use crate::progress::{Interrupt, Interrupts};
use ask::{Answer, Asking};
use cofferdam_store::{ApprovalState, RunDetail, RunState};
use show::Show;
use std::time::Duration;

/// How often a stream that broke off is asked for again.
const ATTEMPTS: u32 = 8;

/// How long after a stream ended it is asked for again.
const BEFORE_REOPENING: Duration = Duration::from_millis(200);

/// How to follow.
pub struct Following<'a> {
    /// Through which client.
    pub client: &'a Client,
    /// What was asked on the command line.
    pub options: &'a Follow,
    /// How results are printed.
    pub output: Output,
    /// After which event to begin to show; none for the first.
    pub after: Option<String>,
    /// Whether an interrupt cancels the run: this command set it in motion.
    pub owns: bool,
}

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The run has ended or stands still.
    Settled,
    /// An interrupt.
    Interrupted,
}

impl Following<'_> {
    /// Follows the run until it is settled, and says how it then is; an error tells how the
    /// program is to end where the run is not a success.
    pub async fn follow(
        mut self,
        run: &str,
    ) -> Result<(RunDetail, Option<RunEnded>), anyhow::Error> {
        let mut interrupts = Interrupts::new()?;
        let mut asking = Asking::new(self.options, self.output);
        let mut show = Show::new(self.options.logs);
        let mut cancelled_here = false;
        let mut stream = self.open(run).await?;
        let mut detail = self.run(run).await?;
        let stop = loop {
            if self
                .settled(&mut detail, &mut asking, &mut show, &mut interrupts)
                .await?
            {
                break Stop::Settled;
            }
            tokio::select! {
                event = stream.next() => match event {
                    Ok(Some(event)) => {
                        self.after = event.id.clone().or(self.after);
                        show.event(&event);
                        if changes_the_run(&event) {
                            detail = self.run(run).await?;
                        }
                    }
                    // The server stopped, or a proxy cut the stream.
                    Ok(None) | Err(_) => {
                        tokio::time::sleep(BEFORE_REOPENING).await;
                        stream = self.open(run).await?;
                        detail = self.run(run).await?;
                    }
                },
                interrupt = interrupts.next() => {
                    if !self.owns || cancelled_here || interrupt == Interrupt::Terminate {
                        break Stop::Interrupted;
                    }
                    cancelled_here = true;
                    show.say(if self.client.outlives_us() {
                        "cancelling; once more to leave, the server goes on with it"
                    } else {
                        "cancelling; once more to leave the run as it is, it can be resumed"
                    });
                    self.client.act(run, Action::Cancel, Some("interrupted")).await?;
                }
            }
        };
        if stop == Stop::Settled {
            self.catch_up(run, &mut show).await;
        }
        show.finish();
        if stop == Stop::Interrupted {
            let ended = RunEnded::new(exit::CANCELLED, self.left(&detail));
            return Ok((detail, Some(ended)));
        }
        let mut ended = ending(&detail);
        if let Some(ended) = &mut ended
            && cancelled_here
        {
            ended.code = exit::CANCELLED;
        }
        Ok((detail, ended))
    }

    /// Shows what the stream had not brought yet when the run was settled.
    async fn catch_up(&self, run: &str, show: &mut Show) {
        let past = self
            .client
            .past_events(run, self.after.as_deref(), self.options.logs);
        // How the run is was told by the run itself; this is only for the eye.
        let Ok(mut past) = past.await else {
            return;
        };
        while let Ok(Some(event)) = past.next().await {
            show.event(&event);
        }
    }

    async fn run(&self, run: &str) -> Result<RunDetail, ClientError> {
        let mut wait = Duration::from_millis(100);
        let mut tried = 0;
        loop {
            match self.client.run(run, "").await {
                Err(error) if error.is_passing() && tried < ATTEMPTS => {
                    tokio::time::sleep(wait).await;
                    tried += 1;
                    wait *= 2;
                }
                answer => return answer,
            }
        }
    }

    async fn open(&self, run: &str) -> Result<Events, ClientError> {
        let mut wait = Duration::from_millis(100);
        let mut tried = 0;
        loop {
            let stream = self
                .client
                .run_events(run, self.after.as_deref(), self.options.logs);
            match stream.await {
                Err(error) if error.is_passing() && tried < ATTEMPTS => {
                    tokio::time::sleep(wait).await;
                    tried += 1;
                    wait *= 2;
                }
                answer => return answer,
            }
        }
    }

    /// Whether there is nothing more to wait for. Approvals that can be given here are given.
    async fn settled(
        &self,
        detail: &mut RunDetail,
        asking: &mut Asking,
        show: &mut Show,
        interrupts: &mut Interrupts,
    ) -> Result<bool, ClientError> {
        loop {
            let state = detail.run.state;
            if state.is_finished() || state == RunState::NeedsAttention {
                return Ok(true);
            }
            let waiting = detail
                .approvals
                .iter()
                .find(|approval| approval.state == ApprovalState::Pending)
                .cloned();
            let Some(approval) = waiting else {
                return Ok(false);
            };
            let answer = tokio::select! {
                answer = asking.about(&approval, show) => answer,
                // Whoever leaves the question leaves it open.
                _ = interrupts.next() => asking.leave(&approval),
            };
            let approve = match answer {
                Answer::Approve => true,
                Answer::Reject => false,
                // Other branches may still be at work.
                Answer::Later => return Ok(state == RunState::WaitingApproval),
            };
            *detail = match self.client.decide(&approval, approve, None).await {
                // Somebody else was faster, or the plan is another by now: look again.
                Err(ClientError::Problem(problem)) if problem.status == 409 => {
                    self.run(&approval.run).await?
                }
                answer => answer?,
            };
        }
    }

    fn left(&self, detail: &RunDetail) -> String {
        let run = &detail.run.id;
        if self.client.outlives_us() {
            format!("no longer watching; the host goes on, see `cofferdam runs watch {run}`")
        } else {
            format!(
                "stopped; the run stays as it is, `cofferdam runs watch {run}` or `cofferdam serve` carries it on"
            )
        }
    }
}

/// Whether the run itself may be another after this event, not only one of its steps.
fn changes_the_run(event: &ServerEvent) -> bool {
    event.event.starts_with("run.") || event.event.starts_with("approval.")
}

/// How the program ends for a run that is settled, unless all is well.
pub fn ending(detail: &RunDetail) -> Option<RunEnded> {
    let run = &detail.run;
    let id = &run.id;
    let because = run
        .error
        .as_ref()
        .map_or_else(String::new, |problem| format!(": {}", problem.message));
    let (code, message) = match run.state {
        RunState::Succeeded => return None,
        RunState::Failed => (
            exit::RUN_FAILED,
            format!(
                "the run {id} failed{because}; see `cofferdam runs logs {id}`, and `cofferdam runs retry {id}` once the cause is mended"
            ),
        ),
        RunState::Cancelled => (exit::RUN_CANCELLED, format!("the run {id} was cancelled")),
        RunState::NeedsAttention => (
            exit::ATTENTION,
            format!(
                "the run {id} needs attention: {}; then `cofferdam runs resume {id}` or `cofferdam runs cancel {id}`",
                run.attention
                    .as_deref()
                    .unwrap_or("see `cofferdam runs show`")
            ),
        ),
        RunState::WaitingApproval => (
            exit::WAITING,
            format!(
                "the run {id} waits for approval; look with `cofferdam runs show {id}`, then `cofferdam runs approve {id}` or `cofferdam runs reject {id}`"
            ),
        ),
        RunState::Pending | RunState::Running | RunState::Cancelling | RunState::Compensating => {
            return None;
        }
    };
    Some(RunEnded::of(run, code, message))
}
