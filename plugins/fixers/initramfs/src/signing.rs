//! Whether an initrd is signed: then adding to it makes what the boot loader checks wrong.
//!
//! GRUB verifies every file that it loads against a detached `FILE.sig` while its variable
//! `check_signatures` is `enforce` (GRUB manual, "Using digital signatures in GRUB"); a
//! GRUB installed with a built-in key starts with it set, which no file of the guest shows,
//! so a signature beside the initrd counts even where no configuration says `enforce`.

use cofferdam_sdk::{Guest, Result};

/// Where the configuration of GRUB 2 is.
pub const GRUB: [&str; 2] = ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"];
/// No real configuration comes near it.
const MOST: u64 = 4 << 20;
/// Names of detached signatures.
const SUFFIXES: [&str; 4] = [".sig", ".p7s", ".asc", ".sign"];

/// What ends a signed kernel module, and by analogy a file that `sign-file` signed.
const APPENDED: &[u8] = b"~Module signature appended~\n";
/// What ends an initrd with a boot configuration (Documentation/admin-guide/bootconfig).
const BOOTCONFIG: &[u8] = b"#BOOTCONFIG\n";

/// The configuration of GRUB 2, lossily as text; none where there is none.
pub fn grub_configuration(guest: &dyn Guest) -> Result<Option<String>> {
    for path in GRUB {
        if guest.is_file(path)? {
            let bytes = guest.read(path, MOST)?;
            return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Ok(None)
}

/// Why the boot loader may refuse a changed initrd; none where nothing speaks for it.
pub fn checked_by_loader(guest: &dyn Guest, initrd: &str) -> Result<Option<String>> {
    for suffix in SUFFIXES {
        let signature = format!("{initrd}{suffix}");
        if guest.is_file(&signature)? {
            return Ok(Some(format!(
                "its signature lies beside it ({signature}) and would no longer match"
            )));
        }
    }
    let enforced = grub_configuration(guest)?.is_some_and(|text| {
        text.lines()
            .map(str::trim_start)
            .any(|line| !line.starts_with('#') && line.contains("check_signatures=enforce"))
    });
    Ok(enforced.then(|| {
        "GRUB is told to check the signature of every file it loads (check_signatures=enforce)"
            .to_owned()
    }))
}

/// What a file that ends like this has behind its archives, where it is something known.
pub fn trailer(end: &[u8]) -> Option<&'static str> {
    if end.ends_with(APPENDED) {
        Some("an appended signature, which no longer matches once anything is added")
    } else if end.ends_with(BOOTCONFIG) {
        Some("a boot configuration, which the kernel only finds at the very end")
    } else {
        None
    }
}
