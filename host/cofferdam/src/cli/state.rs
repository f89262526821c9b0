//! `cofferdam audit`, `backup`, `restore` and `doctor`.

use clap::Args;
use std::path::PathBuf;

/// The arguments of `audit`.
#[derive(Args)]
pub struct Audit {
    /// Only what this user did.
    #[arg(long, value_name = "USER")]
    pub actor: Option<String>,
    /// Only this action, such as run.start.
    #[arg(long, value_name = "NAME")]
    pub action: Option<String>,
    /// Only at or after this time, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only before this time, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,
    /// Go on where a list that was cut ended.
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
}

/// The arguments of `backup`.
#[derive(Args)]
pub struct Backup {
    /// The new file; must not exist. The key of the secrets is not in it.
    pub file: PathBuf,
}

/// The arguments of `restore`.
#[derive(Args)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// Replace the state that is there; it is kept beside, with the time in its name.
    #[arg(long)]
    pub replace: bool,
}

/// The arguments of `doctor`.
#[derive(Args)]
pub struct Doctor {
    /// Mend what can be mended.
    #[arg(long)]
    pub fix: bool,
    /// Show what --fix would do.
    #[arg(long, conflicts_with = "fix")]
    pub dry_run: bool,
}
