//! The guest's block devices: every partition of every disk, and every disk without
//! partitions.

use super::discover::contract_error;
use crate::MigrateError;
use crate::guest::{Note, Notes};
use async_trait::async_trait;
use cofferdam_contract::services::Devices;
use cofferdam_contract::types::{BlockDevice, DeviceInfo, Error, Extent, ExtentKind, Severity};
use cofferdam_disk::{Image, Slice, partition};
use std::sync::Arc;

/// Most bytes that one call moves, and most extents that one answer has: what the
/// contract allows.
const MOST_BYTES: u64 = 4 << 20;
const MOST_EXTENTS: usize = 1024;
/// What a device of unknown geometry is taken to write at once.
const BLOCK_SIZE: u32 = 512;

/// Lists the devices on the disks, in order. Contents are not looked at.
///
/// # Errors
/// A partition table that cannot be believed.
pub fn list(disks: &[Arc<dyn Image>], notes: &Notes) -> Result<Vec<BlockDevice>, MigrateError> {
    let mut devices = Vec::new();
    for (number, disk) in disks.iter().enumerate() {
        let disk_number = u32::try_from(number).unwrap_or(u32::MAX);
        let table = partition::read(disk.as_ref())?;
        let Some(table) = table else {
            devices.push(BlockDevice {
                index: u32::try_from(devices.len()).unwrap_or(u32::MAX),
                disk: disk_number,
                partition: None,
                offset: 0,
                size: disk.size(),
                kind: None,
                uuid: None,
                label: None,
                partition_uuid: None,
                partition_label: None,
                old_names: old_names(number, None),
            });
            continue;
        };
        for warning in &table.warnings {
            notes.add(Note::host(
                Severity::Warn,
                format!("partition table of disk {disk_number}: {warning}"),
            ));
        }
        for part in table.partitions {
            devices.push(BlockDevice {
                index: u32::try_from(devices.len()).unwrap_or(u32::MAX),
                disk: disk_number,
                partition: Some(part.number),
                offset: part.start,
                size: part.length,
                kind: None,
                uuid: None,
                label: None,
                partition_uuid: Some(part.uuid),
                partition_label: part.label,
                old_names: old_names(number, Some(part.number)),
            });
        }
    }
    Ok(devices)
}

/// The names that Linux may have had for a disk or partition, by driver: `sd`, `hd`,
/// `xvd` and `vd` with letters (`a` to `z`, `aa`…, as `sd_format_disk_name` in
/// `drivers/scsi/sd.c` counts), and `nvme` with numbers.
fn old_names(disk: usize, partition: Option<u32>) -> Vec<String> {
    let mut letters = String::new();
    let mut left = disk + 1;
    while left > 0 {
        let digit = (left - 1) % 26;
        letters.insert(0, char::from(b'a' + u8::try_from(digit).unwrap_or(0)));
        left = (left - 1) / 26;
    }
    let suffix = partition
        .map(|number| number.to_string())
        .unwrap_or_default();
    let nvme_suffix = partition
        .map(|number| format!("p{number}"))
        .unwrap_or_default();
    ["sd", "hd", "xvd", "vd"]
        .iter()
        .map(|driver| format!("/dev/{driver}{letters}{suffix}"))
        .chain([format!("/dev/nvme{disk}n1{nvme_suffix}")])
        .collect()
}

/// A name for people: the first old name, and where it is.
pub fn shown(device: &BlockDevice) -> String {
    let name = device.old_names.first().map_or("?", String::as_str);
    match device.partition {
        Some(partition) => format!("{name} (disk {}, partition {partition})", device.disk),
        None => format!("{name} (disk {}, no partition table)", device.disk),
    }
}

/// The part of its disk that a device is.
///
/// # Errors
/// A device that does not fit its disk.
pub fn slice(
    disks: &[Arc<dyn Image>],
    device: &BlockDevice,
) -> Result<Arc<dyn Image>, MigrateError> {
    let disk = disks
        .get(device.disk as usize)
        .ok_or_else(|| MigrateError::Host(format!("there is no disk number {}", device.disk)))?;
    Ok(Arc::new(Slice::new(
        Arc::clone(disk),
        device.offset,
        device.size,
    )?))
}

