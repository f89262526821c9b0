//! The plan: what will be done, and what that depends on. A file for people and programs.

use super::binding::{Binding, digest_of};
use super::discover::FoundMachine;
use crate::MigrateError;
use crate::guest::Note;
use crate::guest::change::{EditRecord, PathChange};
use cofferdam_contract::services::Facts;
use cofferdam_contract::types::{BlockDevice, Kernel, MountPoint, Nic, OperatingSystem};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of the file's shape for machines that were given as one file.
pub const FORMAT: u32 = 1;
/// The version for those that were given as several, which programs that know only
/// [`FORMAT`] cannot apply.
pub const FORMAT_OF_SEVERAL: u32 = 2;

/// Largest plan that is read, bytes; one of the most edits that a plan holds is smaller.
const LARGEST: u64 = 256 << 20;

/// The machine, as its source describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// What the new disks are named after.
    pub name: String,
    /// `bios`, `uefi` or `unknown`.
    pub firmware: String,
    /// Memory in MiB, where the source says so.
    pub memory: Option<u32>,
    /// Network cards.
    pub nics: Vec<Nic>,
}

/// What inspectors found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// The operating system.
    pub operating_system: OperatingSystem,
    /// Every disk and partition.
    pub devices: Vec<BlockDevice>,
    /// Where file systems are mounted.
    pub mounts: Vec<MountPoint>,
    /// Installed kernels.
    pub kernels: Vec<Kernel>,
}

/// What the edits make of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskResult {
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// Bytes that are not as on the source, counted in blocks.
    pub changed_bytes: u64,
    /// Sha256 over offset, length and content of each changed range.
    pub sha256: String,
}

/// Of a plan file what says how to read the rest.
#[derive(Deserialize)]
struct Shape {
    cofferdam_plan: u32,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`] or [`FORMAT_OF_SEVERAL`].
    pub cofferdam_plan: u32,
    /// Version of the program that made it.
    pub made_by: String,
    /// The file given; of several the first.
    pub source: String,
    /// The other files given, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_sources: Vec<String>,
    /// The machine.
    pub machine: Machine,
    /// The guest.
    pub guest: Guest,
    /// What plugins had to say.
    pub notes: Vec<Note>,
    /// Every edit in order.
    pub edits: Vec<EditRecord>,
    /// The same by path, with diffs.
    pub changes: Vec<PathChange>,
    /// What the edits make of each disk.
    pub results: Vec<DiskResult>,
    /// Sha256 over edits and results: what the plan does.
    pub edits_digest: String,
    /// What the plan depends on.
    pub binding: Binding,
    /// Sha256 over the binding.
    pub binding_digest: String,
    /// Sha256 over all of the above, so that what a person reads is what was made.
    pub digest: String,
}

impl Plan {
    /// Puts a plan together.
    pub fn new(
        sources: &[PathBuf],
        machine: &FoundMachine,
        facts: &Facts,
        notes: Vec<Note>,
        (edits, changes): (Vec<EditRecord>, Vec<PathChange>),
        results: Vec<DiskResult>,
        binding: Binding,
    ) -> Self {
        let first = sources
            .first()
            .map(PathBuf::as_path)
            .unwrap_or(Path::new(""));
        let stem = first.file_stem().map(|stem| stem.to_string_lossy());
        let name = machine
            .name
            .clone()
            .or_else(|| stem.map(std::borrow::Cow::into_owned))
            .unwrap_or_else(|| "disk".to_owned());
        let mut plan = Self {
            cofferdam_plan: if sources.len() > 1 {
                FORMAT_OF_SEVERAL
            } else {
                FORMAT
            },
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            source: first.display().to_string(),
            more_sources: sources
                .iter()
                .skip(1)
                .map(|source| source.display().to_string())
                .collect(),
            machine: Machine {
                name,
                firmware: facts.firmware.clone(),
                memory: machine.memory,
                nics: facts.nics.clone(),
            },
            guest: Guest {
                operating_system: facts.operating_system.clone(),
                devices: facts.devices.clone(),
                mounts: facts.mounts.clone(),
                kernels: facts.kernels.clone(),
            },
            notes,
            edits_digest: edits_digest(&edits, &results),
            edits,
            changes,
            results,
            binding_digest: binding.digest(),
            binding,
            digest: String::new(),
        };
        plan.digest = plan.whole_digest();
        plan
    }

    fn whole_digest(&self) -> String {
        let mut unsigned = self.clone();
        unsigned.digest.clear();
        digest_of(&unsigned)
    }

    /// The files given, in order.
    pub fn sources(&self) -> Vec<PathBuf> {
        std::iter::once(&self.source)
            .chain(&self.more_sources)
            .map(PathBuf::from)
            .collect()
    }

    /// Names of the new disks, in order: the machine's name, with a Linux-like letter where
    /// there are several.
    pub fn disk_names(&self) -> Vec<String> {
        disk_names(
            &self.machine.name,
            self.results.len(),
            &self.binding.target.format,
        )
    }

    /// Reads a plan file and checks that it is whole: its digests must be those of its
    /// content.
    ///
    /// # Errors
    /// [`MigrateError::File`] and [`MigrateError::BadPlan`].
    pub fn read(file: &Path) -> Result<Self, MigrateError> {
        let failed = |source| MigrateError::File {
            what: "cannot read the plan",
            path: file.display().to_string(),
            source,
        };
        let bad = |reason: String| MigrateError::BadPlan {
            file: file.display().to_string(),
            reason,
        };
        // The name may be mistyped and lead to a disk, a device or a pipe.
        let metadata = std::fs::metadata(file).map_err(failed)?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Err(bad(format!(
                "it is not a regular file of at most {LARGEST} bytes"
            )));
        }
        let bytes = std::fs::read(file).map_err(failed)?;
        Self::parse(&bytes).map_err(bad)
    }

    /// The plan in a plan file's bytes, checked as [`Plan::read`] does.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let shape: Shape = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if ![FORMAT, FORMAT_OF_SEVERAL].contains(&shape.cofferdam_plan) {
            return Err(format!(
                "it has format {}, this program reads formats {FORMAT} and {FORMAT_OF_SEVERAL}; make a new plan",
                shape.cofferdam_plan
            ));
        }
        let plan: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if plan.whole_digest() != plan.digest
            || plan.binding.digest() != plan.binding_digest
            || edits_digest(&plan.edits, &plan.results) != plan.edits_digest
        {
            return Err(
                "its content does not match its digests; it was edited or damaged".to_owned(),
            );
        }
        Ok(plan)
    }

    /// Writes the plan file: beside its place first, then renamed, so that there is never
    /// half a plan. An existing file is replaced.
    ///
    /// # Errors
    /// [`MigrateError::File`].
    pub fn write(&self, file: &Path) -> Result<(), MigrateError> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| MigrateError::Host(error.to_string()))?;
        super::report::write_whole(file, &json)
    }
}

/// Names of disks from a machine's name.
pub fn disk_names(machine: &str, count: usize, format: &str) -> Vec<String> {
    if count == 1 {
        return vec![format!("{machine}.{format}")];
    }
    (0..count)
        .map(|number| {
            let letter =
                char::from(b'a'.saturating_add(u8::try_from(number).unwrap_or(25).min(25)));
            if number < 26 {
                format!("{machine}-sd{letter}.{format}")
            } else {
                format!("{machine}-disk{number}.{format}")
            }
        })
        .collect()
}

fn edits_digest(edits: &[EditRecord], results: &[DiskResult]) -> String {
    digest_of(&(edits, results))
}
