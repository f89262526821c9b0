//! What the machine has to offer.

use crate::commands::doctor::{Finding, Site};
use crate::render::bytes;
use cofferdam_runtime::Options;
use cofferdam_runtime::engine::Allocation;
use std::path::{Path, PathBuf};

/// Below this, in bytes, runs will fail soon.
const LITTLE: u64 = 256 << 20;
/// Below this, in bytes, a disk is not copied.
const SCARCE: u64 = 2 << 30;

/// Room where the state is and where overlays go.
pub fn disk_space(site: &Site<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (what, path) in [
        ("the state folder", site.state.root().to_owned()),
        ("the folder for temporary files", std::env::temp_dir()),
    ] {
        let Some(existing) = existing(&path) else {
            continue;
        };
        let Ok(system) = rustix::fs::statvfs(&existing) else {
            continue;
        };
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        let message = format!("{} is free for {what}, {}", bytes(free), path.display());
        if free < LITTLE {
            findings.push(Finding::problem(
                message,
                "make room, or choose another file system",
            ));
        } else if free < SCARCE {
            findings.push(Finding::warning(
                message,
                "overlays and new disks will need more",
            ));
        }
    }
    findings
}

/// The folder itself, or the nearest one above it that is there.
fn existing(path: &Path) -> Option<PathBuf> {
    path.ancestors()
        .find(|folder| folder.exists())
        .map(Path::to_owned)
}

/// Address space for the pool of instances.
pub fn address_space() -> Vec<Finding> {
    match cofferdam_capabilities::runtime(&Options::uncached()) {
        Ok(runtime) if runtime.allocation() == Allocation::Pool => Vec::new(),
        Ok(_) => vec![Finding::warning(
            "there is too little address space for the pool of plugin instances: each call starts more slowly",
            "raise the limit of virtual memory (ulimit -v unlimited; systemd: LimitAS=infinity)",
        )],
        Err(error) => vec![Finding::problem(
            format!("the plugin runtime cannot start: {error}"),
            "look at the message; a newer kernel or a larger limit of virtual memory may be needed",
        )],
    }
}
