//! The header of a hosted sparse extent.
//!
//! Source: VMware's "Virtual Disk Format 5.0" technical note, "Hosted Sparse Extent
//! Header", and "Stream-Optimized Compressed Sparse Extents" for the footer and markers.
//! All numbers are little-endian; offsets and lengths count sectors of 512 bytes.

use crate::DiskError;
use crate::bytes::{self, le16, le32, le64};
use crate::folder::SourceFile;

/// First bytes of a hosted sparse extent.
pub(super) const MAGIC: &[u8] = b"KDMV";
/// First bytes of an ESX delta extent.
pub(super) const COWD_MAGIC: &[u8] = b"COWD";
/// Where the header states the capacity.
pub(super) const CAPACITY_AT: u64 = 12;

pub(super) const SECTOR: u64 = 512;

/// `gdOffset` of a file whose tables come at the end: the footer has the real one.
const GD_AT_END: u64 = u64::MAX;
/// Bytes from the footer to the end of the file: itself and the end-of-stream marker.
const FOOTER_FROM_END: u64 = 2 * SECTOR;

const FLAG_NEWLINE_TEST: u32 = 1;
const FLAG_ZEROED_GRAINS: u32 = 1 << 2;
const FLAG_COMPRESSED: u32 = 1 << 16;
const FLAG_MARKERS: u32 = 1 << 17;

const COMPRESSION_DEFLATE: u16 = 1;

/// The largest grain that is read: the note says 64 KiB, a megabyte leaves room.
const MAX_GRAIN: u64 = 1 << 20;
/// 16 MiB of directory: at 2 MiB for each table of the smallest grains, 8 TiB.
const MAX_TABLES: u64 = 4 << 20;

/// What a sparse header says, checked against itself and the length of its file.
/// Everything in bytes.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Size of the part of the disk that the extent holds.
    pub(super) capacity: u64,
    /// Size of a grain.
    pub(super) grain: u64,
    /// Entries in a grain table.
    pub(super) entries: u64,
    /// Where the grain directory is.
    pub(super) directory_at: u64,
    /// How many tables the directory lists.
    pub(super) tables: u64,
    /// Offset and length of the embedded descriptor.
    pub(super) descriptor: Option<(u64, u64)>,
    /// Grains are compressed and preceded by a marker.
    pub(super) compressed: bool,
    /// Entry 1 means a grain of zeros.
    pub(super) zeroed_grains: bool,
}

impl Header {
    /// Reads the header of `file`, or its footer if that is where the tables are.
    pub(super) fn read(file: &SourceFile) -> Result<Self, DiskError> {
        let raw = file.read_vec(0, SECTOR, "the sparse header")?;
        if raw.starts_with(COWD_MAGIC) {
            return Err(file.unsupported("a COWD delta disk of ESX"));
        }
        if !raw.starts_with(MAGIC) {
            return Err(file.corrupt(0, "a sparse extent does not begin with KDMV"));
        }
        if le64(&raw, 56) != Some(GD_AT_END) {
            return Self::parse(file, 0, &raw);
        }
        let incomplete = |at: u64, what: &str| {
            file.corrupt(
                at,
                format!(
                    "the tables are at the end of the file, and {what}: the file is incomplete"
                ),
            )
        };
        let footer_at = file
            .size()
            .checked_sub(FOOTER_FROM_END)
            .filter(|at| *at >= SECTOR && at % SECTOR == 0)
            .ok_or_else(|| incomplete(file.size(), "it does not end at a sector"))?;
        let footer = file.read_vec(footer_at, SECTOR, "the footer")?;
        if !footer.starts_with(MAGIC) {
            return Err(incomplete(footer_at, "there is no footer here"));
        }
        if le64(&footer, 56) == Some(GD_AT_END) {
            return Err(incomplete(footer_at + 56, "the footer does not say where"));
        }
        let end = file.read_vec(footer_at + SECTOR, SECTOR, "the end-of-stream marker")?;
        if !bytes::is_zero(&end) {
            return Err(incomplete(
                footer_at + SECTOR,
                "there is no end-of-stream marker here",
            ));
        }
        Self::parse(file, footer_at, &footer)
    }

