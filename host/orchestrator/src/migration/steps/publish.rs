//! The step `migrate/publish`: the reports, and everything into its place.

use super::copy::{Copied, read_plan};
use super::{About, Migrations};
use crate::MigrateError;
use crate::migration::output::{Output, published};
use crate::migration::report::Report;
use crate::observer::{Observer, Stage};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::Begun;
use cofferdam_contract::types::{PlannedChange, StepPlan};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// The step's id.
pub const ID: &str = "migrate/publish";

const OPERATION: &str = "publish";

/// The step's input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The plan, an artifact.
    plan: String,
    /// Its digest.
    digest: String,
    /// Absolute path of the output folder.
    out: PathBuf,
    /// What the copy put out.
    copied: Copied,
}

/// The step.
pub struct PublishStep {
    about: About,
    shared: Arc<Migrations>,
}

impl PublishStep {
    pub(super) fn new(shared: Arc<Migrations>) -> Self {
        Self {
            about: About::new(
                ID,
                "Moves the disks of a migration and their reports to their places",
            ),
            shared,
        }
    }

    async fn publish(
        &self,
        call: &Call,
        services: &StepServices,
        input: &Input,
    ) -> Result<(), CallError> {
        let (answered, failed) = (self.about.answered("execute"), self.about.failed("execute"));
        let asked = json!({ "out": input.out, "disks": input.copied.disks });
        let begun = services.operations.begin(OPERATION, asked).await;
        match begun.map_err(&answered)? {
            Begun::Finished { .. } => return Ok(()),
            // All is in its place, and the end was not recorded.
            Begun::Started { .. } if published(&input.out, &input.copied.disks).is_some() => {}
            Begun::New { .. } | Begun::Started { .. } => {
                super::observer::Told(Arc::clone(&call.context)).stage(Stage::Report);
                let plan = read_plan(services, &input.plan, &input.digest).await;
                let plan = plan.map_err(&answered)?;
                let disks = input.copied.disks.clone();
                let (out, run) = (input.out.clone(), call.context.run_id());
                let timings = input.copied.timings.clone();
                let moved = tokio::task::spawn_blocking(move || {
                    let output = Output::of_run(&out, &plan.disk_names(), &run)?;
                    let report = Report {
                        disks: disks.iter().map(|copied| copied.disk.clone()).collect(),
                        timings,
                        plan,
                    };
                    output.publish(&disks, report)
                });
                moved
                    .await
                    .unwrap_or_else(|error| Err(MigrateError::Host(error.to_string())))
                    .map_err(&failed)?;
            }
        }
        let finished = services.operations.finish(OPERATION, Value::Null).await;
        finished.map_err(&answered)
    }
}

impl Plugin for PublishStep {
    fn manifest(&self) -> &Manifest {
        &self.about.manifest
    }

    fn digest(&self) -> &str {
        &self.about.digest
    }
}

#[async_trait]
impl WorkflowStep for PublishStep {
    async fn validate(&self, _: Call, _: StepServices, input: &str) -> Result<(), CallError> {
        self.about.read::<Input>("validate", input).map(drop)
    }

    async fn plan(&self, _: Call, _: StepServices, input: &str) -> Result<StepPlan, CallError> {
        let input: Input = self.about.read("plan", input)?;
        let disks = input.copied.disks.iter();
        Ok(StepPlan {
            summary: format!("Moves the new disks into {}", input.out.display()),
            changes: disks
                .map(|copied| PlannedChange {
                    action: "create".to_owned(),
                    subject: input.out.join(&copied.disk.file).display().to_string(),
                    detail: format!("{} bytes", copied.disk.file_size),
                })
                .collect(),
        })
    }

    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let answered = self.about.answered("execute");
        let input: Input = self.about.read("execute", input)?;
        self.publish(&call, &services, &input).await?;
        let mut disks = Vec::new();
        for copied in &input.copied.disks {
            let name = &copied.disk.file;
            let added = services.artifacts.add(&input.out.join(name), name).await;
            disks.push(json!({ "artifact": added.map_err(&answered)?, "file": name }));
        }
        let report = services
            .artifacts
            .add(&input.out.join("report.json"), "report.json")
            .await;
        drop(self.shared.take(&call.context.run_id()));
        Ok(json!({ "report": report.map_err(&answered)?, "disks": disks }).to_string())
    }

    /// Nothing: what is in its place is the operator's.
    async fn compensate(
        &self,
        _: Call,
        _: StepServices,
        _: &str,
        _: Option<&str>,
    ) -> Result<(), CallError> {
        Ok(())
    }
}
