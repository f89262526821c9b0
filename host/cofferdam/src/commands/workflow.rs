//! `cofferdam workflow`.

use crate::cli::{Global, Output, WorkflowCommand};
use crate::client::input::{self, InputKinds, WorkflowArgument};
use crate::client::session::{Engine, Session};
use crate::client::{Ask, path};
use crate::render::table::Table;
use crate::render::time::when_any;
use crate::render::{json, safe, sayln};
use anyhow::Result;
use cofferdam_orchestrator::runs::{WorkflowInfo, WorkflowPlan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Does a `workflow` command.
pub async fn run(command: &WorkflowCommand, global: &Global) -> Result<ExitCode> {
    match command {
        WorkflowCommand::Validate {
            workflow,
            inputs: pairs,
            inputs_file,
        } => {
            let workflow = WorkflowArgument::read(workflow)?;
            Session::with(global, Engine::Idle, async |session| {
                let inputs = inputs(session, &workflow, inputs_file.as_deref(), pairs).await?;
                check(session, &workflow, &inputs).await
            })
            .await
        }
        WorkflowCommand::List => Session::with(global, Engine::Idle, list).await,
        WorkflowCommand::Save { file } => {
            let source = input::read_text(file)?;
            let name = input::name(file, &source)?;
            Session::with(global, Engine::Idle, async |session| {
                let ask = Ask::put(path(&["workflows", &name]), json!({"source": source}))
                    .with("project", Some(&session.project));
                let answer = session.client.ask(ask).await?;
                session.done(&answer, &format!("saved the workflow {name}"))
            })
            .await
        }
        WorkflowCommand::Remove { name } => {
            Session::with(global, Engine::Idle, async |session| {
                let ask =
                    Ask::delete(path(&["workflows", name])).with("project", Some(&session.project));
                let answer = session.client.ask(ask).await?;
                session.done(&answer, &format!("removed the workflow {name}"))
            })
            .await
        }
    }
}

/// The inputs of a run of this workflow, as the host takes them.
pub async fn inputs(
    session: &Session,
    workflow: &WorkflowArgument,
    file: Option<&Path>,
    pairs: &[String],
) -> Result<Value> {
    let kinds = kinds(session, workflow).await?;
    let here = std::env::current_dir()?;
    let folder = session.client.is_local().then_some(here.as_path());
    input::inputs(file, pairs, &kinds, folder)
}

async fn kinds(session: &Session, workflow: &WorkflowArgument) -> Result<InputKinds> {
    match workflow {
        WorkflowArgument::File { text, .. } => Ok(input::kinds(text)),
        WorkflowArgument::Named(name) => {
            let ask = Ask::get(path(&["workflows", name])).with("project", Some(&session.project));
            let saved: WorkflowInfo = session.client.ask_for(ask).await?;
            Ok(input::kinds(&saved.source))
        }
    }
}

/// Prints what a workflow would do; wrong ones are errors.
pub async fn check(
    session: &Session,
    workflow: &WorkflowArgument,
    inputs: &Value,
) -> Result<ExitCode> {
    let body = json!({
        "project": session.project,
        "workflow": workflow.choice(),
        "inputs": inputs,
    });
    let ask = Ask::post(path(&["workflows", "plan"]), body);
    let plan = session.client.ask_for(ask).await;
    let plan: WorkflowPlan = plan.map_err(|error| workflow.blamed(error))?;
    if session.output == Output::Json {
        json(&plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    sayln!("{} is well-formed", safe(&plan.workflow));
    let mut table = Table::new(&["step", "plugin", "version", "after", "notes"]);
    for step in &plan.steps {
        let notes = [
            (step.approval, "approval"),
            (step.conditional, "conditional"),
            (step.compensate, "undone on failure"),
        ];
        let notes: Vec<&str> = notes
            .iter()
            .filter_map(|(holds, note)| holds.then_some(*note))
            .collect();
        table.row(&[
            &step.step,
            &step.plugin,
            &step.version,
            &step.needs.join(", "),
            &notes.join(", "),
        ]);
    }
    table.print("no steps");
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize, Deserialize)]
struct Workflows {
    items: Vec<WorkflowInfo>,
}

async fn list(session: &Session) -> Result<ExitCode> {
    let ask = Ask::get(path(&["workflows"])).with("project", Some(&session.project));
    let workflows: Workflows = session.client.ask_for(ask).await?;
    if session.output == Output::Json {
        json(&workflows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["name", "digest", "saved", "by"]);
    for workflow in &workflows.items {
        let digest: String = workflow.digest.chars().take(12).collect();
        table.row(&[
            &workflow.name,
            &digest,
            &workflow
                .created
                .map_or_else(|| "built in".to_owned(), |at| when_any(Some(at))),
            workflow.actor.as_deref().unwrap_or("-"),
        ]);
    }
    table.print("no workflows");
    Ok(ExitCode::SUCCESS)
}
