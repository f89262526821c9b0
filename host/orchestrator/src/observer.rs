//! What a person or program may watch while a migration goes on.

use cofferdam_contract::types::Level;

/// The stages of a migration, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// A disk source looks at the file given.
    Discover,
    /// Overlays are made, file systems recognised and mounted.
    Open,
    /// Inspectors look at the file systems.
    Inspect,
    /// Fixers record edits.
    Plan,
    /// The edits are carried out on an overlay.
    Rehearse,
    /// The result is compared with the plan.
    Verify,
    /// The source is read to know it again.
    Identify,
    /// The rehearsed overlay is converted.
    Convert,
    /// The report is written.
    Report,
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Self; 9] = [
        Self::Discover,
        Self::Open,
        Self::Inspect,
        Self::Plan,
        Self::Rehearse,
        Self::Verify,
        Self::Identify,
        Self::Convert,
        Self::Report,
    ];

    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Open => "open",
            Self::Inspect => "inspect",
            Self::Plan => "plan",
            Self::Rehearse => "rehearse",
            Self::Verify => "verify",
            Self::Identify => "identify",
            Self::Convert => "convert",
            Self::Report => "report",
        }
    }
}

/// Is told what happens. Every function returns at once.
pub trait Observer: Send + Sync {
    /// A stage begins.
    fn stage(&self, stage: Stage);
    /// How far a disk's conversion (`what` is its name) or a plugin is.
    fn progress(&self, what: &str, done: u64, total: u64, unit: &str);
    /// A plugin's log line.
    fn log(&self, plugin: &str, level: Level, message: &str, fields: &[(String, String)]);
}
