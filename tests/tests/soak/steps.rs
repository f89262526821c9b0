//! The one native step of the lean host, and its workflow.

use crate::ledger::Ledger;
use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::{Call, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::Begun;
use cofferdam_contract::types::{Error, PlannedChange, StepPlan};
use serde_json::{Value, json};

/// Ten steps: branches that run beside each other, an approval, three that are undone where
/// the last one fails.
pub const WORKFLOW: &str = "
name: ten
inputs: { fail: { type: boolean, default: false } }
steps:
  - { id: s1, uses: effect, compensate: true, with: { name: s1 } }
  - { id: s2, uses: effect, compensate: true, needs: [s1], with: { name: s2 } }
  - { id: s3, uses: effect, needs: [s1], with: { name: s3 } }
  - { id: s4, uses: effect, with: { name: s4, note: '${{ steps.s2.outputs.key }}' } }
  - { id: s5, uses: effect, compensate: true, needs: [s3], with: { name: s5 } }
  - { id: s6, uses: effect, needs: [s4, s5], approval: true, with: { name: s6 } }
  - { id: s7, uses: effect, needs: [s6], with: { name: s7 } }
  - { id: s8, uses: effect, needs: [s6], with: { name: s8 } }
  - { id: s9, uses: effect, needs: [s7, s8], with: { name: s9 } }
  - { id: s10, uses: effect, needs: [s9], with: { name: s10, fail: '${{ inputs.fail }}' } }
outputs:
  last: '${{ steps.s10.outputs.name }}'
  noted: '${{ steps.s4.outputs.note == steps.s2.outputs.key }}'
";

/// A step whose one effect is a line in the ledger.
pub struct Effect {
    manifest: Manifest,
    ledger: Ledger,
}

impl Effect {
    pub fn new(ledger: Ledger) -> Self {
        let manifest = "id = \"effect\"\nversion = \"0.1.0\"\nsummary = \"Writes one line\"";
        Self {
            manifest: Manifest::parse(manifest).unwrap(),
            ledger,
        }
    }

    /// One effect for each key: it is looked for before it is had.
    async fn once(
        &self,
        services: &StepServices,
        operation: &str,
        what: &str,
    ) -> Result<Value, Error> {
        let key = match services.operations.begin(operation, json!(what)).await? {
            Begun::Finished { result } => return Ok(result),
            Begun::New { key } => {
                assert!(!self.ledger.has(&key), "an effect that the journal forgot");
                key
            }
            Begun::Started { key } => key,
        };
        if !self.ledger.has(&key) {
            self.ledger.add(&key, what);
        }
        let result = json!({ "key": key });
        services
            .operations
            .finish(operation, result.clone())
            .await?;
        Ok(result)
    }
}

fn refused(call: &str, error: Error) -> CallError {
    CallError::Returned {
        callee: Callee {
            plugin: "effect".to_owned(),
            call: call.to_owned(),
        },
        error,
    }
}

fn name(input: &Value) -> &str {
    input["name"].as_str().unwrap()
}

impl Plugin for Effect {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn digest(&self) -> &'static str {
        "native:0.1.0"
    }
}

#[async_trait]
impl WorkflowStep for Effect {
    async fn validate(&self, _: Call, _: StepServices, _: &str) -> Result<(), CallError> {
        Ok(())
    }

    async fn plan(&self, _: Call, _: StepServices, input: &str) -> Result<StepPlan, CallError> {
        let input: Value = serde_json::from_str(input).unwrap();
        Ok(StepPlan {
            summary: "write one line".to_owned(),
            changes: vec![PlannedChange {
                action: "write".to_owned(),
                subject: name(&input).to_owned(),
                detail: String::new(),
            }],
        })
    }

    async fn execute(
        &self,
        _: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let input: Value = serde_json::from_str(input).unwrap();
        let mut output = self
            .once(&services, "write", &format!("do {}", name(&input)))
            .await
            .map_err(|error| refused("execute", error))?;
        if input["fail"] == json!(true) {
            return Err(refused("execute", Error::invalid("the input says so")));
        }
        output["name"] = input["name"].clone();
        output["note"] = input["note"].clone();
        Ok(output.to_string())
    }

    async fn compensate(
        &self,
        _: Call,
        services: StepServices,
        input: &str,
        output: Option<&str>,
    ) -> Result<(), CallError> {
        let input: Value = serde_json::from_str(input).unwrap();
        assert!(output.is_some(), "only what succeeded is undone");
        self.once(&services, "undo", &format!("undo {}", name(&input)))
            .await
            .map_err(|error| refused("compensate", error))?;
        Ok(())
    }
}
