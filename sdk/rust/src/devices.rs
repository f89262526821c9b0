//! Finding the block device that a guest's configuration means, and a name for it that
//! does not change with the hardware.

use std::collections::BTreeMap;

use crate::types::BlockDevice;

/// The device that the guest's kernel knew by this name on the source hardware. A name
/// that fits two devices says nothing.
pub fn resolve_old_name<'a>(devices: &'a [BlockDevice], name: &str) -> Option<&'a BlockDevice> {
    let named = |device: &&BlockDevice| device.old_names.iter().any(|old| old == name);
    only(devices.iter().filter(named))
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    match (items.next(), items.next()) {
        (Some(item), None) => Some(item),
        _ => None,
    }
}

/// A name that depends on how a disk is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardwareName {
    /// The kernel's: `/dev/sda1`, `/dev/hda1`, `/dev/xvda1`, `/dev/vda1`, `/dev/nvme0n1p1`.
    Kernel,
    /// The bus's: `/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1`.
    ByPath,
    /// The disk's serial number, which the target's disk does not have:
    /// `/dev/disk/by-id/scsi-36000c29…-part1`.
    ById,
}

impl HardwareName {
    /// Which kind a name is; none for names that move with the content (`UUID=`,
    /// `/dev/mapper/…`, `/dev/disk/by-uuid/…`, by-id names that udev makes from LVM,
    /// device-mapper and md metadata) and for all else.
    pub fn of(name: &str) -> Option<Self> {
        if name.starts_with("/dev/disk/by-path/") {
            return Some(Self::ByPath);
        }
        if let Some(id) = name.strip_prefix("/dev/disk/by-id/") {
            let content = ["dm-", "lvm-", "md-"];
            let moves = content.iter().any(|prefix| id.starts_with(prefix));
            return (!moves).then_some(Self::ById);
        }
        let name = name.strip_prefix("/dev/")?;
        (is_lettered(name) || is_nvme(name)).then_some(Self::Kernel)
    }
}

/// `sda`, `xvdb12`: letters for the disk, then perhaps the partition.
fn is_lettered(name: &str) -> bool {
    ["sd", "hd", "xvd", "vd"].iter().any(|prefix| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            let disk = rest.trim_end_matches(|character: char| character.is_ascii_digit());
            !disk.is_empty() && disk.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    })
}

/// `nvme0n1`, `nvme0n1p2`.
fn is_nvme(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_prefix("nvme")
        .and_then(|rest| rest.split_once('n'))
        .is_some_and(|(controller, rest)| {
            let (namespace, partition) = rest.split_once('p').unwrap_or((rest, "0"));
            number(controller) && number(namespace) && number(partition)
        })
}

/// Resolves hardware names to devices.
///
/// A by-path or by-id name says the partition's number but not which disk it is on: that
/// is known where the guest has one disk only, or where another name of the same disk was
/// [learnt](Names::learn).
#[derive(Clone, Debug)]
pub struct Names<'a> {
    devices: &'a [BlockDevice],
    /// Disk number by the part of a name before `-partN`.
    disks: BTreeMap<String, u32>,
}

impl<'a> Names<'a> {
    /// Over the guest's devices.
    pub fn new(devices: &'a [BlockDevice]) -> Self {
        Self {
            devices,
            disks: BTreeMap::new(),
        }
    }

    /// Remembers that a by-path or by-id name means this device; ignored where the
    /// partition's number contradicts it.
    pub fn learn(&mut self, name: &str, device: &BlockDevice) {
        let (disk, partition) = split_partition(name);
        if HardwareName::of(name).is_some_and(|kind| kind != HardwareName::Kernel)
            && partition == device.partition
        {
            self.disks.insert(disk.to_string(), device.disk);
        }
    }

    /// The device that a hardware name means.
    pub fn resolve(&self, name: &str) -> Option<&'a BlockDevice> {
        match HardwareName::of(name)? {
            HardwareName::Kernel => resolve_old_name(self.devices, name),
            HardwareName::ByPath | HardwareName::ById => {
                let (disk, partition) = split_partition(name);
                let disk = self.disks.get(disk).copied().or_else(|| self.only_disk())?;
                only(
                    self.devices
                        .iter()
                        .filter(|device| device.disk == disk && device.partition == partition),
                )
            }
        }
    }

    fn only_disk(&self) -> Option<u32> {
        let first = self.devices.first()?.disk;
        let same = self.devices.iter().all(|device| device.disk == first);
        same.then_some(first)
    }
}

/// Takes `-partN` off the end of a name of udev's.
fn split_partition(name: &str) -> (&str, Option<u32>) {
    match name.rsplit_once("-part") {
        Some((disk, number)) => match number.parse() {
            Ok(number) => (disk, Some(number)),
            Err(_) => (name, None),
        },
        None => (name, None),
    }
}

