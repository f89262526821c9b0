//! The command line as inputs of the built-in workflow.

use crate::cli::Migrate;
use anyhow::{Context, Result, bail};
use cofferdam_orchestrator::migration::Plan;
use cofferdam_orchestrator::migration::binding::digest_of;
use cofferdam_orchestrator::migration::request::GivenSettings;
use cofferdam_orchestrator::migration::steps::{WORKFLOW, WORKFLOW_WITH_BOOT};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// The label by which the same command finds its run again.
pub const LABEL: &str = "migrate";

/// What a run is started with.
pub struct Arguments {
    /// The workflow's name.
    pub workflow: &'static str,
    /// Its inputs.
    pub inputs: Value,
    /// A digest of both: the same command has the same.
    pub label: String,
    /// The output folder.
    pub out: PathBuf,
}

impl Arguments {
    /// Of a command that is to make disks. `saved` is the plan to be applied, where it can be
    /// read here; `local` says that the host's files are this process's.
    pub fn new(
        command: &Migrate,
        settings: &GivenSettings,
        saved: Option<&Plan>,
        local: bool,
    ) -> Result<Self> {
        let path = |path: &Path| -> Result<Value> {
            if !local && !path.is_absolute() {
                bail!(
                    "{} is not an absolute path; with --server, name files as the server knows them",
                    path.display()
                );
            }
            let absolute = std::path::absolute(path)
                .with_context(|| format!("the path {} cannot be used", path.display()))?;
            let text = absolute.to_str().with_context(|| {
                format!(
                    "the name {} is not UTF-8, as every name that a plugin may say must be; rename it",
                    path.display()
                )
            })?;
            Ok(json!(text))
        };
        let Some(out) = &command.out else {
            bail!("name the folder for the new disks with --out");
        };
        let disks = match (command.disks.as_slice(), saved) {
            ([], Some(saved)) => saved.sources(),
            (disks, _) => disks.to_vec(),
        };
        let mut inputs = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                inputs.insert(name.to_owned(), value);
            }
        };
        let named: Vec<Value> = disks
            .iter()
            .map(|disk| json!(disk.to_string_lossy()))
            .collect();
        let disks: Vec<Value> = disks.iter().map(|disk| path(disk)).collect::<Result<_>>()?;
        set("named", (!disks.is_empty()).then(|| json!(named)));
        set("disks", (!disks.is_empty()).then(|| json!(disks)));
        set("out", Some(path(out)?));
        set("to", command.to.as_ref().map(|to| json!(to)));
        set("compress", command.compress.map(|level| json!(level)));
        set("disk_bus", command.disk_bus.as_ref().map(|bus| json!(bus)));
        set("set", (!settings.is_empty()).then(|| json!(settings)));
        set(
            "plan_time",
            command.plan_time.as_ref().map(|time| json!(time)),
        );
        set("scratch", command.scratch.as_deref().map(path).transpose()?);
        set("apply", command.apply.as_deref().map(path).transpose()?);
        set(
            "marker",
            command.marker.as_ref().map(|marker| json!(marker)),
        );
        let workflow = if command.boot_test {
            WORKFLOW_WITH_BOOT.name
        } else {
            WORKFLOW.name
        };
        // A plan file may have become another plan.
        let label = digest_of(&(workflow, &inputs, saved.map(|plan| &plan.digest)));
        // How fast it goes is no part of what it does.
        if command.threads > 0 {
            inputs.insert("threads".to_owned(), json!(command.threads));
        }
        Ok(Self {
            workflow,
            inputs: Value::Object(inputs),
            label,
            out: out.clone(),
        })
    }
}
