//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Runs orchestration plugins in a sandbox: plan, look, approve, apply exactly that plan.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    /// How to print results.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Configuration file [default: cofferdam.toml, where there is one].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder with plugins; may be repeated [default: COFFERDAM_PLUGINS, the configuration, the
    /// user's data folder, and `plugins` beside the program's folder].
    #[arg(long = "plugins", global = true, value_name = "FOLDER")]
    pub plugin_folders: Vec<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How to print results.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Make a machine's disks bootable on KVM.
    Migrate(Box<Migrate>),
    /// Look into disk images, convert and compare them.
    #[command(subcommand)]
    Disk(Disk),
    /// Look at plugins and build them.
    #[command(subcommand)]
    Plugin(Plugin),
}

/// `cofferdam migrate`.
#[derive(Args)]
pub struct Migrate {
    /// The machine's disk: a raw, qcow2 or VMDK file. With --apply, the plan's own by default.
    #[arg(required_unless_present = "apply")]
    pub source: Option<PathBuf>,
    /// Format of the new disk [default: qcow2, or the plan's].
    #[arg(long, value_name = "FORMAT", value_parser = ["qcow2", "raw"])]
    pub to: Option<String>,
    /// Compress with zlib at this level, 1 (fast) to 12 (small); qcow2 only.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=12))]
    pub compress: Option<u8>,
    /// Folder for the new disk and its reports.
    #[arg(
        short = 'o',
        long = "out",
        value_name = "FOLDER",
        required_unless_present = "plan"
    )]
    pub out: Option<PathBuf>,
    /// Plan, rehearse, show, and write the plan to this file and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["apply", "yes", "out"])]
    pub plan: Option<PathBuf>,
    /// Apply the plan in this file, which was looked at; refused if anything changed since.
    #[arg(long, value_name = "FILE")]
    pub apply: Option<PathBuf>,
    /// Apply without asking. The plan is still made, rehearsed and shown.
    #[arg(short, long)]
    pub yes: bool,
    /// A setting of a plugin; may be repeated. The value is JSON, or text where it is not.
    #[arg(long, value_name = "ID.KEY=VALUE")]
    pub set: Vec<String>,
    /// The time that plugins see and that edited files get, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME", conflicts_with = "apply")]
    pub plan_time: Option<String>,
    /// How disks will be attached [default: virtio-blk, or the plan's].
    #[arg(long, value_name = "BUS", value_parser = ["virtio-blk", "virtio-scsi"])]
    pub disk_bus: Option<String>,
    /// Folder for overlays [default: the system's folder for temporary files].
    #[arg(long, value_name = "FOLDER")]
    pub scratch: Option<PathBuf>,
    /// Threads for conversion [default: one per core].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
}

/// `cofferdam disk`.
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
        /// Threads [default: one per core].
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

/// `cofferdam plugin`.
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
