//! What fstab mounts, and whether it can be read here.

use cofferdam_sdk::Severity;
use cofferdam_sdk::types::{BlockDevice, MountPoint, Tree};

use crate::device::{describe, resolve};
use crate::fstab::Row;

/// Kinds that hold file systems and are no file systems themselves, and what opens them.
pub const CONTAINERS: &[(&str, &str)] = &[
    ("crypto_LUKS", "is encrypted"),
    ("LVM2_member", "is an LVM physical volume"),
    ("linux_raid_member", "is a member of a software RAID"),
];

/// A remark for the person who approves.
pub type Note = (Severity, String);

/// What came of fstab.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The mounts, the root first and parents before what is below them, with their trees.
    pub mounts: Vec<(MountPoint, u32)>,
    /// What cannot be mounted or is odd.
    pub notes: Vec<Note>,
}

/// Whether a fixer may have to edit below the path: without it a plan would be half of one.
/// What is on the EFI system partition only leads to the real boot loader.
fn is_edited(path: &str) -> bool {
    let below = |top: &str| {
        path.strip_prefix(top)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let esp = ["/boot/efi", "/efi"].iter().any(|esp| below(esp));
    !esp && ["/boot", "/etc", "/usr", "/lib", "/var"]
        .iter()
        .any(|top| below(top))
}

fn weight(row: &Row) -> Severity {
    if is_edited(&row.path) {
        Severity::Block
    } else {
        Severity::Warn
    }
}

/// Joins fstab's rows to the devices. `encrypted` are crypttab's names.
pub fn plan(
    root: &Tree,
    rows: &[Row],
    encrypted: &[(String, String)],
    devices: &[BlockDevice],
    trees: &[Tree],
) -> Plan {
    let mut plan = Plan::default();
    let mut options = String::new();
    for row in rows.iter().filter(|row| row.is_disk()) {
        let device = resolve(&row.source, devices);
        if row.path == "/" {
            options.clone_from(&row.options);
            if let Some(other) = device.filter(|device| device.index != root.device) {
                plan.notes.push((
                    Severity::Warn,
                    format!(
                        "fstab says that / is {}, which is not where the root was found",
                        describe(other)
                    ),
                ));
            }
            continue;
        }
        let Some(device) = device else {
            plan.notes.extend(unresolved(row, encrypted, devices));
            continue;
        };
        match trees.iter().find(|tree| tree.device == device.index) {
            Some(tree) => {
                let mount = MountPoint {
                    path: row.path.clone(),
                    device: device.index,
                    options: row.options.clone(),
                };
                // Of two rows for one path the later hides the earlier.
                plan.mounts.retain(|(known, _)| known.path != row.path);
                plan.mounts.push((mount, tree.index));
            }
            None => plan.notes.push(unreadable(row, device)),
        }
    }
    plan.mounts
        .sort_by(|left, right| left.0.path.cmp(&right.0.path));
    let mount = MountPoint {
        path: "/".to_owned(),
        device: root.device,
        options,
    };
    plan.mounts.insert(0, (mount, root.index));
    plan
}

fn unreadable(row: &Row, device: &BlockDevice) -> Note {
    let place = format!("{} is on {}", row.path, describe(device));
    match device.kind.as_deref() {
        None => (
            Severity::Warn,
            format!("{place}, which nothing recognised; nothing on it is looked at"),
        ),
        Some(kind) => (
            weight(row),
            match weight(row) {
                Severity::Block => format!(
                    "{place}: no file-system plugin could mount {kind}, and what is there may have to \
                     be changed; install one, or move {} to ext4 before migrating",
                    row.path
                ),
                _ => format!(
                    "{place}: no file-system plugin could mount {kind}; nothing on it is looked at"
                ),
            },
        ),
    }
}

/// Why a source is none of the devices; none where the row says that it may be missing.
fn unresolved(row: &Row, encrypted: &[(String, String)], devices: &[BlockDevice]) -> Option<Note> {
    let mapped = row.source.strip_prefix("/dev/mapper/");
    let secret = encrypted.iter().find(|(name, _)| mapped == Some(name));
    if let Some((name, source)) = secret {
        let place = resolve(source, devices).map_or_else(|| source.clone(), describe);
        return Some((
            weight(row),
            format!(
                "{} is on {name}, which is encrypted on {place}; decrypt it in the guest \
                 (cryptsetup reencrypt --decrypt) before migrating, if its files are to be fixed",
                row.path
            ),
        ));
    }
    let containers: Vec<String> = containers(devices)
        .map(|(device, _)| describe(device))
        .collect();
    if !containers.is_empty() && (is_edited(&row.path) || !row.may_be_missing()) {
        return Some((
            weight(row),
            format!(
                "{} is on {}, which is probably inside {}: volume plugins (LVM, RAID, LUKS) are \
                 not there",
                row.path,
                row.source,
                containers.join(", ")
            ),
        ));
    }
    (!row.may_be_missing()).then(|| {
        (
            Severity::Warn,
            format!(
                "fstab mounts {} on {}, and no disk given has it; the guest waits for it when it \
                 starts",
                row.source, row.path
            ),
        )
    })
}

/// The devices that hold volumes, and what they are in words.
pub fn containers(devices: &[BlockDevice]) -> impl Iterator<Item = (&BlockDevice, &'static str)> {
    devices.iter().filter_map(|device| {
        let kind = device.kind.as_deref()?;
        let (_, what) = CONTAINERS.iter().find(|(known, _)| *known == kind)?;
        Some((device, *what))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fixers_edit_is_told_from_data() {
        for (path, edited) in [
            ("/boot", true),
            ("/usr", true),
            ("/usr/local", true),
            ("/var/lib", true),
            ("/boot/efi", false),
            ("/efi", false),
            ("/home", false),
            ("/data", false),
            ("/variable", false),
        ] {
            assert_eq!(is_edited(path), edited, "{path}");
        }
    }
}