/// Images as a plugin's devices.
pub struct ImageDevices {
    images: Vec<Arc<dyn Image>>,
    read_only: bool,
}

impl ImageDevices {
    /// With `read_only`, writes are refused whatever the images take.
    pub fn new(images: Vec<Arc<dyn Image>>, read_only: bool) -> Arc<Self> {
        Arc::new(Self { images, read_only })
    }

    fn image(&self, device: u32) -> Result<&Arc<dyn Image>, Error> {
        self.images
            .get(device as usize)
            .ok_or_else(|| Error::not_found(format!("there is no device number {device}")))
    }

    fn check(&self, device: u32, offset: u64, length: u64) -> Result<&Arc<dyn Image>, Error> {
        let image = self.image(device)?;
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > image.size()) {
            return Err(Error::invalid(format!(
                "bytes {offset} to {offset} + {length} are beyond the end of device {device}, which has {}",
                image.size()
            )));
        }
        if length > MOST_BYTES {
            return Err(Error::new(
                cofferdam_contract::types::ErrorCode::Limit,
                format!("{length} bytes in one call are more than {MOST_BYTES}"),
            ));
        }
        Ok(image)
    }
}

#[async_trait]
impl Devices for ImageDevices {
    fn count(&self) -> u32 {
        u32::try_from(self.images.len()).unwrap_or(u32::MAX)
    }

    fn info(&self, device: u32) -> Result<DeviceInfo, Error> {
        let image = self.image(device)?;
        Ok(DeviceInfo {
            size: image.size(),
            block_size: BLOCK_SIZE,
            read_only: self.read_only || !image.writable(),
        })
    }

    async fn read_at(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let image = self.check(device, offset, u64::from(length))?;
        let mut bytes = vec![0; length as usize];
        image
            .read_at(offset, &mut bytes)
            .map_err(|error| contract_error(&error))?;
        Ok(bytes)
    }

    async fn write_at(&self, device: u32, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let image = self.check(device, offset, bytes.len() as u64)?;
        if self.read_only {
            return Err(Error::new(
                cofferdam_contract::types::ErrorCode::Denied,
                format!("device {device} is read-only"),
            ));
        }
        image
            .write_at(offset, bytes)
            .map_err(|error| contract_error(&error))
    }

    async fn flush(&self, device: u32) -> Result<(), Error> {
        self.image(device)?
            .flush()
            .map_err(|error| contract_error(&error))
    }

    async fn extents(&self, device: u32, offset: u64, length: u64) -> Result<Vec<Extent>, Error> {
        let image = self.image(device)?;
        let extents = image
            .extents(offset, length)
            .map_err(|error| contract_error(&error))?;
        Ok(extents
            .into_iter()
            .take(MOST_EXTENTS)
            .map(|extent| Extent {
                offset: extent.offset,
                length: extent.length,
                kind: match extent.kind {
                    cofferdam_disk::ExtentKind::Zero => ExtentKind::Zero,
                    cofferdam_disk::ExtentKind::Hole => ExtentKind::Hole,
                    _ => ExtentKind::Data,
                },
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::old_names;

    #[test]
    fn disks_are_lettered_as_linux_letters_them() {
        for (disk, expected) in [
            (0, "/dev/sda"),
            (25, "/dev/sdz"),
            (26, "/dev/sdaa"),
            (701, "/dev/sdzz"),
            (702, "/dev/sdaaa"),
        ] {
            assert_eq!(old_names(disk, None)[0], expected);
        }
        assert_eq!(
            old_names(1, Some(3)),
            [
                "/dev/sdb3",
                "/dev/hdb3",
                "/dev/xvdb3",
                "/dev/vdb3",
                "/dev/nvme1n1p3"
            ]
        );
    }
}
