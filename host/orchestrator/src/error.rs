//! How a migration can end without a disk.
//!
//! Everything up to the conversion happens on overlays, so that each of these leaves the
//! source as it was and nothing at the target that looks finished.

use crate::guest::Note;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::types::Severity;
use cofferdam_disk::DiskError;
use thiserror::Error;

/// Why there is no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A disk image, the overlay or the target.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A call to a plugin.
    #[error(transparent)]
    Plugin(#[from] CallError),
    /// No plugin of a kind is there at all.
    #[error(
        "no {kind} plugin is loaded; run `cofferdam plugin list` to see which were refused and why"
    )]
    NoPlugins {
        /// Which kind is missing.
        kind: &'static str,
    },
    /// No disk source knows the file.
    #[error("no disk source recognises {name}; the disk sources loaded are {sources}")]
    UnknownSource {
        /// The file given.
        name: String,
        /// Ids of the sources that were asked.
        sources: String,
    },
    /// A disk source recorded something that cannot be.
    #[error("disk source {plugin} found no usable machine in {name}: {reason}")]
    BadMachine {
        /// The source's id.
        plugin: String,
        /// The file given.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Two disks of the machine are one file.
    #[error("{name} was found twice; name each disk of the machine once")]
    SameFile {
        /// The file.
        name: String,
    },
    /// Nothing on the disks is an operating system that an inspector knows.
    #[error(
        "no operating system was found{}; what the disks hold: {seen}",
        notes_suffix(notes)
    )]
    NoOperatingSystem {
        /// Each device and what it holds.
        seen: String,
        /// What the inspectors had to say.
        notes: Vec<Note>,
    },
    /// Somebody said that the plan must not be applied.
    #[error("the plan is blocked: {}", blocking(notes))]
    Blocked {
        /// All notes, the blocking ones among them.
        notes: Vec<Note>,
    },
    /// An edit could not be carried out on the overlay.
    #[error("rehearsal failed: {edit}: {failure}; nothing was written to the source or the target")]
    Rehearsal {
        /// The edit, for people.
        edit: String,
        /// What the file system said.
        failure: Box<CallError>,
    },
    /// After the rehearsal something differs that was not planned, or the other way round.
    #[error("the rehearsed disk is not what was planned; the file-system plugin is at fault: {}", differences.join("; "))]
    ResultDiffers {
        /// Up to twenty differences, for people.
        differences: Vec<String>,
    },
    /// A fixer wants more edits on its own result.
    #[error("the fixers are not done after one run ({}); a fixer must plan nothing on a guest that has its edits", edits.join("; "))]
    NotIdempotent {
        /// The edits it wants.
        edits: Vec<String>,
    },
    /// What a plan is bound to has changed.
    #[error("the plan no longer fits: {}; make a new plan and look at it", changes.join("; "))]
    PlanOutdated {
        /// Which source file, plugin or setting, and how.
        changes: Vec<String>,
    },
    /// The same inputs gave other edits than the plan shows.
    #[error(
        "carrying out the plan again gave another result (digest {found}, planned {planned}); a plugin is not deterministic, nothing was written"
    )]
    PlanNotReproduced {
        /// The plan's edits digest.
        planned: String,
        /// What came out now.
        found: String,
    },
    /// A plan file that cannot be used.
    #[error("{file} is not a plan: {reason}")]
    BadPlan {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// Settings for a plugin that is not there, or that do not fit.
    #[error("{0}")]
    Settings(String),
    /// A file of the host's own could not be read or written.
    #[error("{what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The user stopped it.
    #[error("cancelled; nothing was written to the source or the target")]
    Cancelled,
    /// A task of the host's own ended unexpectedly.
    #[error("the host failed: {0}")]
    Host(String),
}

fn notes_suffix(notes: &[Note]) -> String {
    if notes.is_empty() {
        String::new()
    } else {
        let texts: Vec<String> = notes.iter().map(ToString::to_string).collect();
        format!(" ({})", texts.join("; "))
    }
}

fn blocking(notes: &[Note]) -> String {
    let texts = |wanted: fn(&&Note) -> bool| -> Vec<String> {
        notes
            .iter()
            .filter(wanted)
            .map(ToString::to_string)
            .collect()
    };
    let mut text = texts(|note| note.blocks()).join("; ");
    let others = texts(|note| note.severity == Severity::Warn);
    if !others.is_empty() {
        text = format!("{text} (also noted: {})", others.join("; "));
    }
    text
}