/// Names of a device that survive a change of hardware, best first: `UUID=…`,
/// `PARTUUID=…`, `LABEL=…`, `PARTLABEL=…`, each only where no other device has the same.
pub fn stable_names(devices: &[BlockDevice], device: &BlockDevice) -> Vec<String> {
    type Value = fn(&BlockDevice) -> Option<&String>;
    let tags: [(&str, Value); 4] = [
        ("UUID", |device| device.uuid.as_ref()),
        ("PARTUUID", |device| device.partition_uuid.as_ref()),
        ("LABEL", |device| device.label.as_ref()),
        ("PARTLABEL", |device| device.partition_label.as_ref()),
    ];
    let names = tags.into_iter().filter_map(|(tag, value_of)| {
        let value = value_of(device).filter(|value| !value.is_empty())?;
        let same = devices
            .iter()
            .filter(|other| value_of(other) == Some(value));
        (same.count() <= 1).then(|| format!("{tag}={value}"))
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(index: u32, names: &[&str]) -> BlockDevice {
        BlockDevice {
            index,
            old_names: names.iter().map(ToString::to_string).collect(),
            ..BlockDevice::default()
        }
    }

    fn partition(index: u32, disk: u32, number: u32) -> BlockDevice {
        BlockDevice {
            index,
            disk,
            partition: Some(number),
            ..BlockDevice::default()
        }
    }

    #[test]
    fn an_ambiguous_name_resolves_to_nothing() {
        let devices = [
            device(0, &["/dev/sda1", "/dev/vda1"]),
            device(1, &["/dev/sdb1", "/dev/vda1"]),
        ];
        let index = |name| resolve_old_name(&devices, name).map(|device| device.index);
        assert_eq!(index("/dev/sda1"), Some(0));
        assert_eq!(index("/dev/sdb1"), Some(1));
        assert_eq!(index("/dev/vda1"), None);
        assert_eq!(index("/dev/sdc1"), None);
    }

    #[test]
    fn hardware_names_are_told_from_names_that_stay() {
        use HardwareName::{ById, ByPath, Kernel};
        let cases = [
            ("/dev/sda", Some(Kernel)),
            ("/dev/sdaa12", Some(Kernel)),
            ("/dev/hda1", Some(Kernel)),
            ("/dev/xvda1", Some(Kernel)),
            ("/dev/vdb", Some(Kernel)),
            ("/dev/nvme0n1", Some(Kernel)),
            ("/dev/nvme10n2p3", Some(Kernel)),
            (
                "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1",
                Some(ByPath),
            ),
            ("/dev/disk/by-id/wwn-0x5000c500-part1", Some(ById)),
            ("/dev/disk/by-id/dm-name-vg-root", None),
            ("/dev/disk/by-id/lvm-pv-uuid-x", None),
            ("/dev/disk/by-uuid/1234", None),
            ("/dev/vdata/home", None),
            ("/dev/sd", None),
            ("/dev/sd1", None),
            ("/dev/sda1x", None),
            ("/dev/nvme0", None),
            ("/dev/nvme0n1p", None),
            ("/dev/sr0", None),
            ("/dev/mapper/vg-root", None),
            ("UUID=1234", None),
            ("sda1", None),
            ("tmpfs", None),
        ];
        for (name, expected) in cases {
            assert_eq!(HardwareName::of(name), expected, "{name}");
        }
    }

    #[test]
    fn paths_and_ids_resolve_where_the_disk_is_known() {
        let name = "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2";
        let index = |names: &Names, name: &str| names.resolve(name).map(|device| device.index);

        let one = [partition(0, 0, 1), partition(1, 0, 2)];
        assert_eq!(index(&Names::new(&one), name), Some(1));
        assert_eq!(index(&Names::new(&one), "/dev/disk/by-id/x-part3"), None);
        assert_eq!(index(&Names::new(&one), "/dev/disk/by-id/x"), None);

        let two = [partition(0, 0, 1), partition(1, 0, 2), partition(2, 1, 2)];
        let mut names = Names::new(&two);
        assert_eq!(index(&names, name), None);
        let first = "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1";
        names.learn(first, &two[2]);
        assert_eq!(
            index(&names, name),
            None,
            "the partition number contradicts"
        );
        names.learn(first, &two[0]);
        assert_eq!(index(&names, name), Some(1));
        assert_eq!(index(&names, "/dev/disk/by-path/other-part2"), None);
    }

    #[test]
    fn a_name_that_two_devices_share_is_none() {
        let mut devices = [device(0, &[]), device(1, &[])];
        let names = |devices: &[BlockDevice]| stable_names(devices, &devices[0]);
        assert!(names(&devices).is_empty());
        devices[0].uuid = Some("abcd".into());
        devices[0].partition_uuid = Some("1234-01".into());
        devices[0].label = Some("BOOT".into());
        devices[0].partition_label = Some("boot".into());
        assert_eq!(
            names(&devices),
            [
                "UUID=abcd",
                "PARTUUID=1234-01",
                "LABEL=BOOT",
                "PARTLABEL=boot"
            ]
        );
        // A cloned disk has the same UUID and label, and another partition UUID.
        devices[1].uuid = Some("abcd".into());
        devices[1].label = Some("BOOT".into());
        assert_eq!(names(&devices), ["PARTUUID=1234-01", "PARTLABEL=boot"]);
    }
}
