//! Following the run of a migration: its stages, its plan, its end.

use super::show;
use crate::cli::{Migrate, Output};
use crate::client::Client;
use crate::client::events::{Events, ServerEvent};
use crate::client::runs::{Action, LogSelection};
use crate::client::session::Session;
use crate::exit::{self, NotApproved, RunEnded};
use crate::progress::{Interrupts, Watcher};
use crate::render::run::plan_lines;
use crate::render::{json, sayln};
use anyhow::{Result, bail};
use cofferdam_contract::types::Level;
use cofferdam_orchestrator::migration::{Plan, Report};
use cofferdam_orchestrator::observer::{Observer, Stage};
use cofferdam_store::{
    Approval, ApprovalState, LogLevel, LogLine, RunDetail, RunState, StepRecord, StepState,
};
use serde::Deserialize;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How often and how long apart the end of the log is looked for.
const CATCH_UP: u32 = 40;
const BETWEEN: Duration = Duration::from_millis(25);
/// How long until a stream that broke off is asked for again.
const RECONNECT: Duration = Duration::from_millis(200);

/// How far something is, as the API sends it.
#[derive(Deserialize)]
struct Progress {
    what: String,
    done: u64,
    total: u64,
    unit: String,
}

/// Who is asked whether the plan is to be applied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nobody: that was said on the command line, by --yes or by a plan that was looked at.
    Said,
    /// Who sits at the terminal.
    Terminal,
    /// Nobody is there.
    Nobody,
}

/// Follows a run.
pub struct Following<'a> {
    client: &'a Client,
    output: Output,
    asked: Asked,
    out: &'a Path,
    watcher: Arc<Watcher>,
    rejected: bool,
    cancelled: bool,
    /// The approval that was shown and decided, so that it is not twice.
    decided: Option<String>,
    /// The last log line that was shown, and whether the last stage was among them.
    logged: i64,
    reported: bool,
}

impl<'a> Following<'a> {
    /// By what the command line says.
    pub fn new(session: &'a Session, command: &Migrate, out: &'a Path) -> Self {
        let terminal = session.output == Output::Text && std::io::stdin().is_terminal();
        Self {
            client: &session.client,
            output: session.output,
            asked: match (command.yes || command.apply.is_some(), terminal) {
                (true, _) => Asked::Said,
                (false, true) => Asked::Terminal,
                (false, false) => Asked::Nobody,
            },
            out,
            watcher: Watcher::new(),
            rejected: false,
            cancelled: false,
            decided: None,
            logged: 0,
            reported: false,
        }
    }

    /// Follows the run to its end.
    pub async fn follow(mut self, run: &str) -> Result<ExitCode> {
        let mut interrupts = Interrupts::new()?;
        let mut stream = self.client.run_events(run, None, true).await?;
        let mut detail = self.client.run(run, "").await?;
        let mut resumed = false;
        loop {
            match detail.run.state {
                state if state.is_finished() => break,
                RunState::NeedsAttention if resumed => break,
                RunState::NeedsAttention => {
                    // Whoever types the command again wants it to go on.
                    resumed = true;
                    detail = self.client.act(run, Action::Resume, None).await?;
                    continue;
                }
                RunState::WaitingApproval => {
                    if let Some(approval) = self.pending(&detail) {
                        detail = self.decide(&detail, &approval).await?;
                        continue;
                    }
                }
                _ => {}
            }
            tokio::select! {
                event = stream.next() => match event {
                    Ok(Some(event)) => {
                        if self.show(&event) {
                            detail = self.client.run(run, "").await?;
                        }
                    }
                    Ok(None) | Err(_) => {
                        stream = self.again(run).await?;
                        detail = self.client.run(run, "").await?;
                    }
                },
                _ = interrupts.next() => {
                    if self.cancelled {
                        self.watcher.finish();
                        std::process::exit(i32::from(exit::CANCELLED));
                    }
                    self.cancelled = true;
                    eprintln!("stopping; once more to end at once");
                    // It may have ended meanwhile; then there is nothing to stop.
                    let stopped = self.client.act(run, Action::Cancel, Some("interrupted"));
                    detail = match stopped.await {
                        Ok(detail) => detail,
                        Err(_) => self.client.run(run, "").await?,
                    };
                }
            }
        }
        if detail.run.state == RunState::Succeeded {
            self.catch_up(run).await?;
        }
        self.watcher.finish();
        self.end(&detail).await
    }

    /// Shows the log up to the last stage: it is written a moment after the journal.
    async fn catch_up(&mut self, run: &str) -> Result<()> {
        let selection = LogSelection::default();
        for _ in 0..CATCH_UP {
            let page = self.client.run_logs(run, &selection, self.logged).await?;
            for line in &page.items {
                self.log(line);
            }
            if self.reported {
                break;
            }
            tokio::time::sleep(BETWEEN).await;
        }
        Ok(())
    }

    async fn again(&self, run: &str) -> Result<Events> {
        // A host that restarts is back in a moment.
        tokio::time::sleep(RECONNECT).await;
        Ok(self.client.run_events(run, None, true).await?)
    }

    fn pending(&self, detail: &RunDetail) -> Option<Approval> {
        detail
            .approvals
            .iter()
            .find(|approval| {
                approval.state == ApprovalState::Pending
                    && self.decided.as_ref() != Some(&approval.digest)
            })
            .cloned()
    }

