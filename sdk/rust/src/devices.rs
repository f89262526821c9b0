//! Finding the block device that the guest means, and a name for it that does not change
//! with the hardware.

use crate::types::BlockDevice;

/// The device that the guest's kernel knew by this name on the source hardware.
pub fn resolve_old_name<'a>(devices: &'a [BlockDevice], name: &str) -> Option<&'a BlockDevice> {
    let mut named = devices
        .iter()
        .filter(|device| device.old_names.iter().any(|old| old == name));
    // A name that fits two devices says nothing.
    match (named.next(), named.next()) {
        (Some(device), None) => Some(device),
        _ => None,
    }
}

/// Which names survive a change of hardware, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Uuid,
    PartitionUuid,
    Label,
    PartitionLabel,
}

impl Tag {
    const BEST_FIRST: [Self; 4] = [
        Self::Uuid,
        Self::PartitionUuid,
        Self::Label,
        Self::PartitionLabel,
    ];

    fn key(self) -> &'static str {
        match self {
            Self::Uuid => "UUID",
            Self::PartitionUuid => "PARTUUID",
            Self::Label => "LABEL",
            Self::PartitionLabel => "PARTLABEL",
        }
    }

    fn of(self, device: &BlockDevice) -> Option<&str> {
        let value = match self {
            Self::Uuid => &device.uuid,
            Self::PartitionUuid => &device.partition_uuid,
            Self::Label => &device.label,
            Self::PartitionLabel => &device.partition_label,
        };
        value.as_deref().filter(|value| !value.is_empty())
    }
}

/// `UUID=…`, else `PARTUUID=…`, `LABEL=…`, `PARTLABEL=…`: the first that the device has and
/// no other device has too. None where nothing identifies it.
pub fn stable_name(devices: &[BlockDevice], device: &BlockDevice) -> Option<String> {
    Tag::BEST_FIRST.into_iter().find_map(|tag| {
        let value = tag.of(device)?;
        let same = devices.iter().filter(|other| tag.of(other) == Some(value));
        (same.count() <= 1).then(|| format!("{}={value}", tag.key()))
    })
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
    fn the_best_unique_name_wins() {
        let mut devices = [device(0, &[]), device(1, &[])];
        assert_eq!(stable_name(&devices, &devices[0]), None);
        devices[0].partition_label = Some("boot".into());
        assert_eq!(
            stable_name(&devices, &devices[0]).unwrap(),
            "PARTLABEL=boot"
        );
        devices[0].label = Some("BOOT".into());
        assert_eq!(stable_name(&devices, &devices[0]).unwrap(), "LABEL=BOOT");
        devices[1].label = Some("BOOT".into());
        assert_eq!(
            stable_name(&devices, &devices[0]).unwrap(),
            "PARTLABEL=boot"
        );
        devices[0].partition_uuid = Some("1234-01".into());
        devices[0].uuid = Some("abcd".into());
        assert_eq!(stable_name(&devices, &devices[0]).unwrap(), "UUID=abcd");
        // A cloned disk has the same UUID and another partition UUID.
        devices[1].uuid = Some("abcd".into());
        assert_eq!(
            stable_name(&devices, &devices[0]).unwrap(),
            "PARTUUID=1234-01"
        );
    }
}