    /// Parses the header sector `raw`, found at byte `at`.
    fn parse(file: &SourceFile, at: u64, raw: &[u8]) -> Result<Self, DiskError> {
        // The sector has 512 bytes, all fields lie in the first 79.
        let field32 = |field: usize| le32(raw, field).unwrap_or(0);
        let field64 = |field: usize| le64(raw, field).unwrap_or(0);
        let corrupt = |field: u64, what: String| file.corrupt(at + field, what);
        let sectors = |field: usize, what: &str| {
            field64(field)
                .checked_mul(SECTOR)
                .ok_or_else(|| corrupt(field as u64, format!("{what} exceeds 64 bits")))
        };

        let version = field32(4);
        if !(1..=3).contains(&version) {
            return Err(file.unsupported(format!("version {version} of the sparse extent format")));
        }
        let flags = field32(8);
        if flags & FLAG_NEWLINE_TEST != 0 && bytes::slice(raw, 73, 4) != Some(b"\n \r\n") {
            return Err(corrupt(
                73,
                "line ends were changed: the file was copied as text".into(),
            ));
        }
        let capacity = sectors(12, "the capacity")?;
        let grain = sectors(20, "the grain size")?;
        if !(SECTOR..=MAX_GRAIN).contains(&grain) || !grain.is_power_of_two() {
            return Err(corrupt(20, format!("grains of {grain} bytes")));
        }
        let entries = u64::from(field32(44));
        if entries == 0 || entries > 512 {
            return Err(corrupt(44, format!("grain tables of {entries} entries")));
        }
        let tables = capacity.div_ceil(grain).div_ceil(entries);
        if tables > MAX_TABLES {
            return Err(corrupt(
                12,
                format!("a capacity of {capacity} bytes needs {tables} grain tables"),
            ));
        }
        let directory_at = sectors(56, "the offset of the grain directory")?;
        let directory_length = tables * 4;
        if tables > 0 && directory_at < SECTOR {
            return Err(corrupt(
                56,
                "the grain directory overlaps the header".into(),
            ));
        }
        if directory_at.saturating_add(directory_length) > file.size() {
            return Err(file.truncated(directory_at, directory_length, "the grain directory"));
        }

        let descriptor_at = sectors(28, "the offset of the descriptor")?;
        let descriptor_length = sectors(36, "the length of the descriptor")?;
        let descriptor = if descriptor_at == 0 || descriptor_length == 0 {
            None
        } else {
            if descriptor_length > super::descriptor::MAX_DESCRIPTOR {
                return Err(corrupt(
                    36,
                    format!("a descriptor of {descriptor_length} bytes"),
                ));
            }
            let end = descriptor_at.saturating_add(descriptor_length);
            if end > directory_at && descriptor_at < directory_at.saturating_add(directory_length) {
                return Err(corrupt(
                    28,
                    "the descriptor and the grain directory overlap".into(),
                ));
            }
            Some((descriptor_at, descriptor_length))
        };

        let compressed = flags & FLAG_COMPRESSED != 0;
        if compressed {
            let algorithm = le16(raw, 77).unwrap_or(0);
            if algorithm != COMPRESSION_DEFLATE {
                return Err(file.unsupported(format!("compression algorithm {algorithm}")));
            }
            if flags & FLAG_MARKERS == 0 {
                return Err(file.unsupported("compressed grains without markers"));
            }
        }
        Ok(Self {
            capacity,
            grain,
            entries,
            directory_at,
            tables,
            descriptor,
            compressed,
            zeroed_grains: flags & FLAG_ZEROED_GRAINS != 0,
        })
    }
}
