//! `cofferdam run`.

use super::runs::Follow;
use clap::Args;
use std::path::PathBuf;

/// The arguments of `run`.
#[derive(Args)]
pub struct Run {
    /// The workflow: a file (with an ending or a slash in its name), `-` for standard input,
    /// or the name of a saved one.
    pub workflow: String,
    /// An input; may be repeated. The value is JSON, or text where it is not.
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// File with inputs, a JSON object; --input wins.
    #[arg(long, value_name = "FILE")]
    pub inputs_file: Option<PathBuf>,
    /// A label to find the run by; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub labels: Vec<String>,
    /// Start at most one run for this key within a day; asking again gives the same run.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Show what would run and change nothing.
    #[arg(long, conflicts_with_all = ["yes", "detach"])]
    pub dry_run: bool,
    /// How to go on once it runs.
    #[command(flatten)]
    pub follow: Follow,
}
