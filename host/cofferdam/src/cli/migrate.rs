//! `cofferdam migrate`.

use clap::Args;
use std::path::PathBuf;

/// The arguments of `migrate`.
#[derive(Args)]
pub struct Migrate {
    /// The machine's disks, raw, qcow2 or VMDK files: the one that it boots from first, the
    /// others in its order. With --apply, the plan's own by default.
    #[arg(value_name = "DISK", required_unless_present = "apply")]
    pub disks: Vec<PathBuf>,
    /// Format of the new disks [default: qcow2, or the plan's].
    #[arg(long, value_name = "FORMAT", value_parser = ["qcow2", "raw"])]
    pub to: Option<String>,
    /// Compress with zlib at this level, 1 (fast) to 12 (small); qcow2 only.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=12))]
    pub compress: Option<u8>,
    /// Folder for the new disks and their reports.
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
    /// Then boot the new disk in QEMU, and succeed only if it comes up. Takes the plugin
    /// boot-test and its grant.
    #[arg(long, conflicts_with = "plan")]
    pub boot_test: bool,
    /// What the guest prints on its serial console when it is up, a regular expression
    /// [default: a login prompt].
    #[arg(long, value_name = "REGEX", requires = "boot_test")]
    pub marker: Option<String>,
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
    /// Threads for copying all disks together [default: four per core, 16 at most].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
}
