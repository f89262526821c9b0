//! The GRUB fixer.
//!
//! **Problem.** A kernel that is told `root=/dev/sda1` looks for its root under a name that
//! the target's disk does not have. GRUB's configuration says it in several places, and in
//! the same words says other things that must stay: `set root='hd0,msdos1'` is GRUB's own
//! root, and changing it makes the guest unbootable.
//!
//! **Design.** [`shell`] finds the words of a script, [`files`] knows which of them are
//! kernel arguments, [`arguments`] decides what becomes of each. Only values that name a
//! disk by its hardware change, only where they are; every other byte stays.
//!
//! **Limits.** GRUB 2 only. Boot loader specification entries, GRUB 1, extlinux and Xen's
//! `module2` lines are not edited. An EFI system partition's own grub.cfg is not looked at.

use cofferdam_sdk::{Fixer, Guest, Result, text, types::BlockDevice};

mod arguments;
mod files;
mod shell;

use arguments::{Changes, Disks, Weight};
use files::{Found, Remark};

const DEFAULTS: &str = "/etc/default/grub";
const SCRIPTS: [&str; 2] = ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"];
const KERNEL_INSTALL: &str = "/etc/kernel/cmdline";
/// Menus of many kernels have some hundred KiB.
const MOST: u64 = 4 << 20;

/// Gives kernels that GRUB 2 starts a root name that moves with the disk.
pub struct Grub;

impl Fixer for Grub {
    fn fix(guest: &mut dyn Guest) -> Result<()> {
        if guest.os().kind != "linux" {
            return Ok(());
        }
        let devices = guest.devices();
        let root = guest.device_mounted_at("/");
        let disks = Disks {
            devices: &devices,
            root: root.as_ref().and_then(|root| same(&devices, root)),
        };
        let initrd = guest.kernels().iter().all(|kernel| kernel.initrd.is_some());

        fix_file(guest, &disks, DEFAULTS, |content| {
            files::defaults(content, initrd)
        })?;
        fix_file(guest, &disks, KERNEL_INSTALL, |content| {
            files::plain(content, initrd)
        })?;
        let mut scripts = 0;
        for path in SCRIPTS {
            scripts += usize::from(fix_file(guest, &disks, path, files::script)?);
        }
        if scripts == 0 {
            let message = "no GRUB 2 configuration was found in /boot/grub and /boot/grub2: \
                           whatever starts the kernel is left as it is";
            guest.note(Weight::Warn.into(), message)?;
        }
        Ok(())
    }
}

fn same<'a>(devices: &'a [BlockDevice], wanted: &BlockDevice) -> Option<&'a BlockDevice> {
    devices.iter().find(|device| device.index == wanted.index)
}

/// Edits one file; false where it is not there.
fn fix_file(
    guest: &mut dyn Guest,
    disks: &Disks,
    path: &str,
    find: impl Fn(&[u8]) -> Found,
) -> Result<bool> {
    if !guest.is_file(path)? {
        return Ok(false);
    }
    let content = guest.read(path, MOST)?;
    let Found { lines, remarks } = find(&content);
    let mut changes = Changes::default();
    for line in &lines {
        disks.change(path, &content, line, &mut changes);
    }
    changes
        .notes
        .extend(remarks.into_iter().map(|remark| note(path, remark)));
    for (weight, message) in changes.notes {
        guest.note(weight.into(), &message)?;
    }
    if !changes.replacements.is_empty() {
        let summary: Vec<String> = changes.summary.into_iter().collect();
        let reason = format!(
            "the target's hardware gives disks other names: {}",
            summary.join(", ")
        );
        let content = text::replace_ranges(&content, &changes.replacements);
        guest.write(path, &content, &reason)?;
    }
    Ok(true)
}

fn note(path: &str, remark: Remark) -> (Weight, String) {
    match remark {
        Remark::Unreadable => (
            Weight::Warn,
            format!("{path} has a quote that is never closed, and stays as it is; look at it"),
        ),
        Remark::UuidsDisabled => (
            Weight::Info,
            format!(
                "{path} sets GRUB_DISABLE_LINUX_UUID=true: the next update-grub in the guest names \
                 the root by the target's hardware, which works until that changes again"
            ),
        ),
        Remark::NoKernel => (
            Weight::Warn,
            format!("{path} starts no kernel: run update-grub in the guest before migrating it"),
        ),
        Remark::LoaderEntries => (
            Weight::Warn,
            format!(
                "{path} takes its menu from boot loader specification entries, which are not \
                 edited; look for root= in /boot/loader/entries"
            ),
        ),
    }
}

cofferdam_sdk::export_fixer!(Grub);

#[cfg(test)]
mod tests;
