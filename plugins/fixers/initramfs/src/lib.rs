//! The initramfs fixer.
//!
//! **Problem.** A guest whose initrd was built on VMware holds VMware's disk driver and
//! perhaps no other. On KVM its disk is behind virtio, the kernel never sees it, and the
//! guest ends in its initramfs shell. Rebuilding the initrd would mean running the guest's
//! programs, which needs root and an appliance.
//!
//! **Design.** The kernel unpacks archive after archive from an initrd, and later files
//! win. So the guest's own modules and their indexes are appended as one more archive:
//! [`archive`] reads an initrd exactly as the kernel does and so knows where it ends and
//! what it holds, [`modules`] what a driver needs, [`segment`] makes the bytes,
//! [`kernel`] decides for one kernel, [`rebuild`] tells the guest's own tools, and this
//! file joins them. Nothing is guessed: an initrd that is not understood to its last byte
//! is left alone and stops the plan.
//!
//! **Limits.** lzo initrds and unified kernel images are refused with the reason.
//! `modules.softdep` is not followed (no driver of the buses here has any). Drivers are
//! those of PCI machines; s390x's virtio-ccw is not among them.

mod archive;
mod decoder;
mod default_kernel;
mod guest_file;
mod kernel;
mod kind;
mod lz4;
mod members;
mod modules;
mod newc;
mod rebuild;
mod segment;
mod signing;
mod source;
mod unified;

use cofferdam_sdk::types::Kernel;
use cofferdam_sdk::{Fixer, Guest, Result, Severity};
use serde::Deserialize;

use kernel::{Room, Verdict};

/// Gives every initrd the drivers of the target's disk bus.
pub struct Initramfs;

/// What `plugin.toml` declares.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    modules: Vec<String>,
    rebuild_config: bool,
    signatures: Signatures,
}

/// What a signature that the boot loader may check means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Signatures {
    Block,
    Ignore,
}

impl Fixer for Initramfs {
    fn fix(guest: &mut dyn Guest) -> Result<()> {
        if guest.os().kind != "linux" {
            return Ok(());
        }
        let settings: Settings = guest.settings()?;
        let target = guest.target();
        let Some(drivers) = modules::drivers_of(&target.disk_bus) else {
            return guest.note(
                Severity::Warn,
                &format!(
                    "it is not known which drivers the disk bus {:?} needs, so the initrds stay \
                     as they are; check that the guest has them",
                    target.disk_bus
                ),
            );
        };
        let kernels = guest.kernels();
        if kernels.is_empty() {
            return guest.note(
                Severity::Warn,
                "no kernel was found in the guest, so no initrd could be checked",
            );
        }

        let mut room = Room::default();
        let mut extended = Vec::new();
        let mut unable = Vec::new();
        let mut bootable = false;
        for (place, kernel) in kernels.iter().enumerate() {
            match kernel::examine(guest, kernel, drivers, &settings, &mut room)? {
                Verdict::Ready => bootable = true,
                Verdict::Extended(loaded) => {
                    bootable = true;
                    for name in loaded {
                        if !extended.contains(&name) {
                            extended.push(name);
                        }
                    }
                }
                Verdict::Refused(reason) => guest.note(Severity::Block, &reason)?,
                Verdict::Unable { reason, no_initrd } => unable.push((place, no_initrd, reason)),
            }
        }
        report_unable(guest, &kernels, &unable, bootable)?;
        if settings.rebuild_config {
            rebuild::plan(guest, &extended)?;
        }
        Ok(())
    }
}

/// Notes for kernels that cannot be helped: they stop the plan where no other kernel boots,
/// and where the one that boots by default has no initrd to add to.
fn report_unable(
    guest: &mut dyn Guest,
    kernels: &[Kernel],
    unable: &[(usize, bool, String)],
    bootable: bool,
) -> Result<()> {
    if unable.is_empty() {
        return Ok(());
    }
    let default = default_kernel::find(guest, kernels)?;
    for (place, no_initrd, reason) in unable {
        let by_default = default == Some(*place);
        let severity = if !bootable || (by_default && *no_initrd) {
            Severity::Block
        } else {
            Severity::Warn
        };
        let choice = if by_default && bootable {
            "; it is the one that boots by default: choose another or install what is missing"
        } else {
            ""
        };
        guest.note(severity, &format!("{reason}{choice}"))?;
    }
    Ok(())
}

cofferdam_sdk::export_fixer!(Initramfs);

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        cofferdam_sdk::testing::run_cases(
            env!("CARGO_MANIFEST_DIR"),
            <super::Initramfs as cofferdam_sdk::Fixer>::fix,
        );
    }
}
