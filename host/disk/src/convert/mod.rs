use crate::*;
use std::path::{Path, PathBuf};

/// How clusters of the target are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Stored as they are.
    #[default]
    None,
    /// Deflate, with a level from 1 (fast) to 12 (small).
    Zlib(u8),
}

/// What a conversion is to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvertOptions {
    /// Raw or qcow2.
    pub format: Format,
    /// Only for qcow2.
    pub compression: Compression,
    /// Worker threads; 0 chooses.
    pub threads: usize,
}

/// What a conversion did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ConvertReport {
    /// The finished file.
    pub target: PathBuf,
    /// Its format.
    pub format: Format,
    /// Virtual size in bytes.
    pub virtual_size: u64,
    /// Bytes of the source that were read and decoded.
    pub bytes_read: u64,
    /// Bytes written to the target, tables included.
    pub bytes_written: u64,
    /// Length of the target file in bytes.
    pub file_size: u64,
}

/// Copies a disk into a new file.
///
/// # Errors
/// any
pub fn convert(
    source: &dyn Image,
    target: &Path,
    _options: &ConvertOptions,
    _progress: &dyn Progress,
    _cancel: &CancelFlag,
) -> Result<ConvertReport, DiskError> {
    let _ = source;
    Err(DiskError::unsupported(
        target.display().to_string(),
        "conversion",
    ))
}
