//! What the steps are given.

use super::observer::{CancelBridge, Told};
use super::pins::Pins;
use super::{About, Job, Migrations, reach};
use crate::migration::plan::Plan;
use crate::migration::request::{GivenSettings, Request, Target};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::Call;
use cofferdam_contract::types::{Error, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// What to migrate, as far as every step needs it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanInput {
    /// Absolute paths of the machine's disks, the one that it boots from first; a plan's own
    /// where one is applied.
    #[serde(default)]
    pub(super) disks: Option<Vec<PathBuf>>,
    /// What the plan calls the disks, one name each; their paths without it.
    #[serde(default)]
    pub(super) named: Option<Vec<PathBuf>>,
    /// Absolute path of the output folder.
    pub(super) out: PathBuf,
    /// Format of the new disks.
    #[serde(default)]
    pub(super) to: Option<String>,
    /// Level of compression.
    #[serde(default)]
    pub(super) compress: Option<u8>,
    /// How disks will be attached.
    #[serde(default)]
    pub(super) disk_bus: Option<String>,
    /// Settings by plugin and name.
    #[serde(default)]
    pub(super) set: Option<GivenSettings>,
    /// The plan's time, RFC 3339.
    #[serde(default)]
    pub(super) plan_time: Option<String>,
    /// Absolute path of the folder for overlays.
    #[serde(default)]
    pub(super) scratch: Option<PathBuf>,
    /// Absolute path of a plan file that is to be applied.
    #[serde(default)]
    pub(super) apply: Option<PathBuf>,
}

impl PlanInput {
    /// Whether a new plan can be made: something has to say which disks.
    pub(super) fn check_new(&self) -> Result<(), Error> {
        let given = self.disks.as_ref().is_some_and(|disks| !disks.is_empty());
        if !given && self.apply.is_none() {
            return Err(Error::invalid("`disks` names no disk"));
        }
        self.check()
    }

    /// What can be told without looking at a file. A plan that is there says which disks.
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Some(named) = &self.named
            && named.len() != self.disks.as_ref().map_or(0, Vec::len)
        {
            return Err(Error::invalid(
                "`named` has not one name for each of `disks`",
            ));
        }
        if let Some(level) = self.compress {
            if !(1..=12).contains(&level) {
                return Err(Error::invalid(format!(
                    "`compress` is {level}, not a level from 1 to 12"
                )));
            }
            if self.to.as_ref().is_some_and(|to| to != "qcow2") {
                return Err(Error::invalid(
                    "`compress` is only for qcow2; leave it out or change `to`",
                ));
            }
        }
        for (key, value, known) in [
            ("to", &self.to, ["qcow2", "raw"]),
            ("disk_bus", &self.disk_bus, ["virtio-blk", "virtio-scsi"]),
        ] {
            if let Some(value) = value
                && !known.contains(&value.as_str())
            {
                return Err(Error::invalid(format!(
                    "`{key}` is {value:?}, not one of {}",
                    known.join(", ")
                )));
            }
        }
        if let Some(time) = &self.plan_time {
            seconds(time)?;
        }
        Ok(())
    }
}

fn seconds(time: &str) -> Result<i64, Error> {
    let parsed = humantime::parse_rfc3339(time)
        .map_err(|_| Error::invalid(format!("{time:?} is not a time like 2026-01-31T12:00:00Z")))?;
    let since = parsed.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

impl About {
    /// The step's input.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        call: &str,
        input: &str,
    ) -> Result<T, CallError> {
        serde_json::from_str(input)
            .map_err(|error| Error::invalid(format!("the input is not as it should be: {error}")))
            .map_err(self.answered(call))
    }
}

impl Migrations {
    /// The request that the input and the pins make, for a plan that is there or for a new
    /// one.
    pub(super) async fn job(
        &self,
        call: &Call,
        input: &PlanInput,
        pins: &Pins,
        saved: Option<&Plan>,
    ) -> Result<Job, Error> {
        let bound = saved.map(|plan| &plan.binding);
        let scratch = input.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let sources = match (&input.disks, saved) {
            (Some(disks), _) if !disks.is_empty() => disks.clone(),
            (_, Some(saved)) => saved.sources(),
            _ => Vec::new(),
        };
        let run = call.context.run_id();
        let roots = self.reach.roots(&run)?;
        let named = sources.iter().chain([&input.out]).chain(&input.scratch);
        for path in named.chain(&input.apply) {
            reach::check(path, roots.as_deref())?;
        }
        let or_bound = |given: &Option<String>, of: fn(&Target) -> &String, default: &str| {
            given
                .clone()
                .or_else(|| bound.map(|bound| of(&bound.target).clone()))
                .unwrap_or_else(|| default.to_owned())
        };
        let time = match (bound, &input.plan_time) {
            (Some(bound), _) => seconds(&bound.time)?,
            (None, Some(time)) => seconds(time)?,
            (None, None) => pins.seconds,
        };
        let bridge = CancelBridge::new(Arc::clone(&call.context));
        Ok(Job {
            request: Arc::new(Request {
                named: input.named.clone().unwrap_or_else(|| sources.clone()),
                sources,
                target: Target {
                    format: or_bound(&input.to, |target| &target.format, "qcow2"),
                    compression: input
                        .compress
                        .or_else(|| bound.and_then(|bound| bound.target.compression)),
                    disk_bus: or_bound(&input.disk_bus, |target| &target.disk_bus, "virtio-blk"),
                    nic_model: "virtio-net".to_owned(),
                },
                plugins: self.load(pins).await?,
                settings: pins.settings.clone(),
                time: Timestamp {
                    seconds: time,
                    nanoseconds: 0,
                },
                observer: Arc::new(Told(Arc::clone(&call.context))),
                cancel: bridge.flag(),
                scratch,
            }),
            _bridge: bridge,
        })
    }
}
