//! What mends a finding.

use anyhow::{Context, Result};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

/// A change that mends something and can do no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Treatment {
    /// Makes a folder that only its owner may enter.
    MakeFolder(PathBuf),
    /// Gives a file or folder the permissions it should have.
    SetMode {
        /// Which.
        path: PathBuf,
        /// The permissions.
        mode: u32,
    },
    /// Removes what a host that was killed left behind.
    RemoveLeftover(PathBuf),
}

impl Treatment {
    /// What it would do, after "can".
    pub fn summary(&self) -> String {
        match self {
            Self::MakeFolder(path) => format!("make the folder {}", path.display()),
            Self::SetMode { path, mode } => {
                format!("set the mode of {} to {mode:04o}", path.display())
            }
            Self::RemoveLeftover(path) => format!("remove {}", path.display()),
        }
    }

    /// What it did, after "mended".
    pub fn done(&self) -> String {
        match self {
            Self::MakeFolder(path) => format!("made the folder {}", path.display()),
            Self::SetMode { path, mode } => format!("{} has mode {mode:04o}", path.display()),
            Self::RemoveLeftover(path) => format!("removed {}", path.display()),
        }
    }

    /// Does it.
    pub fn apply(&self) -> Result<()> {
        let done = match self {
            Self::MakeFolder(path) => std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path),
            Self::SetMode { path, mode } => {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))
            }
            Self::RemoveLeftover(path) => std::fs::remove_file(path),
        };
        done.with_context(|| format!("cannot {}", self.summary()))
    }
}
