//! The kind of workflow steps: the trait that an author implements, what it may use of the
//! host, and what joins it to the host.
//!
//! A step is written straight on: it calls a program and waits. When the host is killed it
//! runs again in a fresh instance with the same input, and an operation that has ended
//! gives its recorded outcome; so operations have names, and a step asks for the same ones
//! each time.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    context::Context,
    error::{Error, Result},
};

/// One step of a workflow. Exported with [`crate::export_workflow_step!`].
pub trait WorkflowStep {
    /// What the workflow gives it under `with`. `deny_unknown_fields` makes a misspelt key
    /// an error.
    type Input: DeserializeOwned;
    /// What later steps can refer to; a JSON object.
    type Output: Serialize + DeserializeOwned;

    /// Checks what the input's type cannot say. Without effects.
    fn validate(_context: &dyn Context, _input: &Self::Input) -> Result<()> {
        Ok(())
    }

    /// Says what [`execute`](Self::execute) would do, for the person who approves it.
    /// Without effects, and the same for the same input and settings.
    fn plan(context: &dyn Context, input: &Self::Input) -> Result<StepPlan>;

    /// Does it. `impl` and not `dyn`, so that a component imports only what it calls: what
    /// it imports has to be granted.
    fn execute(host: &mut impl StepHost, input: Self::Input) -> Result<Self::Output>;

    /// Undoes it; `output` is none where it did not end well. Undoing twice is no error.
    fn compensate(
        _host: &mut impl StepHost,
        _input: Self::Input,
        _output: Option<Self::Output>,
    ) -> Result<()> {
        Ok(())
    }
}

/// What a step that acts may use, each function where the operator granted it.
pub trait StepHost: Context {
    /// Runs a granted program to its end (`cofferdam:tool/tool`), once for each operation.
    /// A program that fails is an outcome.
    fn run(&mut self, request: &ToolRequest) -> Result<ToolOutcome>;
    /// Makes a file of the step's working folder an artifact of the run; its reference.
    fn keep(&mut self, file: &str, name: &str) -> Result<String>;
    /// The value of a granted secret (`cofferdam:runtime/secrets`). Never log it.
    fn secret(&self, name: &str) -> Result<Vec<u8>>;
}

/// What a step would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepPlan {
    /// One sentence.
    pub summary: String,
    /// The changes in their order.
    pub changes: Vec<PlannedChange>,
}

/// One thing that a step would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedChange {
    /// What would be done, a verb.
    pub action: String,
    /// What it would be done to.
    pub subject: String,
    /// How exactly; may be empty.
    pub detail: String,
}

impl StepPlan {
    /// A plan that changes nothing.
    pub fn new(summary: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            changes: Vec::new(),
        }
    }

    /// The same plan with one more change.
    #[must_use]
    pub fn change(
        mut self,
        action: impl Into<String>,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        self.changes.push(PlannedChange {
            action: action.into(),
            subject: subject.into(),
            detail: detail.into(),
        });
        self
    }
}

/// What every reference to an artifact begins with (`artifact:STEP/FILE`).
pub const ARTIFACT: &str = "artifact:";

/// One argument of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Argument {
    /// A text.
    Text(String),
    /// The path of an artifact, within a text.
    Artifact {
        /// `artifact:STEP/FILE` or `artifact:inputs/NAME`.
        reference: String,
        /// With `{}` once where the path goes.
        template: String,
        /// Whether the program may write to the file.
        writable: bool,
    },
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ToolRequest {
    /// Unique in the step, and the same in every attempt.
    pub operation: String,
    /// The name that the grant gives the program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// Regular expressions over its output; the first that is found stops it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_when: Vec<String>,
    /// Milliseconds after which it is stopped.
    pub timeout_ms: u32,
}

