//! The step `migrate/copy`: makes the new disks as they were approved.

use super::input::PlanInput;
use super::{About, Migrations};
use crate::MigrateError;
use crate::guest::Note;
use crate::migration::apply::copy;
use crate::migration::output::{CopiedDisk, Output};
use crate::migration::plan::Plan;
use crate::migration::run::{self, Rehearsed};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::Begun;
use cofferdam_contract::types::{Error, ErrorCode, PlannedChange, StepPlan};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The step's id.
pub const ID: &str = "migrate/copy";

/// The name of the step's only operation.
const OPERATION: &str = "copy";
/// Most changes that a step's plan has, as the contract says, less what is said of disks.
const MOST_CHANGES: usize = 900;
/// Most bytes of a change's detail, and of all details: the plan file has all of them.
const MOST_DETAIL: usize = 16 << 10;
const MOST_DETAILS: usize = 512 << 10;

/// The step's input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The plan, an artifact.
    plan: String,
    /// Its digest.
    digest: String,
    /// Threads for all disks together; 0 for the host's choice.
    #[serde(default)]
    threads: Option<usize>,
    /// What the plan was made of.
    request: PlanInput,
}

/// The step's output.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Copied {
    /// The disks in order.
    pub(super) disks: Vec<CopiedDisk>,
    /// Milliseconds per stage, of the attempt that finished.
    pub(super) timings: BTreeMap<String, u64>,
}

/// The step.
pub struct CopyStep {
    about: About,
    shared: Arc<Migrations>,
}

impl CopyStep {
    pub(super) fn new(shared: Arc<Migrations>) -> Self {
        Self {
            about: About::new(
                ID,
                "Makes the new disks of a migration exactly as they were planned and approved",
            ),
            shared,
        }
    }

    /// The rehearsal of this very plan: the one that was kept, or a new one.
    async fn rehearsed(
        &self,
        call: &Call,
        input: &PlanInput,
        plan: &Plan,
    ) -> Result<(Rehearsed, super::Job), CallError> {
        let (answered, failed) = (self.about.answered("execute"), self.about.failed("execute"));
        let run = call.context.run_id();
        let pins = self.shared.pinned(&run).map_err(&answered)?;
        let pins = pins.ok_or_else(|| {
            answered(Error::new(
                ErrorCode::Corrupt,
                "the run's folder is gone; cancel the run and start another",
            ))
        })?;
        let job = self.shared.job(call, input, &pins, Some(plan)).await;
        let job = job.map_err(&answered)?;
        let kept = self.shared.take(&run);
        if let Some(kept) = kept.filter(|kept| kept.plan.digest == plan.digest) {
            return Ok((kept, job));
        }
        let plan = plan.clone();
        let again = job
            .on_thread(async move |request| run::reproduce(&request, &plan).await)
            .await;
        Ok((again.map_err(&failed)?, job))
    }
}

/// The plan behind a reference, if it is the one with this digest.
pub(super) async fn read_plan(
    services: &StepServices,
    reference: &str,
    digest: &str,
) -> Result<Plan, Error> {
    let file = services.artifacts.path(reference).await?;
    let plan = Plan::read(&file).map_err(|error| super::failure::error_of(&error))?;
    if plan.digest != digest {
        return Err(Error::new(
            ErrorCode::Conflict,
            format!(
                "the plan no longer fits: {} has the digest {}, not {digest}; make a new plan and look at it",
                file.display(),
                plan.digest
            ),
        ));
    }
    Ok(plan)
}

