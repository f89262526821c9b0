//! The state folder: everything that a host keeps.

use std::path::{Path, PathBuf};

/// The state folder and what is in it. One host uses it at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePaths {
    root: PathBuf,
}

impl StatePaths {
    /// The folder at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself, mode 0700.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join("cofferdam.db")
    }

    /// The key of the secrets, mode 0600, unless the operator names another file.
    pub fn secret_key(&self) -> PathBuf {
        self.root.join("secret.key")
    }

    /// Components by digest, `SHA256.wasm`.
    pub fn components(&self) -> PathBuf {
        self.root.join("components")
    }

    /// A folder for each operation of a tool, by its key.
    pub fn operations(&self) -> PathBuf {
        self.root.join("operations")
    }

    /// A folder for each run.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The working folder of a step.
    pub fn step(&self, run: &str, step: &str) -> PathBuf {
        self.runs().join(run).join(step)
    }

    /// Locked while a host uses the folder.
    pub fn host_lock(&self) -> PathBuf {
        self.root.join("host.lock")
    }

    /// The socket of the host that uses the folder, mode 0600.
    pub fn host_socket(&self) -> PathBuf {
        self.root.join("host.sock")
    }
}
