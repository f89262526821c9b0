//! The MBR: four entries in sector 0, and a chain of further tables for logical
//! partitions.

use super::{Partition, PartitionTable, TableKind};
use crate::{DiskError, Image, bytes};

/// Bytes per sector of an MBR disk.
pub(super) const SECTOR: u64 = 512;

/// No real disk has more; Linux stops at 255 as well.
const MAX_PARTITIONS: u32 = 255;

/// The type of the entry that covers a GPT disk.
const TYPE_PROTECTIVE: u8 = 0xee;

const TABLE_AT: usize = 446;
const ENTRY_SIZE: usize = 16;

/// One entry, in sectors.
struct Entry {
    status: u8,
    type_id: u8,
    start: u64,
    sectors: u64,
}

impl Entry {
    fn is_used(&self) -> bool {
        self.type_id != 0 && self.sectors != 0
    }

    fn is_extended(&self) -> bool {
        matches!(self.type_id, 0x05 | 0x0f | 0x85)
    }
}

/// The four entries of a table sector, if it carries the signature.
fn entries(sector: &[u8]) -> Option<Vec<Entry>> {
    if bytes::slice(sector, 510, 2)? != [0x55, 0xaa] {
        return None;
    }
    (0..4)
        .map(|index| {
            let entry = bytes::slice(sector, TABLE_AT + index * ENTRY_SIZE, ENTRY_SIZE)?;
            Some(Entry {
                status: bytes::u8(entry, 0)?,
                type_id: bytes::u8(entry, 4)?,
                start: bytes::le32(entry, 8)?.into(),
                sectors: bytes::le32(entry, 12)?.into(),
            })
        })
        .collect()
}

/// Whether the sector says that the disk has a GPT: an entry of type `0xee` that begins
/// right behind it, as Linux decides.
pub(super) fn is_protective(sector: &[u8]) -> bool {
    entries(sector).is_some_and(|entries| {
        entries
            .iter()
            .any(|entry| entry.type_id == TYPE_PROTECTIVE && entry.start == 1)
    })
}

/// Reads the table in `sector` and the chains of logical partitions it points to.
pub(super) fn read(image: &dyn Image, sector: &[u8]) -> Result<Option<PartitionTable>, DiskError> {
    let Some(primary) = entries(sector) else {
        return Ok(None);
    };
    // The boot sector of a file system on the whole disk has the same signature, but code
    // or text where the entries would be.
    if primary.iter().any(|entry| entry.status & 0x7f != 0) {
        return Ok(None);
    }
    let signature = bytes::le32(sector, 440).unwrap_or(0);
    let mut table = PartitionTable {
        kind: TableKind::Mbr,
        disk_id: format!("{signature:08x}"),
        sector_size: SECTOR,
        partitions: Vec::new(),
        warnings: Vec::new(),
    };
    let mut next_logical = 5;
    for (number, entry) in (1..).zip(&primary) {
        if !entry.is_used() {
            continue;
        }
        table.add(image, signature, number, entry, entry.start);
    }
    for entry in primary
        .iter()
        .filter(|entry| entry.is_used() && entry.is_extended())
    {
        table.add_logical(image, signature, entry, &mut next_logical)?;
    }
    table.partitions.sort_by_key(|partition| partition.number);
    Ok(Some(table))
}

impl PartitionTable {
    fn add(&mut self, image: &dyn Image, signature: u32, number: u32, entry: &Entry, start: u64) {
        let partition = Partition {
            number,
            start: start.saturating_mul(SECTOR),
            length: entry.sectors.saturating_mul(SECTOR),
            type_id: format!("{:#04x}", entry.type_id),
            uuid: format!("{signature:08x}-{number:02x}"),
            label: None,
            bootable: entry.status & 0x80 != 0,
        };
        self.warn_if_beyond(image, &partition);
        self.partitions.push(partition);
    }

    /// Follows the chain of extended boot records that begins at `extended`. Each holds
    /// partitions relative to itself, and a link relative to the start of the chain.
    fn add_logical(
        &mut self,
        image: &dyn Image,
        signature: u32,
        extended: &Entry,
        next: &mut u32,
    ) -> Result<(), DiskError> {
        let first = extended.start;
        let mut at = first;
        let mut visited = std::collections::BTreeSet::new();
        loop {
            let offset = at.saturating_mul(SECTOR);
            if !visited.insert(at) {
                return Err(DiskError::corrupt(
                    image.name(),
                    offset,
                    "the chain of logical partitions returns to this sector",
                ));
            }
            if offset.saturating_add(SECTOR) > image.size() {
                self.warnings.push(format!(
                    "the chain of logical partitions leads to byte {offset}, beyond the end of the disk"
                ));
                return Ok(());
            }
            let mut sector = [0; SECTOR as usize];
            image.read_at(offset, &mut sector)?;
            // An extended partition that was never filled has no record, as Linux sees it.
            let Some(record) = entries(&sector) else {
                return Ok(());
            };
            for (index, entry) in record.iter().enumerate() {
                if !entry.is_used() || entry.is_extended() {
                    continue;
                }
                // The last two entries are unused by all but a few old tools, and often
                // garbage: only believed if they lie within the extended partition.
                let start = at.saturating_add(entry.start);
                let limit = first.saturating_add(extended.sectors);
                if index >= 2 && (start < first || start.saturating_add(entry.sectors) > limit) {
                    continue;
                }
                if *next > MAX_PARTITIONS {
                    self.warnings.push(format!(
                        "more than {MAX_PARTITIONS} partitions; the rest is not shown"
                    ));
                    return Ok(());
                }
                self.add(image, signature, *next, entry, start);
                *next += 1;
            }
            match record
                .iter()
                .find(|entry| entry.is_used() && entry.is_extended())
            {
                Some(link) => at = first.saturating_add(link.start),
                None => return Ok(()),
            }
            // Records without a partition cost a read each.
            if visited.len() > 2 * MAX_PARTITIONS as usize {
                return Err(DiskError::corrupt(
                    image.name(),
                    offset,
                    "the chain of logical partitions does not end",
                ));
            }
        }
    }

    /// Notes a partition that the disk is too short for. It stays in the list: the others
    /// are still good, and who opens this one gets an error.
    pub(super) fn warn_if_beyond(&mut self, image: &dyn Image, partition: &Partition) {
        let end = partition.start.saturating_add(partition.length);
        if end > image.size() {
            self.warnings.push(format!(
                "partition {} ends at byte {end}, the disk at {}",
                partition.number,
                image.size()
            ));
        }
    }
}
