//! The GPT: a header behind sector 0 with a checksum, an array of entries with another,
//! and a backup of both at the end of the disk.

use super::{Partition, PartitionTable, TableKind};
use crate::{DiskError, Image, bytes};

const SIGNATURE: &[u8] = b"EFI PART";

/// Smallest header, revision 1.0.
const HEADER_SIZE: u32 = 92;

/// An entry array larger than this is not read. The usual one has 16 KiB.
const MAX_ARRAY: u64 = 1 << 20;

/// Reads the GPT of a disk whose MBR is protective: the primary one, or the backup if
/// that is damaged.
pub(super) fn read(image: &dyn Image) -> Result<PartitionTable, DiskError> {
    let mut primary_error = None;
    for sector in [512, 4096] {
        match read_at(image, sector, sector) {
            Ok(Some(table)) => return Ok(table),
            Ok(None) => {}
            Err(error) => {
                primary_error = Some(error);
                break;
            }
        }
    }
    for sector in [512, 4096] {
        let Some(last) = (image.size() / sector).checked_sub(1) else {
            continue;
        };
        if let Ok(Some(mut table)) = read_at(image, sector, last.saturating_mul(sector)) {
            let why = primary_error
                .map(|error| error.to_string())
                .unwrap_or_else(|| "it is not there".to_owned());
            table.warnings.insert(
                0,
                format!("the backup GPT is used, the primary one is damaged: {why}"),
            );
            return Ok(table);
        }
    }
    Err(primary_error.unwrap_or_else(|| {
        DiskError::corrupt(
            image.name(),
            512,
            "the protective MBR promises a GPT, and neither it nor its backup is there",
        )
    }))
}

/// Reads the table whose header is at byte `at`; `None` if there is no header.
fn read_at(image: &dyn Image, sector: u64, at: u64) -> Result<Option<PartitionTable>, DiskError> {
    let corrupt = |offset: u64, what: String| DiskError::corrupt(image.name(), offset, what);
    if at.saturating_add(sector) > image.size() {
        return Ok(None);
    }
    let mut header = vec![0; usize::try_from(sector).unwrap_or(512)];
    image.read_at(at, &mut header)?;
    if !header.starts_with(SIGNATURE) {
        return Ok(None);
    }
    // All fields lie in the first 92 bytes of at least 512.
    let le32 = |field| bytes::le32(&header, field).unwrap_or(0);
    let le64 = |field| bytes::le64(&header, field).unwrap_or(0);

    let header_size = le32(12);
    if header_size < HEADER_SIZE || u64::from(header_size) > sector {
        return Err(corrupt(
            at + 12,
            format!("a GPT header of {header_size} bytes"),
        ));
    }
    let mut checked = bytes::slice(&header, 0, header_size as usize)
        .unwrap_or_default()
        .to_vec();
    let _ = bytes::put(&mut checked, 16, &[0; 4]);
    if crc32fast::hash(&checked) != le32(16) {
        return Err(corrupt(
            at + 16,
            "the checksum of the GPT header is wrong".into(),
        ));
    }
    if le64(24).saturating_mul(sector) != at {
        return Err(corrupt(
            at + 24,
            "the GPT header is not where it says it is".into(),
        ));
    }

    let (count, entry_size) = (le32(80), le32(84));
    if entry_size < 128 || !entry_size.is_power_of_two() || entry_size > 4096 {
        return Err(corrupt(
            at + 84,
            format!("GPT entries of {entry_size} bytes"),
        ));
    }
    let array_size = u64::from(count) * u64::from(entry_size);
    let array_at = le64(72).saturating_mul(sector);
    if array_size > MAX_ARRAY {
        return Err(corrupt(at + 80, format!("a GPT of {count} entries")));
    }
    if array_at.saturating_add(array_size) > image.size() {
        return Err(corrupt(
            at + 72,
            format!("the GPT entries at byte {array_at} lie beyond the end of the disk"),
        ));
    }
    let mut array = vec![0; usize::try_from(array_size).unwrap_or(0)];
    image.read_at(array_at, &mut array)?;
    if crc32fast::hash(&array) != le32(88) {
        return Err(corrupt(
            at + 88,
            "the checksum of the GPT entries is wrong".into(),
        ));
    }

    let mut table = PartitionTable {
        kind: TableKind::Gpt,
        disk_id: guid(&header, 56),
        sector_size: sector,
        partitions: Vec::new(),
        warnings: Vec::new(),
    };
    for (number, entry) in (1u32..).zip(array.chunks_exact(entry_size as usize)) {
        if bytes::slice(entry, 0, 16).is_none_or(bytes::is_zero) {
            continue;
        }
        let first = bytes::le64(entry, 32).unwrap_or(0);
        let last = bytes::le64(entry, 40).unwrap_or(0);
        let Some(sectors) = last.checked_sub(first).and_then(|n| n.checked_add(1)) else {
            table.warnings.push(format!(
                "partition {number} ends before it begins and is left out"
            ));
            continue;
        };
        let partition = Partition {
            number,
            start: first.saturating_mul(sector),
            length: sectors.saturating_mul(sector),
            type_id: guid(entry, 0),
            uuid: guid(entry, 16),
            label: label(entry),
            bootable: bytes::le64(entry, 48).unwrap_or(0) & 4 != 0,
        };
        table.warn_if_beyond(image, &partition);
        table.partitions.push(partition);
    }
    Ok(Some(table))
}

/// A GUID as text: the first three fields are little-endian (UEFI 2.10, appendix A).
fn guid(bytes: &[u8], at: usize) -> String {
    let hex = |from: usize, length: usize| -> String {
        bytes::slice(bytes, at + from, length)
            .unwrap_or_default()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    format!(
        "{:08x}-{:04x}-{:04x}-{}-{}",
        bytes::le32(bytes, at).unwrap_or(0),
        bytes::le16(bytes, at + 4).unwrap_or(0),
        bytes::le16(bytes, at + 6).unwrap_or(0),
        hex(8, 2),
        hex(10, 6)
    )
}

/// The partition's name: up to 36 UTF-16 units, ended by a zero.
fn label(entry: &[u8]) -> Option<String> {
    let units: Vec<u16> = (0..36)
        .map_while(|index| bytes::le16(entry, 56 + 2 * index))
        .take_while(|unit| *unit != 0)
        .collect();
    (!units.is_empty()).then(|| String::from_utf16_lossy(&units))
}
