//! The qcow2 header and its extensions. All numbers are big-endian.
//!
//! Source: `docs/interop/qcow2.txt` of QEMU, sections "Header" and "Header extensions".

use crate::DiskError;
use crate::bytes::{self, be32, be64};
use crate::folder::SourceFile;

/// First bytes of every qcow2 image.
pub(super) const MAGIC: &[u8] = b"QFI\xfb";

/// Length of the version 2 header, and of the shortest version 3 header.
const LENGTH_V2: u64 = 72;
const LENGTH_V3: u64 = 104;

/// QEMU's own limit for the L1 table: 32 MiB.
const MAX_L1: u64 = (32 << 20) / 8;

const EXTENSION_END: u32 = 0;
const EXTENSION_FEATURE_NAMES: u32 = 0x6803_f857;

const FEATURE_DIRTY: u32 = 0;
const FEATURE_CORRUPT: u32 = 1;

/// What a header says, checked against itself and the length of its file.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) version: u32,
    /// Virtual size in bytes.
    pub(super) size: u64,
    pub(super) cluster_bits: u32,
    pub(super) cluster_size: u64,
    /// Where the L1 table is, and how many entries of it are used.
    pub(super) l1_at: u64,
    pub(super) l1_entries: u64,
    pub(super) warnings: Vec<String>,
}

impl Header {
    pub(super) fn read(file: &SourceFile) -> Result<Self, DiskError> {
        let fixed = file.read_vec(0, LENGTH_V2, "the qcow2 header")?;
        if !fixed.starts_with(MAGIC) {
            return Err(file.corrupt(0, "a qcow2 image does not begin with QFI\\xfb"));
        }
        // All fields lie in the 72 bytes that were read.
        let field32 = |at: usize| be32(&fixed, at).unwrap_or(0);
        let field64 = |at: usize| be64(&fixed, at).unwrap_or(0);

        let version = field32(4);
        let mut warnings = Vec::new();
        match version {
            2 => {}
            3 => check_features(file, &mut warnings)?,
            _ => return Err(file.unsupported(format!("qcow2 version {version}"))),
        }
        let backing_at = field64(8);
        if backing_at != 0 {
            let length = u64::from(field32(16)).min(1023);
            let name = file.read_vec(backing_at, length, "the name of the backing file")?;
            return Err(DiskError::BackingFile {
                file: file.path(),
                backing: String::from_utf8_lossy(&name).into_owned(),
            });
        }
        let cluster_bits = field32(20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(file.corrupt(20, format!("clusters of 2^{cluster_bits} bytes")));
        }
        let encryption = field32(32);
        if encryption != 0 {
            let name = match encryption {
                1 => "AES encryption".to_owned(),
                2 => "LUKS encryption".to_owned(),
                other => format!("encryption method {other}"),
            };
            return Err(file.unsupported(name));
        }
        let cluster_size = 1u64 << cluster_bits;
        let size = field64(24);
        // An L1 entry covers as many clusters as fit entries of 8 bytes into one.
        let l1_entries = size.div_ceil(cluster_size).div_ceil(cluster_size / 8);
        let declared = u64::from(field32(36));
        if l1_entries > MAX_L1 || declared > MAX_L1 {
            return Err(file.corrupt(
                36,
                format!("an L1 table of {} entries", l1_entries.max(declared)),
            ));
        }
        if declared < l1_entries {
            return Err(file.corrupt(
                36,
                format!(
                    "an L1 table of {declared} entries; {size} bytes of disk need {l1_entries}"
                ),
            ));
        }
        let l1_at = field64(40);
        if l1_entries > 0 && (l1_at == 0 || l1_at % cluster_size != 0) {
            return Err(file.corrupt(40, format!("an L1 table at byte {l1_at}")));
        }
        if l1_at.saturating_add(l1_entries * 8) > file.size() {
            return Err(file.truncated(l1_at, l1_entries * 8, "the L1 table"));
        }
        Ok(Self {
            version,
            size,
            cluster_bits,
            cluster_size,
            l1_at,
            l1_entries,
            warnings,
        })
    }
}

/// Refuses version 3 features that change how an image is to be read.
fn check_features(file: &SourceFile, warnings: &mut Vec<String>) -> Result<(), DiskError> {
    let fixed = file.read_vec(0, LENGTH_V3, "the qcow2 header")?;
    let features = be64(&fixed, 72).unwrap_or(0);
    let header_length = u64::from(be32(&fixed, 100).unwrap_or(0));
    if header_length < LENGTH_V3 || header_length % 8 != 0 || header_length > 512 {
        return Err(file.corrupt(100, format!("a header of {header_length} bytes")));
    }
    let whole = file.read_vec(0, header_length, "the qcow2 header")?;
    let compression = bytes::u8(&whole, 104).unwrap_or(0);
    for bit in (0..64).filter(|bit| features & (1 << bit) != 0) {
        match bit {
            FEATURE_DIRTY => warnings.push(
                "the image was not closed properly; its reference counts may be wrong, its content is read as it is"
                    .to_owned(),
            ),
            FEATURE_CORRUPT => warnings.push(
                "the image is marked as corrupt by the program that last wrote it; its content is read as it is"
                    .to_owned(),
            ),
            2 => return Err(file.unsupported("an external data file")),
            3 => match compression {
                0 => {}
                1 => return Err(file.unsupported("zstd compression")),
                other => return Err(file.unsupported(format!("compression type {other}"))),
            },
            4 => return Err(file.unsupported("extended L2 entries")),
            other => {
                let name = feature_name(file, header_length, other)?;
                return Err(file.unsupported(format!("the incompatible feature {name}")));
            }
        }
    }
    Ok(())
}

/// The name of an incompatible feature, from the table that images carry for this.
fn feature_name(file: &SourceFile, mut at: u64, bit: u32) -> Result<String, DiskError> {
    let number = format!("bit {bit}");
    // A header and its extensions fit the first cluster; the table has 48 bytes an entry.
    for _ in 0..64 {
        let Ok(head) = file.read_vec(at, 8, "a header extension") else {
            return Ok(number);
        };
        let kind = be32(&head, 0).unwrap_or(0);
        let length = u64::from(be32(&head, 4).unwrap_or(0));
        at = at.saturating_add(8);
        if kind == EXTENSION_END {
            return Ok(number);
        }
        if kind == EXTENSION_FEATURE_NAMES {
            let table = file.read_vec(at, length.min(64 * 1024), "the feature name table")?;
            let entry = table
                .chunks_exact(48)
                .find(|entry| entry.starts_with(&[0, bit as u8]));
            return Ok(entry
                .and_then(|entry| entry.get(2..))
                .map(|name| name.split(|byte| *byte == 0).next().unwrap_or_default())
                .map(|name| format!("{:?} ({number})", String::from_utf8_lossy(name)))
                .unwrap_or(number));
        }
        at = at.saturating_add(length.next_multiple_of(8));
    }
    Ok(number)
}
