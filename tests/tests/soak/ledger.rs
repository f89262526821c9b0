//! A file outside of any state folder, in which effects leave one line each.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The file.
#[derive(Clone)]
pub struct Ledger(PathBuf);

impl Ledger {
    /// The ledger at this path.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its lines, in order.
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether an effect of this key is there.
    pub fn has(&self, key: &str) -> bool {
        self.lines().iter().any(|line| line.starts_with(key))
    }

    /// Has an effect: `key what`.
    pub fn add(&self, key: &str, what: &str) {
        let mut file: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.0)
            .unwrap();
        // One write, so that a kill leaves all of the line or nothing.
        file.write_all(format!("{key} {what}\n").as_bytes())
            .unwrap();
    }

    /// What was done, in order, each key once.
    #[track_caller]
    pub fn done(&self, context: &str) -> Vec<String> {
        let lines = self.lines();
        let mut keys: Vec<&str> = lines
            .iter()
            .map(|line| line.split(' ').next().unwrap())
            .collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all, "{context}: an effect twice: {lines:#?}");
        lines
            .iter()
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect()
    }
}
