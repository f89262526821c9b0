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
    /// Run a plugin against recordings of its calls, without what they happened on, and say
    /// whether it does the same. Nothing outside is touched.
    Replay {
        /// A file that the filter `record` wrote, or a folder of them.
        recording: PathBuf,
        /// The component to run [default: the plugin of that id in the plugin folders].
        #[arg(long, value_name = "FILE")]
        component: Option<PathBuf>,
    },
}
