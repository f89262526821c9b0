//! Cases of workflow steps as data.
//!
//! ```text
//! cases/NAME/case.toml      description, input, settings, how each program ends
//! cases/NAME/expected.json  plan, programs run, artifacts, output; COFFERDAM_UPDATE_CASES=1
//!                           writes it
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    folder::{expected, failed, read_text, run_case_folders},
    step::{Kept, MemoryStep},
};
use crate::{
    error::{Error, ErrorCode, Result},
    step::{StepPlan, ToolOutcome, ToolRequest, WorkflowStep, text},
    types::Timestamp,
};

/// How the program of one operation ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// It was run and ended like this.
    Outcome(ToolOutcome),
    /// The host did not run it.
    Error {
        /// The code.
        code: ErrorCode,
        /// What happened.
        message: String,
    },
}

/// One case of a workflow step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StepCase {
    /// What it shows, in a sentence.
    pub description: String,
    /// The time, in seconds since 1970.
    #[serde(default)]
    pub now: i64,
    /// Settings that differ from the manifest's defaults.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// What the workflow gives the step.
    pub input: Map<String, Value>,
    /// How programs end, by operation.
    #[serde(default)]
    pub tools: BTreeMap<String, Answer>,
    /// Files that they leave in the working folder.
    #[serde(default)]
    pub files: BTreeSet<String>,
    /// Granted secrets.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The case's folder.
    #[serde(skip)]
    pub directory: PathBuf,
}

/// What a step did, as `expected.json` holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepResult {
    /// Why the input was refused; then nothing else was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Error>,
    /// What it planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<StepPlan>,
    /// The programs it ran, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<ToolRequest>,
    /// The artifacts it made, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    /// Its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The error that it ended in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

impl StepCase {
    /// Reads `case.toml` of a case's folder.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("case.toml");
        let text = read_text(&path)?;
        let mut case: Self = toml::from_str(&text).map_err(|error| failed(&path, error))?;
        case.directory = directory.to_path_buf();
        Ok(case)
    }

    /// The host that the case describes, with these settings where it says nothing.
    pub fn host(&self, defaults: &Map<String, Value>) -> MemoryStep {
        let mut host = MemoryStep::new();
        host.context.now = Timestamp {
            seconds: self.now,
            nanoseconds: 0,
        };
        let mut settings = defaults.clone();
        settings.extend(self.settings.clone());
        host.context.settings = Value::Object(settings);
        host.secrets.clone_from(&self.secrets);
        host.files.clone_from(&self.files);
        for (operation, answer) in &self.tools {
            let outcome = match answer {
                Answer::Outcome(outcome) => Ok(outcome.clone()),
                Answer::Error { code, message } => Err(Error::new(*code, message)),
            };
            host.answer(operation, outcome);
        }
        host
    }

    /// What `expected.json` says.
    pub fn expected(&self) -> Result<StepResult> {
        expected(&self.directory)
    }

    /// The input, as the step is given it.
    pub fn input(&self) -> String {
        Value::Object(self.input.clone()).to_string()
    }
}

/// Runs every case of a plugin's folder (`env!("CARGO_MANIFEST_DIR")`): the plan must be
/// the same twice, what the step does must be what `expected.json` says, and after a kill
/// at its very end it must come to the same without running anything again. With
/// `COFFERDAM_UPDATE_CASES=1` in the environment `expected.json` is written instead of
/// compared.
///
/// # Panics
///
/// With every difference found, so that a test needs no more than the call.
pub fn run_step_cases<T: WorkflowStep>(plugin: impl AsRef<Path>) {
    let plugin = plugin.as_ref();
    run_case_folders(plugin, |directory| {
        let defaults = super::plugin_defaults(plugin)?;
        run_case::<T>(&StepCase::load(directory)?, &defaults)
    });
}

/// What a step does in one case.
fn run_case<T: WorkflowStep>(case: &StepCase, defaults: &Map<String, Value>) -> Result<StepResult> {
    let (mut host, input) = (case.host(defaults), case.input());
    if let Err(refused) = text::validate::<T>(&host, &input) {
        return Ok(StepResult {
            refused: Some(refused),
            ..StepResult::default()
        });
    }
    let plan = text::plan::<T>(&host, &input).map_err(|error| error.context("no plan"))?;
    if text::plan::<T>(&host, &input).as_ref() != Ok(&plan) {
        return Err(Error::conflict("the same input gives another plan"));
    }
    let ended = text::execute::<T>(&mut host, &input);
    let (runs, kept) = (host.runs().to_vec(), host.kept().to_vec());
    if text::execute::<T>(&mut host, &input) != ended || host.runs() != runs {
        return Err(Error::conflict(
            "executed again after a kill, the step comes to another end or runs more programs",
        ));
    }
    let (output, error) = match ended {
        Ok(output) => {
            let output = serde_json::from_str(&output).map_err(|error| {
                Error::invalid(format!("the step's output is no JSON: {error}"))
            })?;
            (Some(output), None)
        }
        Err(error) => (None, Some(error)),
    };
    Ok(StepResult {
        refused: None,
        plan: Some(plan),
        runs,
        kept,
        output,
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{context::Context, step::StepHost};
    use std::fs;

    /// Says a word with a program.
    struct Echo;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Input {
        word: String,
    }

    #[derive(Serialize, Deserialize)]
    struct Output {
        said: String,
    }

    impl WorkflowStep for Echo {
        type Input = Input;
        type Output = Output;

        fn plan(_: &dyn Context, input: &Input) -> Result<StepPlan> {
            Ok(StepPlan::new("Says a word").change("say", &input.word, ""))
        }
        fn execute(host: &mut impl StepHost, input: Input) -> Result<Output> {
            let outcome = host.run(&ToolRequest::new("say", "echo").argument(input.word))?;
            Ok(Output { said: outcome.tail })
        }
    }

    fn plugin(case: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("cases/one")).unwrap();
        fs::write(folder.path().join("plugin.toml"), "id = 'echo'").unwrap();
        fs::write(folder.path().join("cases/one/case.toml"), case).unwrap();
        folder
    }

    fn result(case: &str) -> StepResult {
        let folder = plugin(case);
        let case = StepCase::load(&folder.path().join("cases/one")).unwrap();
        run_case::<Echo>(&case, &Map::new()).unwrap()
    }

    #[test]
    fn a_case_tells_everything_that_a_step_did() {
        let done = result(
            "description = 'd'\ninput.word = 'hello'\n\
             [tools.say.outcome]\nexit = 0\ntail = 'hello'\n",
        );
        assert_eq!(done.output, Some(serde_json::json!({"said": "hello"})));
        assert_eq!(done.runs[0].command_line(), "echo hello");
        assert_eq!(done.plan.unwrap().changes[0].subject, "hello");
        let refused = result("description = 'd'\ninput.wort = 'hello'");
        let refused = refused.refused.unwrap();
        assert!(
            refused.message.contains("unknown field `wort`"),
            "{refused}"
        );
        let denied = result(
            "description = 'd'\ninput.word = 'x'\n\
             [tools.say.error]\ncode = 'denied'\nmessage = 'not granted'\n",
        );
        assert_eq!(denied.error.unwrap().code, ErrorCode::Denied);
    }

    #[test]
    #[should_panic(expected = "COFFERDAM_UPDATE_CASES")]
    fn a_case_without_an_expectation_fails() {
        let folder = plugin("description = 'd'\ninput.word = 'x'\n");
        run_step_cases::<Echo>(folder.path());
    }
}
