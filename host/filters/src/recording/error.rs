//! Files that are no recordings.

use std::io;
use std::path::PathBuf;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("the recording {} cannot be read: {error}", path.display())]
    Io {
        /// The file, or the folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is something else.
    #[error(
        "{} is no recording: its first line does not say so; name a file that the filter `record` wrote",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another version of the program made it.
    #[error(
        "the recording {} has the form {found}, made by version {made_by}, and this program reads form {known}; use the program that made it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The form that it says it has.
        found: u64,
        /// The form that is known here.
        known: u32,
        /// Who made it.
        made_by: String,
    },
    /// Its end is missing.
    #[error(
        "the recording {} ends in the middle, after line {lines}: it was cut, or the host was killed while it wrote; copy it again, or record again",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// How many lines are whole.
        lines: u64,
    },
    /// What is in it is not what was written.
    #[error("the recording {} is damaged at line {line}: {reason}; copy it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong there.
        reason: String,
    },
    /// It is larger than any recording.
    #[error("the recording {} is larger than {most} bytes, and no recording is", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that a recording has.
        most: u64,
    },
}
