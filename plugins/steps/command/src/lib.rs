//! Runs one program that the operator granted and says how it ended.
//!
//! **Problem.** A workflow needs a place for what no plugin knows: a script of the house, a
//! notification, a check. That is a program with arguments, and an exit status that decides.
//!
//! **Design.** There is no shell: arguments go to the program as they are. Which programs
//! there are and which arguments they may be given is the operator's grant; the host
//! checks it. The program runs once for the step, however often the step is tried after
//! the host was killed; whether a program that failed is run again is the next run's
//! business, so a failure is not retried.
//!
//! **Limits.** Standard input is empty. Of the output the last 64 KiB are seen; a program
//! that has more to say writes a file, and the step keeps it.

use std::collections::BTreeMap;
use std::time::Duration;

use cofferdam_sdk::console::excerpt;
use cofferdam_sdk::step::{ARTIFACT, StepPlan, ToolOutcome, ToolRequest};
use cofferdam_sdk::{Context, Error, Result, StepHost, TimeSpan, WorkflowStep};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest time that a program may be given: the host's limit for a call is an hour,
/// and the outcome has to come back within it.
const MOST_TIME: Duration = Duration::from_secs(59 * 60);

/// The step.
pub struct Command;

/// What a workflow gives the step.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Input {
    /// The name that the grant gives the program.
    tool: String,
    /// Its arguments.
    #[serde(default)]
    args: Vec<Argument>,
    /// When it is stopped.
    #[serde(default = "default_timeout")]
    timeout: TimeSpan,
    /// The exit statuses that are a success.
    #[serde(default = "zero")]
    expect_exit: OneOrMore,
    /// Files of the working folder that become artifacts.
    #[serde(default)]
    keep: Vec<String>,
    /// Arguments that make the program undo what it did.
    #[serde(default)]
    undo: Option<Vec<Argument>>,
}

/// One argument: a text, a number, or the path of an artifact.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
enum Argument {
    Text(String),
    Artifact(Artifact),
}

impl TryFrom<Value> for Argument {
    type Error = String;

    fn try_from(value: Value) -> std::result::Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Number(number) => Ok(Self::Text(number.to_string())),
            Value::Bool(truth) => Ok(Self::Text(truth.to_string())),
            Value::Object(_) => serde_json::from_value(value)
                .map(Self::Artifact)
                .map_err(|error| format!("an argument that is a table: {error}")),
            Value::Null | Value::Array(_) => Err(format!(
                "the argument {value} is neither a text, a number, true or false, nor a table with `artifact`"
            )),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Artifact {
    artifact: String,
    #[serde(default = "bare")]
    template: String,
    #[serde(default)]
    writable: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an exit status or a list of them")]
enum OneOrMore {
    One(i32),
    More(Vec<i32>),
}

impl OneOrMore {
    fn has(&self, exit: i32) -> bool {
        match self {
            Self::One(one) => *one == exit,
            Self::More(more) => more.contains(&exit),
        }
    }
}

impl std::fmt::Display for OneOrMore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(one) => write!(f, "{one}"),
            Self::More(more) => {
                let numbers: Vec<String> = more.iter().map(i32::to_string).collect();
                f.write_str(&numbers.join(" or "))
            }
        }
    }
}

fn default_timeout() -> TimeSpan {
    TimeSpan(Duration::from_secs(600))
}

fn zero() -> OneOrMore {
    OneOrMore::One(0)
}

fn bare() -> String {
    "{}".to_owned()
}

/// What later steps can refer to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Output {
    /// The exit status.
    exit: i32,
    /// The end of its output.
    output: String,
    /// References of the kept files, by path.
    artifacts: BTreeMap<String, String>,
}

impl Argument {
    fn add_to(&self, request: ToolRequest) -> ToolRequest {
        match self {
            Self::Text(text) if text.starts_with(ARTIFACT) => request.artifact(text, bare()),
            Self::Text(text) => request.argument(text),
            Self::Artifact(given) if given.writable => {
                request.writable_artifact(&given.artifact, &given.template)
            }
            Self::Artifact(given) => request.artifact(&given.artifact, &given.template),
        }
    }
}

impl Input {
    fn request(&self, operation: &str, arguments: &[Argument]) -> ToolRequest {
        let request = ToolRequest::new(operation, &self.tool).timeout(self.timeout.0);
        arguments
            .iter()
            .fold(request, |request, argument| argument.add_to(request))
    }

    /// Each file to keep with its artifact's name: the last part of its path.
    fn kept(&self) -> Result<BTreeMap<&str, &str>> {
        let mut names = BTreeMap::new();
        for file in &self.keep {
            let name = file.rsplit('/').next().unwrap_or(file);
            if let Some(other) = names.insert(name, file.as_str()) {
                return Err(Error::invalid(format!(
                    "`keep` has {other} and {file}, which would be artifacts of one name"
                ))
                .with_hint("have the program write them under different names"));
            }
        }
        Ok(names)
    }
}

