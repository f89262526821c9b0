//! `cofferdam plugin`.

use clap::Subcommand;
use std::path::PathBuf;

/// The commands of `plugin`.
#[derive(Subcommand)]
pub enum Plugin {
    /// The plugins that are loaded, and what was refused and why.
    List,
    /// What a file is, wants and is limited to. Nothing of it is run.
    Inspect {
        /// The component.
        file: PathBuf,
    },
    /// Build a plugin's folder into a component that carries its manifest.
    Build {
        /// The folder with plugin.toml.
        folder: PathBuf,
        /// The component to write [default: ID.wasm].
        #[arg(short = 'o', long = "out", value_name = "FILE")]
        out: Option<PathBuf>,
    },
}
