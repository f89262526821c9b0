//! `cofferdam disk`.

use clap::Subcommand;
use std::path::PathBuf;

/// The commands of `disk`.
#[derive(Subcommand)]
pub enum Disk {
    /// Format, size, files and partitions of an image.
    Info {
        /// The image.
        image: PathBuf,
        /// Its format [default: by its content].
        #[arg(long)]
        format: Option<String>,
    },
    /// Which ranges hold data, and which are zero.
    Map {
        /// The image.
        image: PathBuf,
        /// Its format [default: by its content].
        #[arg(long)]
        format: Option<String>,
    },
    /// Copy an image into another format.
    Convert {
        /// The image.
        source: PathBuf,
        /// The new file; must not exist.
        target: PathBuf,
        /// Format of the new file [default: by its ending].
        #[arg(long, value_name = "FORMAT", value_parser = ["qcow2", "raw"])]
        to: Option<String>,
        /// Compress with zlib at this level, 1 (fast) to 12 (small); qcow2 only.
        #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=12))]
        compress: Option<u8>,
        /// The source's format [default: by its content].
        #[arg(long)]
        format: Option<String>,
        /// Threads [default: four per core, 16 at most].
        #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
        threads: usize,
    },
    /// Do two images hold the same disk? Ends with 0 if so, 1 if not, 2 if that cannot be told.
    Compare {
        /// One image.
        a: PathBuf,
        /// The other.
        b: PathBuf,
        /// Format of the one [default: by its content].
        #[arg(long)]
        format_a: Option<String>,
        /// Format of the other [default: by its content].
        #[arg(long)]
        format_b: Option<String>,
    },
}