/// Says how a program ended that did not end as it should.
fn failure(input: &Input, command: &str, outcome: &ToolOutcome) -> Option<Error> {
    let (code, how): (fn(String) -> Error, _) = match outcome {
        ToolOutcome {
            exit: Some(exit), ..
        } if input.expect_exit.has(*exit) => return None,
        ToolOutcome {
            exit: Some(exit), ..
        } => (
            Error::other,
            format!("ended with {exit} where {} was expected", input.expect_exit),
        ),
        ToolOutcome {
            timed_out: true, ..
        } => (
            Error::timeout,
            format!(
                "was stopped because its time was over ({}, or what the grant allows where that is less)",
                input.timeout
            ),
        ),
        ToolOutcome {
            signal: Some(signal),
            ..
        } => (Error::other, format!("was ended by signal {signal}")),
        _ => (Error::other, "ended without an exit status".to_owned()),
    };
    let said = excerpt(&outcome.tail);
    let said = if said.is_empty() {
        "; it printed nothing".to_owned()
    } else {
        format!("; the end of its output:\n{said}")
    };
    Some(code(format!("`{command}` {how}{said}")))
}

fn run(host: &mut impl StepHost, input: &Input, request: &ToolRequest) -> Result<ToolOutcome> {
    let outcome = host.run(request)?;
    match failure(input, &request.command_line(), &outcome) {
        Some(error) => Err(error),
        None => Ok(outcome),
    }
}

impl WorkflowStep for Command {
    type Input = Input;
    type Output = Output;

    fn validate(_: &dyn Context, input: &Input) -> Result<()> {
        if input.timeout.0.is_zero() || input.timeout.0 > MOST_TIME {
            return Err(Error::invalid(format!(
                "`timeout` is {}, and has to be between 1ms and {}",
                input.timeout,
                TimeSpan(MOST_TIME)
            )));
        }
        if let OneOrMore::More(more) = &input.expect_exit
            && more.is_empty()
        {
            return Err(Error::invalid(
                "`expect-exit` is an empty list, so that the step could never succeed",
            ));
        }
        input.kept().map(|_| ())
    }

    fn plan(_: &dyn Context, input: &Input) -> Result<StepPlan> {
        let request = input.request("run", &input.args);
        let summary = format!("Runs {} for at most {}", input.tool, input.timeout);
        let mut plan = StepPlan::new(summary).change("run", &input.tool, request.command_line());
        for (name, file) in input.kept()? {
            plan = plan.change("keep", file, format!("as the artifact {name}"));
        }
        Ok(plan)
    }

    fn execute(host: &mut impl StepHost, input: Input) -> Result<Output> {
        let outcome = run(host, &input, &input.request("run", &input.args))?;
        let mut artifacts = BTreeMap::new();
        for (name, file) in input.kept()? {
            artifacts.insert(file.to_owned(), host.keep(file, name)?);
        }
        Ok(Output {
            exit: outcome.exit.unwrap_or_default(),
            output: outcome.tail,
            artifacts,
        })
    }

    fn compensate(host: &mut impl StepHost, input: Input, _: Option<Output>) -> Result<()> {
        let Some(undo) = &input.undo else {
            return Ok(());
        };
        run(host, &input, &input.request("undo", undo)).map(|_| ())
    }
}

cofferdam_sdk::export_workflow_step!(Command);

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::ErrorCode;
    use cofferdam_sdk::step::text;
    use cofferdam_sdk::testing::MemoryStep;

    #[test]
    fn cases() {
        cofferdam_sdk::testing::run_step_cases::<Command>(env!("CARGO_MANIFEST_DIR"));
    }

    fn host(operation: &str, exit: i32) -> MemoryStep {
        let mut host = MemoryStep::new();
        let outcome = ToolOutcome {
            exit: Some(exit),
            ..ToolOutcome::default()
        };
        host.answer(operation, Ok(outcome));
        host
    }

    #[test]
    fn undoing_runs_the_program_with_other_arguments_where_there_are_some() {
        let output = r#"{"exit":0,"output":"","artifacts":{}}"#;
        let input = r#"{"tool":"site","args":["up"],"undo":["down",1]}"#;
        let mut done = host("undo", 0);
        text::compensate::<Command>(&mut done, input, Some(output)).unwrap();
        assert_eq!(done.runs()[0].command_line(), "site down 1");
        let failed = text::compensate::<Command>(&mut host("undo", 3), input, None).unwrap_err();
        assert_eq!(failed.code, ErrorCode::Other);
        assert!(
            failed.message.contains("`site down 1` ended with 3"),
            "{failed}"
        );
        let mut nothing = MemoryStep::new();
        text::compensate::<Command>(&mut nothing, r#"{"tool":"site"}"#, Some(output)).unwrap();
        assert!(nothing.runs().is_empty());
    }
}
