//! Which tool made an initrd: what its early user space does decides what it must be given
//! so that the added modules are loaded.
//!
//! | kind | marks | modules are loaded by |
//! |---|---|---|
//! | initramfs-tools | `scripts/functions` with `conf/` | `conf/modules`, and udev by alias |
//! | dracut | `usr/lib/dracut`, `lib/dracut`, `etc/initrd-release` | udev by `modules.alias` |
//! | mkinitcpio | `init_functions` with `hooks/` or `config` | udev by `modules.alias` |
//!
//! Sources: initramfs-tools(7) and its `scripts/functions` (`load_modules`), dracut(7),
//! mkinitcpio(8).

use std::fmt;

use crate::members::Members;

/// The tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's and Ubuntu's.
    InitramfsTools,
    /// Fedora's, Red Hat's and SUSE's.
    Dracut,
    /// Arch's.
    Mkinitcpio,
    /// None of them.
    Unknown,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InitramfsTools => "initramfs-tools",
            Self::Dracut => "dracut",
            Self::Mkinitcpio => "mkinitcpio",
            Self::Unknown => "unknown",
        })
    }
}

/// Tells the kind by what is in the initrd.
pub fn recognise(members: &Members) -> Kind {
    let has = |name: &str| members.get(name).is_some();
    if has("scripts/functions") && has("conf") {
        Kind::InitramfsTools
    } else if has("init_functions") && (has("hooks") || has("config")) {
        Kind::Mkinitcpio
    } else if [
        "usr/lib/dracut",
        "lib/dracut",
        "etc/initrd-release",
        "usr/lib/initrd-release",
    ]
    .iter()
    .any(|name| has(name))
    {
        Kind::Dracut
    } else {
        Kind::Unknown
    }
}