    /// Shows what happened; true if the run itself may be another now.
    fn show(&mut self, event: &ServerEvent) -> bool {
        match event.event.as_str() {
            "progress" => {
                if let Ok(progress) = serde_json::from_str::<Progress>(&event.data) {
                    let Progress {
                        what,
                        done,
                        total,
                        unit,
                    } = progress;
                    self.watcher.progress(&what, done, total, &unit);
                }
                false
            }
            "log" => {
                if let Ok(line) = serde_json::from_str::<LogLine>(&event.data) {
                    self.log(&line);
                }
                false
            }
            kind => kind.starts_with("run.") || kind.starts_with("approval."),
        }
    }

    fn log(&mut self, line: &LogLine) {
        if line.id <= self.logged {
            return;
        }
        self.logged = line.id;
        let stage = line.fields.get("stage").and_then(serde_json::Value::as_str);
        if let Some(stage) = Stage::ALL
            .into_iter()
            .find(|known| Some(known.name()) == stage)
        {
            self.reported |= stage == Stage::Report;
            self.watcher.stage(stage);
            return;
        }
        let level = match line.level {
            LogLevel::Trace | LogLevel::Debug => Level::Debug,
            LogLevel::Info => Level::Info,
            LogLevel::Warn => Level::Warn,
            LogLevel::Error => Level::Error,
        };
        let plugin = line.plugin.as_deref().unwrap_or("cofferdam");
        self.watcher.log(plugin, level, &line.message, &[]);
    }

    /// Shows the plan, asks where somebody is to be asked, and tells the host.
    async fn decide(&mut self, detail: &RunDetail, approval: &Approval) -> Result<RunDetail> {
        self.watcher.finish();
        self.decided = Some(approval.digest.clone());
        let plan = match self.file(detail, "plan/plan.json").await? {
            Some(bytes) => Some(Plan::parse(&bytes).map_err(anyhow::Error::msg)?),
            None => None,
        };
        match (self.output, &plan) {
            (Output::Text, Some(plan)) => show::plan(plan),
            (Output::Text, None) => {
                for line in plan_lines(approval) {
                    sayln!("{line}");
                }
            }
            (Output::Json, _) if self.asked == Asked::Said => {}
            (Output::Json, Some(plan)) => json(plan)?,
            (Output::Json, None) => json(&approval.plan)?,
        }
        let approve = match self.asked {
            Asked::Said => true,
            Asked::Nobody => false,
            Asked::Terminal => tokio::task::spawn_blocking(ask).await??,
        };
        self.rejected = !approve;
        Ok(self.client.decide(approval, approve, None).await?)
    }

    /// A file of the run, if it has it.
    async fn file(&self, detail: &RunDetail, name: &str) -> Result<Option<Vec<u8>>> {
        if !detail.artifacts.iter().any(|made| made.name == name) {
            return Ok(None);
        }
        Ok(Some(self.client.run_file(&detail.run.id, name).await?))
    }

    async fn end(&self, detail: &RunDetail) -> Result<ExitCode> {
        let run = &detail.run;
        match run.state {
            RunState::Succeeded => return self.succeeded(detail).await,
            _ if self.rejected => return Err(NotApproved.into()),
            RunState::Cancelled => {
                let made = |step: &StepRecord| {
                    step.step == "publish" && step.state == StepState::Succeeded
                };
                let message = if detail.steps.iter().any(made) {
                    format!(
                        "cancelled; the disks were made by then, in {}",
                        self.out.display()
                    )
                } else {
                    "cancelled; nothing was written to the source or the target".to_owned()
                };
                return Err(RunEnded::new(exit::CANCELLED, message).into());
            }
            _ => {}
        }
        let id = &run.id;
        let (code, reason, hint) = match &run.error {
            Some(problem) => {
                let code = match problem.code.as_str() {
                    "unsupported" => exit::BLOCKED,
                    "conflict" => exit::OUTDATED,
                    _ => exit::FAILED,
                };
                let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})"));
                (code, reason(&problem.message), hint.unwrap_or_default())
            }
            None => {
                let reason = run.attention.clone().unwrap_or_else(|| {
                    format!("the run {id} stands still; see `cofferdam runs show {id}`")
                });
                (exit::ATTENTION, reason, String::new())
            }
        };
        let (code, message) = if self.cancelled {
            (exit::CANCELLED, format!("cancelled: {reason}"))
        } else {
            (code, format!("{reason}{hint}"))
        };
        Err(RunEnded::of(run, code, message).into())
    }

    async fn succeeded(&self, detail: &RunDetail) -> Result<ExitCode> {
        let Some(report) = self.file(detail, "publish/report.json").await? else {
            bail!(
                "the run {} succeeded and has no report; is the host another version?",
                detail.run.id
            );
        };
        let report: Report = serde_json::from_slice(&report)?;
        match self.output {
            Output::Json => json(&report)?,
            Output::Text => {
                show::report(&report, self.out);
                let booted = detail.steps.iter().find(|step| step.step == "boot");
                if booted.is_some() {
                    sayln!("boot test: passed");
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What went wrong, without whose answer it was: to people a migration is one thing.
fn reason(message: &str) -> String {
    match message.split_once(", call execute: ") {
        Some((own, reason)) if own.contains("plugin migrate/") => reason.to_owned(),
        _ => message.to_owned(),
    }
}

/// Whether whoever sits at the terminal wants the plan applied.
fn ask() -> Result<bool> {
    print!("\nApply this plan? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
