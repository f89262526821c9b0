//! The step `migrate/plan`: plans and rehearses.

use super::input::PlanInput;
use super::{About, Migrations};
use crate::MigrateError;
use crate::migration::output::Output;
use crate::migration::plan::Plan;
use crate::migration::run;
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::types::{PlannedChange, StepPlan};
use cofferdam_disk::DiskError;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The step's id.
pub const ID: &str = "migrate/plan";

/// How often and how long apart a copy that was stopped is waited for.
const TRIES: u32 = 100;
const BETWEEN: Duration = Duration::from_millis(100);

/// The step.
pub struct PlanStep {
    about: About,
    shared: Arc<Migrations>,
}

impl PlanStep {
    pub(super) fn new(shared: Arc<Migrations>) -> Self {
        Self {
            about: About::new(
                ID,
                "Plans what makes a machine's disks bootable on KVM, and rehearses it on overlays",
            ),
            shared,
        }
    }

    fn input(&self, call: &str, input: &str) -> Result<PlanInput, CallError> {
        let input: PlanInput = self.about.read(call, input)?;
        input.check_new().map_err(self.about.answered(call))?;
        Ok(input)
    }
}

impl Plugin for PlanStep {
    fn manifest(&self) -> &Manifest {
        &self.about.manifest
    }

    fn digest(&self) -> &str {
        &self.about.digest
    }
}

#[async_trait]
impl WorkflowStep for PlanStep {
    async fn validate(&self, _: Call, _: StepServices, input: &str) -> Result<(), CallError> {
        self.input("validate", input).map(drop)
    }

    async fn plan(&self, _: Call, _: StepServices, input: &str) -> Result<StepPlan, CallError> {
        let input = self.input("plan", input)?;
        let change = |path: &Path| PlannedChange {
            action: "read".to_owned(),
            subject: path.display().to_string(),
            detail: "on an overlay; the disk itself stays as it is".to_owned(),
        };
        Ok(StepPlan {
            summary: "Plans a migration and rehearses it; nothing but overlays is written"
                .to_owned(),
            changes: input
                .disks
                .iter()
                .flatten()
                .map(|disk| change(disk))
                .collect(),
        })
    }

    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let (answered, failed) = (self.about.answered("execute"), self.about.failed("execute"));
        let input = self.input("execute", input)?;
        let run = call.context.run_id();
        let more = input.set.clone().unwrap_or_default();
        let pins = self.shared.pin(&run, &more).await.map_err(&answered)?;
        let saved = input.apply.as_deref().map(Plan::read).transpose();
        let saved = saved.map_err(&failed)?;
        let job = self
            .shared
            .job(&call, &input, &pins, saved.as_ref())
            .await
            .map_err(&answered)?;
        if let Some(saved) = &saved {
            // Better found before the work than after.
            Output::check(&input.out, &saved.disk_names()).map_err(&failed)?;
        }
        let rehearsed = job
            .on_thread(async move |request| match &saved {
                Some(saved) => run::reproduce(&request, saved).await,
                None => run::plan(&request).await,
            })
            .await
            .map_err(&failed)?;
        let plan = &rehearsed.plan;
        let names = plan.disk_names();
        Output::check(&input.out, &names).map_err(&failed)?;
        let file = self.shared.folder(&run).join("plan.json");
        plan.write(&file).map_err(&failed)?;
        let artifact = services.artifacts.add(&file, "plan.json").await;
        let output = json!({
            "plan": artifact.map_err(&answered)?,
            "digest": plan.digest,
            "edits_digest": plan.edits_digest,
            "edits": plan.edits.len(),
            "disks": names,
            "machine": plan.machine.name,
            "firmware": plan.machine.firmware,
            "memory": plan.machine.memory,
            "format": plan.binding.target.format,
            "disk_bus": plan.binding.target.disk_bus,
        });
        self.shared.keep(&run, rehearsed);
        Ok(output.to_string())
    }

    /// Clears what the run left unfinished in the output folder: copies are made under this
    /// step's plan.
    async fn compensate(
        &self,
        call: Call,
        _: StepServices,
        input: &str,
        _: Option<&str>,
    ) -> Result<(), CallError> {
        let input = self.input("compensate", input)?;
        let run = call.context.run_id();
        drop(self.shared.take(&run));
        let mut tries = 0;
        loop {
            match Output::discard(&input.out, &run) {
                // Threads of a copy that was stopped end with what they have begun.
                Err(MigrateError::Disk(DiskError::Locked { .. })) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(BETWEEN).await;
                }
                other => return other.map_err(self.about.failed("compensate")),
            }
        }
    }
}
