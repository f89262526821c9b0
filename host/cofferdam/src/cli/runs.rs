//! `cofferdam runs`.

use clap::{Args, Subcommand};
use cofferdam_store::{LogLevel, RunState};

/// The commands of `runs`.
#[derive(Subcommand)]
pub enum RunsCommand {
    /// The runs there are, newest first.
    List(ListRuns),
    /// A run, its steps, and what waits for approval.
    Show {
        /// The run's id, or `last`.
        run: String,
    },
    /// What a run's steps logged.
    Logs(RunLogs),
    /// Follow a run to its end.
    Watch {
        /// The run's id, or `last`.
        run: String,
        /// How to go on.
        #[command(flatten)]
        follow: Follow,
    },
    /// Approve what a step plans to do, and follow the run.
    Approve {
        /// The run's id, or `last`.
        run: String,
        /// The step [default: the one that waits].
        #[arg(long)]
        step: Option<String>,
        /// Approve only the plan with this digest, which `runs show` prints.
        #[arg(long, value_name = "SHA256")]
        digest: Option<String>,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        /// How to go on.
        #[command(flatten)]
        follow: Follow,
    },
    /// Refuse what a step plans to do; the run fails.
    Reject {
        /// The run's id, or `last`.
        run: String,
        /// The step [default: the one that waits].
        #[arg(long)]
        step: Option<String>,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        comment: Option<String>,
        /// How to go on.
        #[command(flatten)]
        follow: Follow,
    },
    /// Stop a run and undo the steps that say how.
    Cancel {
        /// The run's id, or `last`.
        run: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// How to go on.
        #[command(flatten)]
        follow: Follow,
    },
    /// Let a run that needs attention go on.
    Resume {
        /// The run's id, or `last`.
        run: String,
        /// How to go on.
        #[command(flatten)]
        follow: Follow,
    },
    /// Run what failed or was cancelled again; outputs of finished steps are kept.
    Retry {
        /// The run's id, or `last`.
        run: String,
        /// How to go on.
        #[command(flatten)]
        follow: Follow,
    },
}

/// How a command goes on with a run that it started or changed.
#[derive(Args, Clone, Debug, Default)]
pub struct Follow {
    /// Do not wait for the run: a server carries it on, or the next host of this state folder.
    #[arg(long, conflicts_with = "yes")]
    pub detach: bool,
    /// Where a step waits for approval, end at once instead of asking.
    #[arg(long)]
    pub no_wait: bool,
    /// Approve every step's plan without asking. The plans are still made and recorded.
    #[arg(short, long, conflicts_with = "no_wait")]
    pub yes: bool,
    /// Show also what the steps log.
    #[arg(long)]
    pub logs: bool,
}

/// The arguments of `runs list`.
#[derive(Args)]
pub struct ListRuns {
    /// Only runs in this state.
    #[arg(long, value_name = "STATE", value_parser = super::words::<RunState>(RunState::ALL, RunState::as_str))]
    pub status: Option<RunState>,
    /// Only runs of this workflow.
    #[arg(long, value_name = "NAME")]
    pub workflow: Option<String>,
    /// Only runs that this user started.
    #[arg(long, value_name = "USER")]
    pub actor: Option<String>,
    /// Only runs made at or after this time, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only runs made before this time, RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,
    /// Go on where a list that was cut ended.
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
}

/// The arguments of `runs logs`.
#[derive(Args)]
pub struct RunLogs {
    /// The run's id, or `last`.
    pub run: String,
    /// Only this step.
    #[arg(long)]
    pub step: Option<String>,
    /// Only this level and worse.
    #[arg(long, value_name = "LEVEL", value_parser = super::words::<LogLevel>(LogLevel::ALL, LogLevel::as_str))]
    pub level: Option<LogLevel>,
    /// Go on with new lines until the run ends.
    #[arg(short, long)]
    pub follow: bool,
}
