//! `cofferdam run`.

use crate::cli::{Global, Output, Run};
use crate::client::input::{self, WorkflowArgument};
use crate::client::session::{Engine, Session};
use crate::commands::runs::{GoOn, go_on};
use crate::commands::workflow;
use anyhow::Result;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Starts a run and follows it.
pub async fn run(command: &Run, global: &Global) -> Result<ExitCode> {
    let workflow = WorkflowArgument::read(&command.workflow)?;
    let labels = input::labels(&command.labels)?;
    let engine = if command.dry_run {
        Engine::Idle
    } else {
        Engine::Working
    };
    Session::with(global, engine, async |session| {
        let file = command.inputs_file.as_deref();
        let inputs = workflow::inputs(session, &workflow, file, &command.inputs).await?;
        if command.dry_run {
            return workflow::check(session, &workflow, &inputs).await;
        }
        let request = request(&session.project, &workflow, &inputs, &labels);
        let started = session
            .client
            .start_run(request, command.idempotency_key.as_deref())
            .await
            .map_err(|error| workflow.blamed(error))?;
        if global.output == Output::Text {
            eprintln!("run {}", started.run.id);
        }
        let going = GoOn {
            follow: &command.follow,
            after: None,
            owns: true,
        };
        go_on(session, started, going).await
    })
    .await
}

fn request(project: &str, workflow: &WorkflowArgument, inputs: &Value, labels: &Value) -> Value {
    json!({
        "project": project,
        "workflow": workflow.choice(),
        "inputs": inputs,
        "labels": labels,
    })
}
