//! The host of a workflow step, in memory: programs answer what a test says they do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::context::{MemoryContext, delegate_context};
use crate::{
    error::{Error, Result},
    step::{StepHost, ToolOutcome, ToolRequest},
};

/// A file that was made an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Its path in the working folder.
    pub file: String,
    /// The artifact's name.
    pub name: String,
}

/// What a step under test may use.
///
/// It keeps the promises of the contract: an operation that has an outcome gives it again
/// without another run, and the same operation with another request is `conflict`.
#[derive(Debug, Default)]
pub struct MemoryStep {
    /// The call.
    pub context: MemoryContext,
    /// Granted secrets.
    pub secrets: BTreeMap<String, String>,
    /// Files in the working folder.
    pub files: BTreeSet<String>,
    answers: BTreeMap<String, Result<ToolOutcome>>,
    runs: Vec<ToolRequest>,
    kept: Vec<Kept>,
}

impl MemoryStep {
    /// A host that grants nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how the program that is run as `operation` ends. An error stands for what the
    /// host refuses.
    pub fn answer(&mut self, operation: impl Into<String>, outcome: Result<ToolOutcome>) {
        self.answers.insert(operation.into(), outcome);
    }

    /// The programs that were started, in order.
    pub fn runs(&self) -> &[ToolRequest] {
        &self.runs
    }

    /// The artifacts that were made, in order.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }
}

delegate_context!(MemoryStep);

impl StepHost for MemoryStep {
    fn run(&mut self, request: &ToolRequest) -> Result<ToolOutcome> {
        let operation = &request.operation;
        match self.runs.iter().find(|run| run.operation == *operation) {
            Some(earlier) if earlier == request => {}
            Some(_) => {
                return Err(Error::conflict(format!(
                    "the operation {operation} was begun with another request"
                )));
            }
            None => self.runs.push(request.clone()),
        }
        self.answers.get(operation).cloned().unwrap_or_else(|| {
            Err(Error::denied(format!(
                "the test has no answer for the operation {operation}"
            )))
        })
    }

    fn keep(&mut self, file: &str, name: &str) -> Result<String> {
        if !self.files.contains(file) {
            return Err(Error::not_found(format!(
                "there is no file {file} in the working folder"
            )));
        }
        let kept = Kept {
            file: file.to_owned(),
            name: name.to_owned(),
        };
        if !self.kept.contains(&kept) {
            self.kept.push(kept);
        }
        Ok(format!("artifact:test/{name}"))
    }

    fn secret(&self, name: &str) -> Result<Vec<u8>> {
        let value = self.secrets.get(name);
        let value = value.map(|value| value.clone().into_bytes());
        value.ok_or_else(|| Error::denied(format!("the secret {name} is not granted")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn an_operation_is_run_once() {
        let mut host = MemoryStep::new();
        let outcome = ToolOutcome {
            exit: Some(0),
            ..ToolOutcome::default()
        };
        host.answer("a", Ok(outcome.clone()));
        let request = ToolRequest::new("a", "echo");
        assert_eq!(host.run(&request), Ok(outcome.clone()));
        assert_eq!(host.run(&request), Ok(outcome));
        assert_eq!(host.runs().len(), 1);
        let other = host.run(&request.argument("x")).unwrap_err();
        assert_eq!(other.code, ErrorCode::Conflict);
        let unknown = host.run(&ToolRequest::new("b", "echo")).unwrap_err();
        assert_eq!(unknown.code, ErrorCode::Denied);
    }

    #[test]
    fn only_what_is_there_is_kept_and_only_what_is_granted_is_told() {
        let mut host = MemoryStep::new();
        assert_eq!(host.keep("a", "b").unwrap_err().code, ErrorCode::NotFound);
        host.files.insert("a".into());
        assert_eq!(host.keep("a", "b").unwrap(), "artifact:test/b");
        assert_eq!(host.kept().len(), 1);
        assert_eq!(host.secret("s").unwrap_err().code, ErrorCode::Denied);
        host.secrets.insert("s".into(), "v".into());
        assert_eq!(host.secret("s").unwrap(), b"v");
    }
}
