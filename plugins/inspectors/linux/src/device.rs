//! Devices by the names that a guest gives them.

use cofferdam_sdk::types::BlockDevice;

/// The device as people know it: `/dev/sda1 (ext4, UUID …)`.
pub fn describe(device: &BlockDevice) -> String {
    let name = match device.old_names.first() {
        Some(name) => name.clone(),
        None => format!("device {}", device.index),
    };
    let kind = device.kind.as_deref().unwrap_or("unknown content");
    match (&device.uuid, &device.label) {
        (Some(uuid), _) => format!("{name} ({kind}, UUID {uuid})"),
        (None, Some(label)) => format!("{name} ({kind}, label {label})"),
        (None, None) => format!("{name} ({kind})"),
    }
}

/// The device that a source names (`UUID=…`, `/dev/disk/by-label/…`, `/dev/sda1`); none where
/// it is none of these devices, or a name that only the running system knows.
pub fn resolve<'a>(source: &str, devices: &'a [BlockDevice]) -> Option<&'a BlockDevice> {
    let same = |known: &Option<String>, wanted: &str| known.as_deref() == Some(wanted);
    // Identifiers are written in either case, labels are not.
    let alike = |known: &Option<String>, wanted: &str| {
        known
            .as_deref()
            .is_some_and(|known| known.eq_ignore_ascii_case(wanted))
    };
    let (tag, value) = tagged(source);
    devices.iter().find(|device| match tag {
        "UUID" => alike(&device.uuid, &value),
        "PARTUUID" => alike(&device.partition_uuid, &value),
        "LABEL" => same(&device.label, &value),
        "PARTLABEL" => same(&device.partition_label, &value),
        "by-path" => {
            let one_disk = devices.iter().all(|other| other.disk == device.disk);
            let number = value
                .rsplit_once("-part")
                .and_then(|(_, digits)| digits.parse::<u32>().ok());
            one_disk && number.is_some() && device.partition == number
        }
        _ => device.old_names.contains(&value),
    })
}

/// What kind of name it is, and the name.
fn tagged(source: &str) -> (&'static str, String) {
    const LINKS: [(&str, &str); 4] = [
        ("/dev/disk/by-uuid/", "UUID"),
        ("/dev/disk/by-partuuid/", "PARTUUID"),
        ("/dev/disk/by-label/", "LABEL"),
        ("/dev/disk/by-partlabel/", "PARTLABEL"),
    ];
    for (folder, tag) in LINKS {
        if let Some(value) = source.strip_prefix(folder) {
            return (tag, unescape(value));
        }
        if let Some(value) = source
            .strip_prefix(tag)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return (tag, value.trim_matches(['"', '\'']).to_owned());
        }
    }
    if let Some(value) = source.strip_prefix("/dev/disk/by-path/") {
        return ("by-path", value.to_owned());
    }
    ("", source.to_owned())
}

/// udev writes bytes that it does not allow in a link's name as `\xHH`.
fn unescape(name: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(b"\\x"),
        }
        rest = if byte.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices() -> Vec<BlockDevice> {
        (1..3u32)
            .map(|number| BlockDevice {
                index: number + 10,
                partition: Some(number),
                uuid: Some(format!("0000-ab{number}")),
                label: Some(format!("my disk{number}")),
                partition_uuid: Some(format!("1234abcd-0{number}")),
                partition_label: Some(format!("p{number}")),
                old_names: vec![format!("/dev/sda{number}"), format!("/dev/hda{number}")],
                ..BlockDevice::default()
            })
            .collect()
    }

    #[test]
    fn every_form_of_name() {
        let devices = devices();
        for (source, expected) in [
            ("UUID=0000-AB2", Some(12)),
            ("UUID=\"0000-ab1\"", Some(11)),
            ("UUID=", None),
            ("LABEL=my disk1", Some(11)),
            ("LABEL=MY DISK1", None),
            ("PARTUUID=1234ABCD-02", Some(12)),
            ("PARTLABEL=p1", Some(11)),
            ("/dev/disk/by-uuid/0000-ab2", Some(12)),
            ("/dev/disk/by-label/my\\x20disk2", Some(12)),
            ("/dev/disk/by-label/my\\x2", None),
            ("/dev/disk/by-partuuid/1234abcd-01", Some(11)),
            ("/dev/disk/by-partlabel/p2", Some(12)),
            (
                "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2",
                Some(12),
            ),
            ("/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0", None),
            ("/dev/hda2", Some(12)),
            ("/dev/sda", None),
            ("/dev/mapper/vg-root", None),
        ] {
            let found = resolve(source, &devices).map(|device| device.index);
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn a_path_says_nothing_where_there_are_two_disks() {
        let mut devices = devices();
        devices[1].disk = 1;
        assert_eq!(resolve("/dev/disk/by-path/x-part1", &devices), None);
    }

    #[test]
    fn a_device_is_described_by_what_is_known() {
        let mut device = devices().remove(0);
        assert_eq!(
            describe(&device),
            "/dev/sda1 (unknown content, UUID 0000-ab1)"
        );
        device.kind = Some("ext4".into());
        device.uuid = None;
        assert_eq!(describe(&device), "/dev/sda1 (ext4, label my disk1)");
        device.label = None;
        device.old_names.clear();
        assert_eq!(describe(&device), "device 11 (ext4)");
    }
}
