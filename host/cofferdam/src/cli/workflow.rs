//! `cofferdam workflow`.

use clap::Subcommand;
use std::path::PathBuf;

/// The commands of `workflow`.
#[derive(Subcommand)]
pub enum WorkflowCommand {
    /// Check a workflow: its form, plugins, inputs and each step's settings. Nothing runs.
    Validate {
        /// The workflow: a file, `-`, or the name of a saved one.
        workflow: String,
        /// An input; may be repeated. The value is JSON, or text where it is not.
        #[arg(short, long = "input", value_name = "NAME=VALUE")]
        inputs: Vec<String>,
        /// File with inputs, a JSON object; --input wins.
        #[arg(long, value_name = "FILE")]
        inputs_file: Option<PathBuf>,
    },
    /// The saved and built-in workflows.
    List,
    /// Keep a workflow under its name, in the place of an earlier one.
    Save {
        /// The file, or `-` for standard input. Its `name` is the name.
        file: String,
    },
    /// Forget a saved workflow. Its runs stay.
    Remove {
        /// The name.
        name: String,
    },
}
