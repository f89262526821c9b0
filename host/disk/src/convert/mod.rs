//! Copying a disk into a new file of another format, in parallel.
//!
//! # Design
//! A planner walks the extents of the source and hands out batches of what is not known
//! to be zero; threads read, inflate and look for zeros, compress, and write with
//! `O_DIRECT` where the file system takes it, because the page cache only costs time for
//! data that is written once. Tables of the target come behind the data.
//!
//! The target is `<target>.part` until everything is on disk. Memory is a few megabytes a
//! thread, whatever the size of the disk.

mod buffer;
mod layout;
mod plan;
mod qcow2;
mod raw;
mod target;
mod worker;

use crate::{CancelFlag, DiskError, Format, Image, Progress};
use libdeflater::CompressionLvl;
use qcow2::Qcow2Sink;
use raw::RawSink;
use serde::Serialize;
use std::path::{Path, PathBuf};
use target::PartFile;

/// How clusters of the target are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Stored as they are.
    #[default]
    None,
    /// Deflate, with a level from 1 (fast) to 12 (small). Only for qcow2.
    Zlib(u8),
}

/// What a conversion is to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvertOptions {
    /// Raw or qcow2 (version 3, clusters of 64 KiB).
    pub format: Format,
    /// Only for qcow2.
    pub compression: Compression,
    /// Worker threads; 0 takes four for each processor, so that some compute while others
    /// wait for the disk, and 16 at most.
    pub threads: usize,
}

impl ConvertOptions {
    /// An uncompressed target of this format.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            compression: Compression::None,
            threads: 0,
        }
    }
}

/// The most threads that a conversion uses; each holds a few megabytes.
const MAX_THREADS: usize = 16;

/// What a conversion did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConvertReport {
    /// The finished file.
    pub target: PathBuf,
    /// Its format.
    pub format: Format,
    /// Its virtual size in bytes: the source's, for qcow2 rounded up to whole sectors of
    /// 512 bytes, since QEMU ignores what is beyond.
    pub virtual_size: u64,
    /// Bytes of the source that were read; the rest was known to be zero.
    pub bytes_read: u64,
    /// Bytes written to the target, tables included.
    pub bytes_written: u64,
    /// Length of the target file in bytes.
    pub file_size: u64,
}

/// Copies a disk into a new file, which has its name only once it is complete and on disk.
///
/// The same source makes the same bytes, whatever the number of threads.
///
/// # Errors
/// [`DiskError::Exists`] and [`DiskError::Locked`] for the target, [`DiskError::NoSpace`],
/// [`DiskError::Cancelled`], [`DiskError::Unsupported`] for a format that is not written or
/// a disk that it cannot hold, and what reading the source yields. After an error nothing
/// of the target is left.
pub fn convert(
    source: &dyn Image,
    target: &Path,
    options: &ConvertOptions,
    progress: &dyn Progress,
    cancel: &CancelFlag,
) -> Result<ConvertReport, DiskError> {
    let unsupported = |what: String| DiskError::unsupported(target.display().to_string(), what);
    let level = match (options.format, options.compression) {
        (_, Compression::None) => None,
        (Format::Qcow2, Compression::Zlib(level)) => Some(
            CompressionLvl::new(level.into())
                .ok()
                .filter(|_| (1..=12).contains(&level))
                .ok_or_else(|| unsupported(format!("compression level {level}, not 1 to 12")))?,
        ),
        (format, Compression::Zlib(_)) => {
            return Err(unsupported(format!("compression in a {format} file")));
        }
    };
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(4, |n| n.get().saturating_mul(4)),
        threads => threads,
    }
    .min(MAX_THREADS);
    let size = source.size();

    let (part, bytes_read, virtual_size, file_size) = match options.format {
        Format::Raw => {
            if i64::try_from(size).is_err() {
                return Err(unsupported(format!("a file of {size} bytes")));
            }
            let part = PartFile::create(target)?;
            let read = worker::run(
                source,
                &RawSink::new(&part, size)?,
                threads,
                progress,
                cancel,
            )?;
            (part, read, size, size)
        }
        Format::Qcow2 => {
            if size > qcow2::MAX_SIZE {
                return Err(unsupported(format!(
                    "a disk of {size} bytes; with clusters of 64 KiB qcow2 holds {}",
                    qcow2::MAX_SIZE
                )));
            }
            let virtual_size = size.next_multiple_of(512);
            let part = PartFile::create(target)?;
            let sink = Qcow2Sink::new(&part, virtual_size, level);
            let read = worker::run(source, &sink, threads, progress, cancel)?;
            let length = sink.finish()?;
            (part, read, virtual_size, length)
        }
        other @ Format::Vmdk => return Err(unsupported(format!("writing {other}"))),
    };
    cancel.check()?;
    let bytes_written = part.written();
    part.finish(file_size)?;
    Ok(ConvertReport {
        target: target.to_owned(),
        format: options.format,
        virtual_size,
        bytes_read,
        bytes_written,
        file_size,
    })
}
