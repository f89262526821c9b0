//! `cofferdam runs`.

use crate::cli::{Follow, Global, ListRuns, Output, RunLogs, RunsCommand};
use crate::client::runs::{Action, LogSelection};
use crate::client::session::{Engine, Session};
use crate::client::{Ask, path};
use crate::exit;
use crate::follow::{Following, ending};
use crate::render::{self, json, sayln};
use anyhow::{Result, bail};
use cofferdam_store::{Approval, ApprovalState, LogLine, Page, RunDetail, RunSummary};
use std::process::ExitCode;

/// Does a `runs` command.
pub async fn run(command: &RunsCommand, global: &Global) -> Result<ExitCode> {
    match command {
        RunsCommand::List(filter) => {
            Session::with(global, Engine::Idle, async |session| {
                list(session, filter).await
            })
            .await
        }
        RunsCommand::Show { run } => {
            Session::with(global, Engine::Idle, async |session| {
                let detail = session.client.run(run, &session.project).await?;
                match session.output {
                    Output::Json => json(&detail)?,
                    Output::Text => render::run::detail(&detail),
                }
                Ok(ExitCode::SUCCESS)
            })
            .await
        }
        RunsCommand::Logs(command) => {
            // Who follows a run without a server carries it on.
            let engine = if command.follow {
                Engine::Working
            } else {
                Engine::Idle
            };
            Session::with(global, engine, async |session| logs(session, command).await).await
        }
        RunsCommand::Watch { run, follow } => {
            Session::with(global, Engine::Working, async |session| {
                let detail = session.client.run(run, &session.project).await?;
                let going = GoOn {
                    follow,
                    after: None,
                    owns: false,
                };
                go_on(session, detail, going).await
            })
            .await
        }
        RunsCommand::Approve {
            run,
            step,
            digest,
            comment,
            follow,
        } => {
            let decision = Decision {
                approve: true,
                step: step.as_deref(),
                digest: digest.as_deref(),
                comment: comment.as_deref(),
            };
            decide(global, run, &decision, follow).await
        }
        RunsCommand::Reject {
            run,
            step,
            comment,
            follow,
        } => {
            let decision = Decision {
                approve: false,
                step: step.as_deref(),
                digest: None,
                comment: comment.as_deref(),
            };
            decide(global, run, &decision, follow).await
        }
        RunsCommand::Cancel {
            run,
            reason,
            follow,
        } => act(global, run, Action::Cancel, reason.as_deref(), follow).await,
        RunsCommand::Resume { run, follow } => act(global, run, Action::Resume, None, follow).await,
        RunsCommand::Retry { run, follow } => act(global, run, Action::Retry, None, follow).await,
    }
}

async fn list(session: &Session, filter: &ListRuns) -> Result<ExitCode> {
    let ask = Ask::get(path(&["runs"]))
        .with("project", session.named_project())
        .with("state", filter.status)
        .with("workflow", filter.workflow.as_deref())
        .with("actor", filter.actor.as_deref())
        .with("since", filter.since.as_deref())
        .with("until", filter.until.as_deref())
        .with("limit", Some(filter.limit))
        .with("cursor", filter.cursor.as_deref());
    let page: Page<RunSummary> = session.client.ask_for(ask).await?;
    match session.output {
        Output::Json => json(&page)?,
        Output::Text => render::run::list(&page.items, page.next.as_deref()),
    }
    Ok(ExitCode::SUCCESS)
}

/// How a command goes on with a run that it started or changed.
pub struct GoOn<'a> {
    /// What was asked on the command line.
    pub follow: &'a Follow,
    /// After which event to begin to show.
    pub after: Option<String>,
    /// Whether an interrupt cancels the run.
    pub owns: bool,
}

