//! Inspector: finds a Linux system among a guest's file systems.
//!
//! **Problem.** Fixers see one guest with paths, not partitions. Which partition is the root,
//! what is mounted where, which kernels there are and what the partitions hold that no
//! file-system plugin reads has to be found out first, from what is on the disks alone; and
//! where it cannot be found out, the person has to hear why.
//!
//! **Design.** Devices without a file system are named by their signatures ([`probe`]).
//! Roots are recognised by what every Linux has ([`root`]), fstab is joined to the devices
//! ([`mounts`]), and everything else is read from the trees composed to one ([`composed`]):
//! the system ([`system`]) and its kernels ([`kernels`]). These functions only look; this
//! module records.
//!
//! **Limits.** Volumes inside LVM, software RAID and LUKS are named and not opened. Mounts
//! that fstab does not name (systemd mount units, the GPT's own rules) are not known. Unified
//! kernel images are no kernels here. btrfs subvolumes are not told apart.

pub mod composed;
pub mod device;
pub mod elf;
pub mod fstab;
pub mod kernels;
pub mod lenient;
pub mod mounts;
pub mod os_release;
pub mod probe;
pub mod root;
pub mod system;

#[cfg(test)]
mod cases;

use cofferdam_sdk::types::{BlockDevice, Tree};
use cofferdam_sdk::{Inspector, Result, Severity, Trees};
use serde::Deserialize;

use crate::composed::Composed;
use crate::device::describe;

/// fstab and crypttab are read up to this length.
const TABLE: u64 = 1 << 20;
/// As many names of a tree's top as a note lists.
const NAMED: usize = 6;
/// File systems that may hold a root, for the note where none was found.
const ROOT_KINDS: [&str; 8] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs",
];

/// See the module.
pub struct Linux;

cofferdam_sdk::export_inspector!(Linux);

/// The settings of plugin.toml.
#[derive(Deserialize)]
struct Settings {
    root: String,
}

impl Inspector for Linux {
    fn inspect(guest: &mut dyn Trees) -> Result<()> {
        let settings: Settings = guest.settings()?;
        let trees = guest.trees();
        let devices = identify(guest, &trees)?;
        let candidates = root::candidates(guest)?;
        let root = if settings.root.is_empty() {
            match candidates.as_slice() {
                [] => return nothing_found(guest, &devices, &trees),
                [only] => only.clone(),
                [first, ..] => {
                    let listed = root::listed(&candidates, &devices);
                    let message = format!(
                        "there is more than one Linux root: {listed}; say which one is meant with \
                         --set linux.root=UUID (or a name such as /dev/sda1)"
                    );
                    guest.note(Severity::Block, &message)?;
                    first.clone()
                }
            }
        } else {
            root::chosen(&settings.root, &candidates, &devices)?
        };
        record(guest, &root, &devices, &trees)
    }
}

/// Records what devices hold that no plugin mounted, and gives the devices with it.
fn identify(guest: &mut dyn Trees, trees: &[Tree]) -> Result<Vec<BlockDevice>> {
    let mut devices = guest.devices();
    let partitioned: Vec<u32> = devices
        .iter()
        .filter(|device| device.partition.is_some())
        .map(|device| device.disk)
        .collect();
    // Of a disk with partitions, these are looked at and not the whole.
    devices.retain(|device| device.partition.is_some() || !partitioned.contains(&device.disk));
    for device in &mut devices {
        let mounted = trees.iter().any(|tree| tree.device == device.index);
        let found = match look(guest, device, mounted) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("{} cannot be read: {error}", describe(device));
                guest.note(Severity::Warn, &message)?;
                continue;
            }
        };
        let Some(found) = found else { continue };
        if mounted {
            let message = format!(
                "{} is a member of a software RAID: changing one member alone would leave the \
                 array inconsistent; migrate the array's content as one disk",
                describe(device)
            );
            guest.note(Severity::Block, &message)?;
            continue;
        }
        guest.identify_device(
            device.index,
            found.kind,
            found.uuid.as_deref(),
            found.label.as_deref(),
        )?;
        device.kind = Some(found.kind.to_owned());
        device.uuid = found.uuid;
        device.label = found.label;
        if found.kind == "swsuspend" {
            let message = format!(
                "{} holds a memory image: the guest was hibernated, not shut down; what it had \
                 not written is lost when it starts on other hardware",
                describe(device)
            );
            guest.note(Severity::Warn, &message)?;
        }
    }
    Ok(devices)
}

