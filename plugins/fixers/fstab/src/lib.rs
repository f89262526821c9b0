//! The fstab fixer.
//!
//! **Problem.** A row of `/etc/fstab` that says `/dev/sda1` or `/dev/disk/by-path/…` names
//! a disk by how it is attached, and that is what a migration changes: the guest waits for
//! a disk that never comes and stops in its emergency shell.
//!
//! **Design.** [`table`] finds the rows and what is to become of each, and only their
//! first fields change; every other byte of the file stays. This file joins it to the
//! guest. The syntax is fstab(5) of util-linux 2.38.
//!
//! **Limits.** Mount units of systemd, autofs maps and `/etc/crypttab` are not looked at.

use cofferdam_sdk::{Fixer, Guest, Result, Severity};
use serde::Deserialize;

mod table;

use table::{Mode, Plan};

const FSTAB: &str = "/etc/fstab";
/// No real table comes near it; a longer file is an error rather than a surprise.
const MOST: u64 = 1 << 20;

/// Gives rows of `/etc/fstab` names that move with the disk.
pub struct Fstab;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    mode: Mode,
}

impl Fixer for Fstab {
    fn fix(guest: &mut dyn Guest) -> Result<()> {
        let Settings { mode } = guest.settings()?;
        if mode == Mode::Noop || guest.os().kind != "linux" || !guest.is_file(FSTAB)? {
            return Ok(());
        }
        let content = guest.read(FSTAB, MOST)?;
        let Plan {
            content,
            changes,
            notes,
        } = table::plan(&content, mode, &guest.devices(), &guest.mounts());
        for (severity, message) in notes {
            guest.note(severity, &message)?;
        }
        if changes.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "the target's hardware gives disks other names: {}",
            changes.join(", ")
        );
        guest.write(FSTAB, &content, &reason)
    }
}

cofferdam_sdk::export_fixer!(Fstab);

/// What a note of this fixer is: how much it matters, and what it says.
type Note = (Severity, String);

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        cofferdam_sdk::testing::run_cases(
            env!("CARGO_MANIFEST_DIR"),
            <super::Fstab as cofferdam_sdk::Fixer>::fix,
        );
    }
}
