//! A step that gives its secret away.
//!
//! **Problem.** That the host keeps secrets out of what it writes down is only shown by a
//! plugin that puts one wherever it can.
//!
//! **Design.** The secret goes, plain and encoded, into progress, log lines and their fields,
//! a program's arguments, expressions and output, the step's output with its keys, and, where
//! the input says `fail`, into the error and its hint.
//!
//! **Limits.** For the tests; the operator of a real host would not grant it anything.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cofferdam_sdk::context::Level;
use cofferdam_sdk::step::{StepPlan, ToolRequest};
use cofferdam_sdk::{Context, Error, Result, StepHost, WorkflowStep};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The step.
pub struct Indiscreet;

/// What a workflow gives the step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The secret's name.
    secret: String,
    /// Ends with an error.
    #[serde(default)]
    fail: bool,
}

/// Everything once more.
#[derive(Debug, Serialize, Deserialize)]
pub struct Output {
    /// The secret's length, to show that it was there, bytes.
    length: usize,
    /// As it is, as base64 alone and with a name before it, and hexadecimal.
    said: Vec<String>,
    /// As a key.
    keys: BTreeMap<String, bool>,
    /// What the program said.
    tail: String,
}

/// The program's script: `$1` is the secret.
const SCRIPT: &str = r#"
printf 'plain %s\n' "$1"
printf 'in pieces %s' "${1%????}"; sleep 0.05; printf '%s\n' "${1#"${1%????}"}"
printf '%s' "$1" | base64 -w0; echo
printf 'user:%s' "$1" | base64 -w0; echo
printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; echo
echo "length ${#1}"
"#;

impl WorkflowStep for Indiscreet {
    type Input = Input;
    type Output = Output;

    fn plan(_: &dyn Context, input: &Input) -> Result<StepPlan> {
        let plan = StepPlan::new("Says a secret wherever it can");
        Ok(plan.change("say", &input.secret, ""))
    }

    fn execute(host: &mut impl StepHost, input: Input) -> Result<Output> {
        let value = host.secret(&input.secret)?;
        let text = String::from_utf8_lossy(&value).into_owned();
        let said = vec![
            text.clone(),
            STANDARD.encode(&value),
            STANDARD.encode(format!("user:{text}")),
            hex::encode(&value),
        ];
        host.progress(1, 2, &text);
        for form in &said {
            host.log(
                Level::Warn,
                &format!("it is {form}"),
                &[("value", form), (form, "x")],
            );
        }
        let request = ToolRequest::new("say", "sh")
            .argument("-c")
            .argument(SCRIPT)
            .argument("sh")
            .argument(&text);
        let tail = host.run(&request)?.tail;
        if input.fail {
            return Err(
                Error::other(format!("cannot log in with {}: {tail}", said.join(", ")))
                    .with_hint(format!("try another one than {text}")),
            );
        }
        Ok(Output {
            length: value.len(),
            keys: said.iter().map(|form| (form.clone(), true)).collect(),
            said,
            tail,
        })
    }
}

cofferdam_sdk::export_workflow_step!(Indiscreet);