/// What a person approves: the guest, every path that changes with its diff, the disks.
fn shown(plan: &Plan, input: &Input) -> StepPlan {
    let mut room = MOST_DETAILS;
    let mut detail = |text: String| {
        let mut end = text.len().min(MOST_DETAIL).min(room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        room -= end;
        match text.get(..end) {
            Some(part) if end < text.len() => format!("{part}\n… (the plan file has all of it)"),
            _ => text,
        }
    };
    let mut changes: Vec<PlannedChange> = plan
        .notes
        .iter()
        .map(Note::to_string)
        .take(MOST_CHANGES / 4)
        .map(|note| PlannedChange {
            action: "note".to_owned(),
            subject: String::new(),
            detail: detail(note),
        })
        .collect();
    for change in plan.changes.iter().take(MOST_CHANGES / 2) {
        let edits = change.edits.iter().filter_map(|n| plan.edits.get(*n));
        let mut lines: Vec<String> = edits
            .map(|edit| format!("{}: {}", edit.fixer, edit.reason))
            .collect();
        lines.extend(change.summary.clone());
        lines.extend(change.diff.clone());
        changes.push(PlannedChange {
            action: "edit".to_owned(),
            subject: change.path.clone(),
            detail: detail(lines.join("\n")),
        });
    }
    let left = plan.changes.len().saturating_sub(MOST_CHANGES / 2);
    if left > 0 {
        changes.push(PlannedChange {
            action: "edit".to_owned(),
            subject: format!("{left} more paths"),
            detail: format!("see {}", input.plan),
        });
    }
    for (name, result) in plan
        .disk_names()
        .iter()
        .zip(&plan.results)
        .take(MOST_CHANGES / 4)
    {
        changes.push(PlannedChange {
            action: "create".to_owned(),
            subject: input.request.out.join(name).display().to_string(),
            detail: format!(
                "{}, {} bytes of disk, {} of them changed, their sha256 {}",
                plan.binding.target, result.virtual_size, result.changed_bytes, result.sha256
            ),
        });
    }
    StepPlan {
        summary: format!(
            "Migrates {} ({}) with {} edits; digest of edits and result {}",
            plan.machine.name,
            plan.guest.operating_system.name,
            plan.edits.len(),
            plan.edits_digest
        ),
        changes,
    }
}

impl Plugin for CopyStep {
    fn manifest(&self) -> &Manifest {
        &self.about.manifest
    }

    fn digest(&self) -> &str {
        &self.about.digest
    }
}

#[async_trait]
impl WorkflowStep for CopyStep {
    async fn validate(&self, _: Call, _: StepServices, input: &str) -> Result<(), CallError> {
        let input: Input = self.about.read("validate", input)?;
        let checked = input.request.check();
        checked.map_err(self.about.answered("validate"))
    }

    async fn plan(
        &self,
        _: Call,
        services: StepServices,
        input: &str,
    ) -> Result<StepPlan, CallError> {
        let input: Input = self.about.read("plan", input)?;
        let plan = read_plan(&services, &input.plan, &input.digest).await;
        Ok(shown(&plan.map_err(self.about.answered("plan"))?, &input))
    }

    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        let (answered, failed) = (self.about.answered("execute"), self.about.failed("execute"));
        let input: Input = self.about.read("execute", input)?;
        let asked = json!({ "out": input.request.out, "digest": input.digest });
        let begun = services.operations.begin(OPERATION, asked).await;
        if let Begun::Finished { result } = begun.map_err(&answered)? {
            return Ok(result.to_string());
        }
        let plan = read_plan(&services, &input.plan, &input.digest).await;
        let plan = plan.map_err(&answered)?;
        let (rehearsed, job) = self.rehearsed(&call, &input.request, &plan).await?;
        // The run's own name: the folder is taken up again by this step, and by the next.
        let run = call.context.run_id();
        let output = Output::of_run(&input.request.out, &plan.disk_names(), &run);
        let output = Arc::new(output.map_err(&failed)?);
        let threads = input.threads.unwrap_or(0);
        let copied = job
            .on_thread(async move |request| {
                let copies = copy(&rehearsed, &request, &output, threads);
                Ok(Copied {
                    disks: run::until_cancelled(&request.cancel, copies).await?,
                    timings: rehearsed.clock.timings(),
                })
            })
            .await
            .map_err(&failed)?;
        let result = serde_json::to_value(copied)
            .map_err(|error| failed(MigrateError::Host(error.to_string())))?;
        let finished = services.operations.finish(OPERATION, result.clone()).await;
        finished.map_err(&answered)?;
        Ok(result.to_string())
    }

    /// Nothing of its own: what was copied belongs to the plan, and goes with it.
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
