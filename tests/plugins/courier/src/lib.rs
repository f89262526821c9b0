//! A step that sends the requests it is told to send.
//!
//! **Problem.** That a grant of HTTP requests holds is only shown by a component that speaks
//! `wasi:http` and tries what it was not granted.
//!
//! **Design.** The input lists requests, a secret and a program. Each is tried whatever
//! became of the others, and the output says what each came to.
//!
//! **Limits.** For the tests.

mod send;

use cofferdam_sdk::step::{StepPlan, ToolRequest};
use cofferdam_sdk::{Context, Error, Result, StepHost, WorkflowStep};
pub use send::{Answer, Request};
use serde::{Deserialize, Serialize};

/// The step.
pub struct Courier;

/// What a workflow gives the step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Sent one after the other.
    #[serde(default)]
    requests: Vec<Request>,
    /// A secret that it tries to read.
    #[serde(default)]
    secret: Option<String>,
    /// A program that it tries to run.
    #[serde(default)]
    program: Option<String>,
    /// Sends the requests in `plan` already, which must have no effect.
    #[serde(default)]
    hasty: bool,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Output {
    /// An answer for each request.
    answers: Vec<Answer>,
    /// `ok`, or the error; none where there was nothing to try.
    secret: Option<String>,
    /// As `secret`.
    program: Option<String>,
}

fn shown<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(Error { code, message, .. }) => format!("{code:?}: {message}"),
    }
}

impl WorkflowStep for Courier {
    type Input = Input;
    type Output = Output;

    fn plan(_: &dyn Context, input: &Input) -> Result<StepPlan> {
        let mut plan = StepPlan::new("Sends requests");
        for request in &input.requests {
            let detail = if input.hasty {
                request.send().error.unwrap_or_default()
            } else {
                String::new()
            };
            plan = plan.change("send", &request.path, detail);
        }
        Ok(plan)
    }

    fn execute(host: &mut impl StepHost, input: Input) -> Result<Output> {
        let answers = input.requests.iter().map(Request::send).collect();
        let secret = input.secret.map(|name| shown(host.secret(&name)));
        let program = input
            .program
            .map(|name| shown(host.run(&ToolRequest::new("try", name))));
        Ok(Output {
            answers,
            secret,
            program,
        })
    }
}

cofferdam_sdk::export_workflow_step!(Courier);
