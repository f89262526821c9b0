//! Partition tables: MBR with logical partitions, and GPT.
//!
//! A table comes from the guest's disk, so it is as hostile as any other input: chains of
//! logical partitions may loop, a GPT may claim millions of entries. Both are cut off, and
//! nothing is allocated by a claim.
//!
//! Sources: the MBR layout as the UEFI specification 2.10, section 5.2 gives it, GPT as in
//! section 5.3; the names that Linux gives to partitions (`PARTUUID`) as in
//! `block/partitions/msdos.c` and `efi.c` of the kernel.
//!
//! Limits: an MBR has 512-byte sectors (nothing in it says otherwise); a GPT may have
//! sectors of 512 or 4096 bytes.

mod gpt;
mod mbr;

use crate::{DiskError, Image};
use serde::Serialize;

/// Which kind of table a disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// The table of the PC BIOS, also called msdos.
    Mbr,
    /// The GUID partition table of UEFI.
    Gpt,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionTable {
    /// MBR or GPT.
    pub kind: TableKind,
    /// The disk's identity: eight hexadecimal digits (MBR) or a GUID (GPT), in lower case.
    pub disk_id: String,
    /// Bytes per sector.
    pub sector_size: u64,
    /// The partitions, ascending by number.
    pub partitions: Vec<Partition>,
    /// Oddities, such as a primary GPT that is damaged while its backup is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// The number that Linux gives it: logical partitions of an MBR begin at 5.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// Type: `0x83` style (MBR) or a GUID in lower case (GPT).
    pub type_id: String,
    /// `PARTUUID` as Linux prints it: `xxxxxxxx-nn` (MBR) or a GUID (GPT).
    pub uuid: String,
    /// Name (GPT), if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Marked as the one to boot from: active (MBR), legacy BIOS bootable (GPT).
    pub bootable: bool,
}

/// Reads the partition table of a disk; `None` if it has none, as when a file system
/// takes the whole disk.
///
/// # Errors
/// [`DiskError::Corrupt`] if there is a table that cannot be believed (both copies of a
/// GPT damaged, a loop of logical partitions), and what reading the image yields. A
/// partition that the disk is too short for is only a warning in the table: the others are
/// still good.
pub fn read(image: &dyn Image) -> Result<Option<PartitionTable>, DiskError> {
    if image.size() < mbr::SECTOR {
        return Ok(None);
    }
    let mut sector = [0; mbr::SECTOR as usize];
    image.read_at(0, &mut sector)?;
    if mbr::is_protective(&sector) {
        return gpt::read(image).map(Some);
    }
    mbr::read(image, &sector)
}
