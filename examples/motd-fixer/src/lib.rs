//! The motd fixer, an example.
//!
//! **Problem.** A guest that left VMware still greets whoever logs in with the old
//! platform's name, and nothing tells them that it moved.
//!
//! **Design.** Lines of `/etc/motd` that contain a text are removed and one line is added at
//! the end, both as the settings say. A line that is there already is not added again, so
//! that a second run plans nothing: the host checks that of every fixer.
//!
//! **Limits.** Only `/etc/motd`, not what `/etc/update-motd.d` prints.

use cofferdam_sdk::{Fixer, Guest, Result};
use serde::Deserialize;

const MOTD: &str = "/etc/motd";
/// No real message comes near it; a longer file is an error rather than a surprise.
const MOST: u64 = 64 << 10;

/// Takes the old hypervisor out of the message of the day.
pub struct Motd;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    remove: String,
    line: String,
}

impl Fixer for Motd {
    fn fix(guest: &mut dyn Guest) -> Result<()> {
        let settings: Settings = guest.settings()?;
        let there = guest.is_file(MOTD)?;
        let before = if there {
            guest.read(MOTD, MOST)?
        } else {
            Vec::new()
        };
        let after = message(&before, &settings);
        if after == before {
            return Ok(());
        }
        let reason = "the guest leaves the platform that its message of the day speaks of";
        if there {
            return guest.write(MOTD, &after, reason);
        }
        let attributes = guest.attributes_like_siblings("/etc")?;
        guest.create(MOTD, &after, &attributes, reason)
    }
}

cofferdam_sdk::export_fixer!(Motd);

/// The message as it should be. Bytes that are no UTF-8 stay as they are.
fn message(before: &[u8], settings: &Settings) -> Vec<u8> {
    let (remove, line) = (settings.remove.as_bytes(), settings.line.as_bytes());
    let unwanted =
        |text: &[u8]| !remove.is_empty() && text.windows(remove.len()).any(|part| part == remove);
    let mut after: Vec<u8> = before
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|text| !unwanted(text))
        .flatten()
        .copied()
        .collect();
    let said = after.split(|byte| *byte == b'\n').any(|text| text == line);
    // A line that would be removed again is never added: no run would be the last.
    if !line.is_empty() && !said && !unwanted(line) {
        if !after.is_empty() && !after.ends_with(b"\n") {
            after.push(b'\n');
        }
        after.extend_from_slice(line);
        after.push(b'\n');
    }
    after
}

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        cofferdam_sdk::testing::run_cases(
            env!("CARGO_MANIFEST_DIR"),
            <super::Motd as cofferdam_sdk::Fixer>::fix,
        );
    }
}
