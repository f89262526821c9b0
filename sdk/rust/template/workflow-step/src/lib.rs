//! The workflow step {{name}}: joins words into one text.
//!
//! It needs nothing of the host. A step that runs a program or reads a secret asks for it in
//! `[[capabilities]]` of plugin.toml, and uses `host.run(…)` or `host.secret(…)`.

use cofferdam_sdk::step::StepPlan;
use cofferdam_sdk::{Context, Error, Result, StepHost, WorkflowStep};
use serde::{Deserialize, Serialize};

/// The step.
pub struct {{pascal}};

/// What the workflow gives it under `with`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    words: Vec<String>,
}

/// What later steps can refer to.
#[derive(Serialize, Deserialize)]
pub struct Output {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    separator: String,
}

fn join(context: &(impl Context + ?Sized), input: &Input) -> Result<String> {
    let settings: Settings = cofferdam_sdk::context::settings(context)?;
    Ok(input.words.join(&settings.separator))
}

impl WorkflowStep for {{pascal}} {
    type Input = Input;
    type Output = Output;

    fn validate(_: &dyn Context, input: &Input) -> Result<()> {
        if input.words.is_empty() {
            return Err(Error::invalid("`words` is empty; give at least one"));
        }
        Ok(())
    }

    /// What `execute` would do, for the person who approves it. Without effects.
    fn plan(context: &dyn Context, input: &Input) -> Result<StepPlan> {
        let text = join(context, input)?;
        Ok(StepPlan::new(format!("Gives the text {text:?}")))
    }

    fn execute(host: &mut impl StepHost, input: Input) -> Result<Output> {
        Ok(Output {
            text: join(host, &input)?,
        })
    }
}

cofferdam_sdk::export_workflow_step!({{pascal}});

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_sdk::testing::run_step_cases;

    /// Every folder below `cases/`.
    #[test]
    fn cases() {
        run_step_cases::<{{pascal}}>(env!("CARGO_MANIFEST_DIR"));
    }
}