impl ToolRequest {
    /// Runs `program` as `operation`, for at most ten minutes.
    pub fn new(operation: impl Into<String>, program: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            program: program.into(),
            arguments: Vec::new(),
            stop_when: Vec::new(),
            timeout_ms: 600_000,
        }
    }

    /// With one more argument.
    #[must_use]
    pub fn argument(mut self, text: impl Into<String>) -> Self {
        self.arguments.push(Argument::Text(text.into()));
        self
    }

    /// With more arguments.
    #[must_use]
    pub fn arguments<T: Into<String>>(mut self, texts: impl IntoIterator<Item = T>) -> Self {
        let texts = texts.into_iter().map(|text| Argument::Text(text.into()));
        self.arguments.extend(texts);
        self
    }

    /// With the path of an artifact as one more argument, to read.
    #[must_use]
    pub fn artifact(self, reference: impl Into<String>, template: impl Into<String>) -> Self {
        self.file(reference.into(), template.into(), false)
    }

    /// With the path of an artifact as one more argument, to write to.
    #[must_use]
    pub fn writable_artifact(
        self,
        reference: impl Into<String>,
        template: impl Into<String>,
    ) -> Self {
        self.file(reference.into(), template.into(), true)
    }

    fn file(mut self, reference: String, template: String, writable: bool) -> Self {
        self.arguments.push(Argument::Artifact {
            reference,
            template,
            writable,
        });
        self
    }

    /// Stopped when this regular expression is found in the output, too.
    #[must_use]
    pub fn stop_when(mut self, expression: impl Into<String>) -> Self {
        self.stop_when.push(expression.into());
        self
    }

    /// With this much time; less than a millisecond counts as one.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = u32::try_from(timeout.as_millis())
            .unwrap_or(u32::MAX)
            .max(1);
        self
    }

    /// The command as a person would type it, for plans: what a shell would treat
    /// otherwise is quoted, an artifact is its reference.
    pub fn command_line(&self) -> String {
        let mut words = vec![quoted(&self.program)];
        words.extend(self.arguments.iter().map(|argument| match argument {
            Argument::Text(text) => quoted(text),
            Argument::Artifact {
                reference,
                template,
                ..
            } => quoted(&template.replace("{}", reference)),
        }));
        words.join(" ")
    }
}

/// A word as a POSIX shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// How a program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct ToolOutcome {
    /// Its exit status, where it ended by itself.
    pub exit: Option<i32>,
    /// The signal that ended it, where that was not the host's doing.
    pub signal: Option<i32>,
    /// Which expression of `stop_when` was found.
    pub matched: Option<u32>,
    /// Whether its time was over.
    pub timed_out: bool,
    /// The end of its output, at most 64 KiB.
    pub tail: String,
    /// How many bytes of output it made.
    pub output_bytes: u64,
}

/// What stands between the texts of the contract and an author's types.
pub mod text {
    use super::{Context, Error, Result, StepHost, StepPlan, WorkflowStep};

    /// The input as the step's own type.
    fn input<T: WorkflowStep>(input: &str) -> Result<T::Input> {
        // By way of a value, so that no place in a text that nobody wrote is named.
        let value: serde_json::Value = serde_json::from_str(input)
            .map_err(|error| Error::invalid(format!("the step's input is no JSON: {error}")))?;
        serde_json::from_value(value)
            .map_err(|error| Error::invalid(format!("the step's input does not fit: {error}")))
    }

    /// `validate`.
    pub fn validate<T: WorkflowStep>(context: &dyn Context, text: &str) -> Result<()> {
        T::validate(context, &input::<T>(text)?)
    }

    /// `plan`.
    pub fn plan<T: WorkflowStep>(context: &dyn Context, text: &str) -> Result<StepPlan> {
        let input = input::<T>(text)?;
        T::validate(context, &input)?;
        T::plan(context, &input)
    }

    /// `execute`.
    pub fn execute<T: WorkflowStep>(host: &mut impl StepHost, text: &str) -> Result<String> {
        let input = input::<T>(text)?;
        T::validate(host, &input)?;
        let output = T::execute(host, input)?;
        serde_json::to_string(&output)
            .map_err(|error| Error::other(format!("the step's output is no JSON: {error}")))
    }

    /// `compensate`.
    pub fn compensate<T: WorkflowStep>(
        host: &mut impl StepHost,
        text: &str,
        output: Option<&str>,
    ) -> Result<()> {
        let output = output.map(serde_json::from_str).transpose();
        let output = output
            .map_err(|error| Error::invalid(format!("the step's output does not fit: {error}")))?;
        T::compensate(host, input::<T>(text)?, output)
    }
}