/// What the device holds. Of a mounted one it is only asked whether it is part of a RAID.
fn look(guest: &dyn Trees, device: &BlockDevice, mounted: bool) -> Result<Option<probe::Identity>> {
    let mut read = |offset: u64, length: u32| {
        if offset < device.size {
            guest.read_device(device.index, offset, length)
        } else {
            Ok(Vec::new())
        }
    };
    let member = probe::raid_member(device.size, &mut read)?;
    if member.is_some() || mounted || device.kind.is_some() {
        return Ok(member);
    }
    Ok(probe::identify(&read(0, probe::HEAD)?))
}

/// Records a guest by its root.
fn record(
    guest: &mut dyn Trees,
    root: &Tree,
    devices: &[BlockDevice],
    trees: &[Tree],
) -> Result<()> {
    let tree = Composed::new(&*guest, vec![("/".to_owned(), root.index)]);
    let table = |path: &str| -> Result<Vec<u8>> {
        Ok(lenient::bytes(&tree, path, TABLE)?.unwrap_or_default())
    };
    let rows = fstab::rows(&table("/etc/fstab")?);
    let encrypted = fstab::encrypted(&table("/etc/crypttab")?);
    let plan = mounts::plan(root, &rows, &encrypted, devices, trees);

    let view = Composed::new(
        &*guest,
        plan.mounts
            .iter()
            .map(|(mount, tree)| (mount.path.clone(), *tree))
            .collect(),
    );
    let os = system::operating_system(&view)?;
    let kernels = kernels::find(&view)?;
    let facts = system::facts(&view, &rows)?;

    guest.set_operating_system(&os)?;
    for (mount, _) in &plan.mounts {
        guest.add_mount(mount)?;
    }
    for kernel in &kernels {
        guest.add_kernel(kernel)?;
    }
    for (key, value) in &facts {
        guest.set_fact(key, value)?;
    }
    for (severity, message) in &plan.notes {
        guest.note(*severity, message)?;
    }
    let boot_is_unread = plan
        .notes
        .iter()
        .any(|(_, note)| note.starts_with("/boot is on"));
    if kernels.is_empty() && !boot_is_unread {
        guest.note(Severity::Warn, "no kernel was found in /boot")?;
    }
    Ok(())
}

/// Says what is on each device, and what of it may hide a system.
fn nothing_found(guest: &mut dyn Trees, devices: &[BlockDevice], trees: &[Tree]) -> Result<()> {
    for tree in trees {
        let device = devices.iter().find(|device| device.index == tree.device);
        let name = device.map_or_else(|| format!("device {}", tree.device), describe);
        let mut names: Vec<String> = guest
            .list_directory(tree.index, "/", "", 100)?
            .entries
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        names.sort();
        let more = names.len() > NAMED;
        names.truncate(NAMED);
        let mut listed = match names.as_slice() {
            [] => "it is empty".to_owned(),
            names => format!("it has {}", names.join(", ")),
        };
        if more {
            listed.push_str(", …");
        }
        guest.note(
            Severity::Info,
            &format!("{name} holds no Linux root: {listed}"),
        )?;
    }
    for (device, what) in mounts::containers(devices) {
        let remedy = match device.kind.as_deref() {
            Some("crypto_LUKS") => {
                "no plugin opens it; decrypt it in the guest (cryptsetup reencrypt --decrypt) and \
                 migrate then"
            }
            _ => {
                "volume plugins are not there; move the system to a plain partition, or migrate \
                 the volume's content as a disk"
            }
        };
        let message = format!(
            "no root was found; it may be inside {}, which {what}: {remedy}",
            describe(device)
        );
        guest.note(Severity::Block, &message)?;
    }
    for device in devices {
        let unread = !trees.iter().any(|tree| tree.device == device.index);
        let Some(kind) = device.kind.as_deref() else {
            if unread {
                guest.note(
                    Severity::Info,
                    &format!("{} was not recognised", describe(device)),
                )?;
            }
            continue;
        };
        if unread && ROOT_KINDS.contains(&kind) {
            let message = format!(
                "no root was found; it may be on {}: no file-system plugin could mount {kind}",
                describe(device)
            );
            guest.note(Severity::Block, &message)?;
        }
    }
    Ok(())
}