/// Follows a run unless that is not wanted, prints how it is, and says how to end.
pub async fn go_on(session: &Session, detail: RunDetail, going: GoOn<'_>) -> Result<ExitCode> {
    let (detail, ended) = if going.follow.detach {
        (detail, None)
    } else {
        let following = Following {
            client: &session.client,
            options: going.follow,
            output: session.output,
            after: going.after,
            owns: going.owns,
        };
        following.follow(&detail.run.id).await?
    };
    match session.output {
        Output::Json => json(&detail)?,
        Output::Text => {
            sayln!(
                "{}  {}",
                detail.run.id,
                render::run::run_state(detail.run.state)
            );
            if ended.is_none() {
                render::run::outcome(&detail);
            }
        }
    }
    match ended {
        Some(ended) => Err(ended.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

struct Decision<'a> {
    approve: bool,
    step: Option<&'a str>,
    digest: Option<&'a str>,
    comment: Option<&'a str>,
}

async fn decide(
    global: &Global,
    run: &str,
    decision: &Decision<'_>,
    follow: &Follow,
) -> Result<ExitCode> {
    Session::with(global, Engine::Working, async |session| {
        let detail = session.client.run(run, &session.project).await?;
        let mut approval = waiting(&detail, decision.step)?.clone();
        if let Some(digest) = decision.digest {
            // The host compares it with the plan that waits, and refuses any other.
            digest.clone_into(&mut approval.digest);
        }
        let after = session.client.last_event(&detail.run.id).await?;
        let detail = session
            .client
            .decide(&approval, decision.approve, decision.comment)
            .await?;
        let going = GoOn {
            follow,
            after,
            owns: decision.approve,
        };
        go_on(session, detail, going).await
    })
    .await
}

/// The approval that is meant.
fn waiting<'d>(detail: &'d RunDetail, step: Option<&str>) -> Result<&'d Approval> {
    let pending: Vec<&Approval> = detail
        .approvals
        .iter()
        .filter(|approval| approval.state == ApprovalState::Pending)
        .filter(|approval| step.is_none_or(|step| approval.step == step))
        .collect();
    match (pending.as_slice(), step) {
        ([one], _) => Ok(one),
        ([], Some(step)) => bail!(
            "the step {step} of {} does not wait for approval",
            detail.run.id
        ),
        ([], None) => bail!(
            "no step of {} waits for approval; it is {}",
            detail.run.id,
            detail.run.state
        ),
        (several, _) => {
            let steps: Vec<&str> = several.iter().map(|one| one.step.as_str()).collect();
            bail!(
                "several steps wait for approval: {}; say which with --step",
                steps.join(", ")
            )
        }
    }
}

async fn act(
    global: &Global,
    run: &str,
    action: Action,
    reason: Option<&str>,
    follow: &Follow,
) -> Result<ExitCode> {
    Session::with(global, Engine::Working, async |session| {
        let run = session.client.run_id(run, &session.project).await?;
        let after = session.client.last_event(&run).await?;
        let detail = session.client.act(&run, action, reason).await?;
        let going = GoOn {
            follow,
            after,
            owns: action != Action::Cancel,
        };
        match go_on(session, detail, going).await {
            // What was asked for is no failure.
            Err(error)
                if action == Action::Cancel
                    && error
                        .downcast_ref::<exit::RunEnded>()
                        .is_some_and(|ended| ended.code == exit::RUN_CANCELLED) =>
            {
                Ok(ExitCode::SUCCESS)
            }
            ended => ended,
        }
    })
    .await
}

async fn logs(session: &Session, command: &RunLogs) -> Result<ExitCode> {
    let run = session
        .client
        .run_id(&command.run, &session.project)
        .await?;
    let selection = LogSelection {
        step: command.step.clone(),
        level: command.level,
    };
    if command.follow {
        follow_logs(session, &run, &selection).await?;
    } else if session.output == Output::Json {
        let mut lines = Vec::new();
        pages(session, &run, &selection, 0, |line| {
            lines.push(line);
            Ok(())
        })
        .await?;
        json(&lines)?;
    } else {
        pages(session, &run, &selection, 0, |line| {
            print_line(&line, session.output)
        })
        .await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every line after `after` that is there now; gives the id of the last.
async fn pages(
    session: &Session,
    run: &str,
    selection: &LogSelection,
    mut after: i64,
    mut take: impl FnMut(LogLine) -> Result<()>,
) -> Result<i64> {
    loop {
        let page = session.client.run_logs(run, selection, after).await?;
        for line in page.items {
            after = line.id;
            take(line)?;
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(after),
        }
    }
}

/// Prints lines as they come, until the run is settled: then nothing more comes.
async fn follow_logs(session: &Session, run: &str, selection: &LogSelection) -> Result<()> {
    let print = |line: LogLine| print_line(&line, session.output);
    let mut after = pages(session, run, selection, 0, print).await?;
    let position = session.client.last_event(run).await?;
    let mut events = session
        .client
        .run_events(run, position.as_deref(), true)
        .await?;
    loop {
        let detail = session.client.run(run, "").await?;
        if detail.run.state.is_finished() || ending(&detail).is_some() {
            break;
        }
        // Lines are read from the log, by their ids: the stream only says that there are
        // some, and may begin before what was shown.
        match events.next().await {
            Ok(Some(_)) => after = pages(session, run, selection, after, print).await?,
            Ok(None) | Err(_) => break,
        }
    }
    pages(session, run, selection, after, print).await?;
    Ok(())
}

/// One line; for programs one JSON object a line, so that following needs no end.
fn print_line(line: &LogLine, output: Output) -> Result<()> {
    match output {
        Output::Json => sayln!("{}", serde_json::to_string(line)?),
        Output::Text => sayln!("{}", render::run::log_line(line)),
    }
    Ok(())
}
