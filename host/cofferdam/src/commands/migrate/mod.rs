//! `cofferdam migrate`.
//!
//! A migration is a run of a built-in workflow: it survives this program, waits for
//! approval, and the same command finds it again ([`arguments`]). Only `--plan` makes a file
//! and no run ([`planning`]).

mod arguments;
mod follow;
mod planning;
mod show;

use crate::cli::{Global, Migrate};
use crate::client::problem::ClientError;
use crate::client::session::{Engine, Session};
use crate::client::{Ask, MOST_HOSTS, path};
use crate::config::Config;
use crate::host;
use anyhow::{Result, bail};
use arguments::{Arguments, LABEL};
use cofferdam_orchestrator::migration::Plan;
use cofferdam_orchestrator::migration::request::GivenSettings;
use cofferdam_store::{Page, RunSummary};
use follow::Following;
use serde_json::json;
use std::cell::RefCell;
use std::process::ExitCode;

/// Plans, shows, asks, applies.
pub async fn run(command: &Migrate, global: &Global, config: &Config) -> Result<ExitCode> {
    if command.compress.is_some() && command.to.as_ref().is_some_and(|to| to != "qcow2") {
        bail!("only qcow2 can be compressed; leave --compress out or use --to qcow2");
    }
    let given = Config::default().settings(&command.set)?;
    if let Some(file) = &command.plan {
        super::local_only(global, "migrate --plan")?;
        let plugins = host::serving(global, config)?;
        return planning::run(command, file, &plugins, given, global.output).await;
    }
    // The host may be another command's process, which ends when that command is done; the
    // run is then carried on by the next host, as a rule this process.
    let known = RefCell::new(None);
    let mut left = 0;
    loop {
        let outcome = Session::with(global, Engine::Working, async |session| {
            follow(session, command, &given, &known).await
        });
        match outcome.await {
            Err(error) if left < MOST_HOSTS && is_gone(&error) => left += 1,
            outcome => return outcome,
        }
    }
}

/// Whether the host went away.
fn is_gone(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ClientError::Unreachable { .. } | ClientError::Interrupted { .. })
    )
}

/// Follows the run of this command: the one that is known, else one that has not ended, else
/// a new one.
async fn follow(
    session: &Session,
    command: &Migrate,
    given: &GivenSettings,
    known: &RefCell<Option<String>>,
) -> Result<ExitCode> {
    let local = session.client.is_local();
    let saved = match &command.apply {
        Some(file) if local => Some(Plan::read(file)?),
        _ => None,
    };
    if let Some(out) = command.out.as_ref().filter(|_| local)
        && out.exists()
        && !out.is_dir()
    {
        bail!(
            "{} is not a folder; name one for the new disks",
            out.display()
        );
    }
    let arguments = Arguments::new(command, given, saved.as_ref(), local)?;
    let begun = known.borrow().clone();
    let run = match begun {
        Some(run) => run,
        None => match unfinished(session, &arguments).await? {
            Some(run) => {
                eprintln!("going on with the run {run}, which this command began before");
                run
            }
            None => start(session, &arguments).await?,
        },
    };
    known.replace(Some(run.clone()));
    Following::new(session, command, &arguments.out)
        .follow(&run)
        .await
}

/// The newest run that the same command began and that has not ended.
async fn unfinished(session: &Session, arguments: &Arguments) -> Result<Option<String>> {
    let ask = Ask::get(path(&["runs"]))
        .with("project", Some(&session.project))
        .with("workflow", Some(arguments.workflow))
        .with("limit", Some(1000));
    let runs: Page<RunSummary> = session.client.ask_for(ask).await?;
    let same = runs
        .items
        .into_iter()
        .find(|run| !run.state.is_finished() && run.labels.get(LABEL) == Some(&arguments.label));
    Ok(same.map(|run| run.id))
}

async fn start(session: &Session, arguments: &Arguments) -> Result<String> {
    let request = json!({
        "project": session.project,
        "workflow": { "name": arguments.workflow },
        "inputs": arguments.inputs,
        "labels": { LABEL: arguments.label },
    });
    Ok(session.client.start_run(request, None).await?.run.id)
}