/// Makes a [`WorkflowStep`] the export of this component. Natively it only checks the type.
#[cfg(feature = "workflow-step")]
#[macro_export]
macro_rules! export_workflow_step {
    ($step:ty) => {
        #[cfg(target_family = "wasm")]
        mod cofferdam_export {
            use super::*;
            type Component = $crate::step::Exported<$step>;
            $crate::bindings::workflow_step::export!(
                Component with_types_in $crate::bindings::workflow_step
            );
        }
        #[cfg(not(target_family = "wasm"))]
        const _: fn(&dyn $crate::Context, &str) -> $crate::Result<()> =
            $crate::step::text::validate::<$step>;
    };
}

#[cfg(feature = "workflow-step")]
pub use host::Exported;

#[cfg(feature = "workflow-step")]
mod host {
    use std::marker::PhantomData;

    use super::{Argument, StepHost, ToolOutcome, ToolRequest, WorkflowStep, text};
    use crate::{
        bindings::workflow_step::{
            cofferdam::{runtime::secrets, tool::tool},
            exports::cofferdam::plugin::step,
        },
        context::host_context,
        error::{Error, Result},
    };

    /// Joins an author's type to the generated export.
    #[doc(hidden)]
    pub struct Exported<T>(PhantomData<T>);

    impl<T: WorkflowStep> step::Guest for Exported<T> {
        fn validate(input: String) -> Result<(), Error> {
            text::validate::<T>(&Host, &input)
        }
        fn plan(input: String) -> Result<step::StepPlan, Error> {
            let plan = text::plan::<T>(&Host, &input)?;
            let changes = plan.changes.into_iter();
            Ok(step::StepPlan {
                summary: plan.summary,
                changes: changes
                    .map(|change| step::PlannedChange {
                        action: change.action,
                        subject: change.subject,
                        detail: change.detail,
                    })
                    .collect(),
            })
        }
        fn execute(input: String) -> Result<String, Error> {
            text::execute::<T>(&mut Host, &input)
        }
        fn compensate(input: String, output: Option<String>) -> Result<(), Error> {
            text::compensate::<T>(&mut Host, &input, output.as_deref())
        }
    }

    /// The host behind the imports.
    struct Host;

    host_context!(Host, crate::bindings::workflow_step);

    fn argument(argument: &Argument) -> tool::Argument {
        match argument {
            Argument::Text(text) => tool::Argument::Text(text.clone()),
            Argument::Artifact {
                reference,
                template,
                writable,
            } => tool::Argument::Artifact(tool::ArtifactArgument {
                reference: reference.clone(),
                template: template.clone(),
                writable: *writable,
            }),
        }
    }

    impl StepHost for Host {
        fn run(&mut self, request: &ToolRequest) -> Result<ToolOutcome> {
            let outcome = tool::run(&tool::Request {
                operation: request.operation.clone(),
                program: request.program.clone(),
                arguments: request.arguments.iter().map(argument).collect(),
                stop_when: request.stop_when.clone(),
                timeout_ms: request.timeout_ms,
            })?;
            Ok(ToolOutcome {
                exit: outcome.exit,
                signal: outcome.signal,
                matched: outcome.matched,
                timed_out: outcome.timed_out,
                tail: outcome.tail,
                output_bytes: outcome.output_bytes,
            })
        }
        fn keep(&mut self, file: &str, name: &str) -> Result<String> {
            tool::keep(file, name)
        }
        fn secret(&self, name: &str) -> Result<Vec<u8>> {
            secrets::get(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_typed() {
        let request = ToolRequest::new("a", "echo")
            .arguments(["-n", "it's", "a b", "", "$HOME"])
            .artifact("artifact:inputs/disk", "file={},if=virtio");
        assert_eq!(
            request.command_line(),
            r"echo -n 'it'\''s' 'a b' '' '$HOME' file=artifact:inputs/disk,if=virtio"
        );
    }

    #[test]
    fn a_timeout_is_never_nothing() {
        let request = ToolRequest::new("a", "b");
        assert_eq!(request.clone().timeout(Duration::ZERO).timeout_ms, 1);
        assert_eq!(request.timeout(Duration::MAX).timeout_ms, u32::MAX);
    }
}
