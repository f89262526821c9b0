//! What a serial console says when a boot is over, as regular expressions over the bytes
//! as they come: a prompt has no end of line yet.

/// A login prompt: the host's name and `login: ` (agetty of util-linux, and busybox).
pub(crate) const LOGIN_PROMPT: &str = r"(?m)^[A-Za-z0-9][A-Za-z0-9._-]* login: ";

/// What QEMU says when the host stops it, on the line where the guest left the cursor.
const STOPPED: &str = "qemu-system-x86_64: terminating on signal";

/// The output without QEMU's own last words.
pub(crate) fn of_guest(output: &str) -> &str {
    match output.rsplit_once(STOPPED) {
        Some((guest, rest)) if rest.trim_end().lines().count() <= 1 => guest,
        _ => output,
    }
}

/// An end that a boot does not come back from.
pub(crate) struct DeadEnd {
    /// What is printed.
    pub(crate) expression: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
}

/// Every end that is known, at most 15.
pub(crate) const DEAD_ENDS: &[DeadEnd] = &[
    // initramfs-tools, scripts/functions: panic().
    DeadEnd {
        expression: r"\(initramfs\) ",
        meaning: "the initramfs did not find the root file system and opened its shell",
    },
    // dracut, modules.d: emergency shell.
    DeadEnd {
        expression: r"(?m)^dracut:/[^\n]*# |Entering emergency mode",
        meaning: "the initramfs gave up and opened its emergency shell",
    },
    // systemd's emergency.service and rescue.service; sulogin of util-linux.
    DeadEnd {
        expression: r"You are in (emergency|rescue) mode|Give root password for maintenance|Press Enter for (system )?maintenance",
        meaning: "the system came up in emergency mode, because something it needs did not start",
    },
    // Linux, kernel/panic.c.
    DeadEnd {
        expression: r"Kernel panic - not syncing",
        meaning: "the kernel panicked",
    },
    // GRUB 2: rescue mode without its modules, and the prompt without a configuration.
    DeadEnd {
        expression: r"grub rescue> |(?m)^grub> ",
        meaning: "GRUB did not find its configuration or its modules and opened its shell",
    },
    // SeaBIOS, src/boot.c.
    DeadEnd {
        expression: r"No bootable device|Boot failed: ",
        meaning: "the firmware found nothing to boot on the disk",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_has_not_the_last_word() {
        let stopped = "qemu-system-x86_64: terminating on signal 15 from pid 7 (x)\n";
        assert_eq!(of_guest(&format!("(initramfs) {stopped}")), "(initramfs) ");
        let middle = format!("{stopped}more\n");
        assert_eq!(of_guest(&middle), middle);
        assert_eq!(of_guest("web login: "), "web login: ");
    }
}
