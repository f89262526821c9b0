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
//!
//! A conversion may be taken up where a killed one was: every few seconds what is written
//! is synced and a checkpoint beside the target says up to where it goes and how the tables
//! stand there. What was written behind that is cut off and written again, so the result is
//! the same to the byte.

mod budget;
mod buffer;
mod checkpoint;
mod checkpointer;
mod layout;
mod plan;
mod qcow2;
mod raw;
mod target;
mod worker;

use crate::{CancelFlag, DiskError, Format, Image, Progress};
pub use budget::ThreadBudget;
use checkpoint::Checkpoint;
use checkpointer::Checkpointer;
pub use checkpointer::Resume;
use layout::Layout;
use libdeflater::CompressionLvl;
use qcow2::Qcow2Sink;
use raw::RawSink;
use serde::Serialize;
use std::path::{Path, PathBuf};
use target::PartFile;
pub use target::rename_new;
use worker::Job;

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
    /// Worker threads, see [`ThreadBudget::new`].
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
    /// Bytes of the disk, from its beginning, that an interrupted conversion had dealt with.
    pub resumed_at: u64,
    /// Bytes of the source that were read; the rest was known to be zero, or copied before.
    pub bytes_read: u64,
    /// Bytes written to the target this time, tables included.
    pub bytes_written: u64,
    /// Length of the target file in bytes.
    pub file_size: u64,
}

/// A conversion, and how it stands to others.
#[derive(Debug, Clone)]
pub struct Conversion {
    options: ConvertOptions,
    resume: Option<Resume>,
    budget: Option<ThreadBudget>,
}

/// Where a conversion begins, and for qcow2 with which tables.
type Start = (Checkpoint, Option<Layout>);

impl Conversion {
    /// One that is alone, and begins at the beginning.
    #[must_use]
    pub fn new(options: ConvertOptions) -> Self {
        Self {
            options,
            resume: None,
            budget: None,
        }
    }

    /// The format of the target.
    #[must_use]
    pub fn format(&self) -> Format {
        self.options.format
    }

    /// Makes checkpoints, and takes up what an earlier attempt at the same conversion left.
    /// After an error, and after being cancelled, the partial target and its checkpoint stay
    /// for the next attempt: [`discard`] removes them.
    #[must_use]
    pub fn resuming(mut self, resume: Resume) -> Self {
        self.resume = Some(resume);
        self
    }

    /// Shares threads with other conversions, instead of having its own.
    #[must_use]
    pub fn sharing(mut self, budget: ThreadBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Copies `source` into `target`, as [`convert`] does. If an earlier attempt had
    /// finished and was only not heard any more, its target is the result.
    ///
    /// # Errors
    /// As [`convert`].
    pub fn run(
        &self,
        source: &dyn Image,
        target: &Path,
        progress: &dyn Progress,
        cancel: &CancelFlag,
    ) -> Result<ConvertReport, DiskError> {
        let level = self.check(source, target)?;
        let key = self
            .resume
            .as_ref()
            .map(|resume| (self.key(resume, source), resume));
        let saved = key
            .as_ref()
            .and_then(|(key, _)| Checkpoint::load(target, key));
        if let Some(saved) = &saved
            && saved.finish(target)?
        {
            progress.update(source.size(), source.size());
            return Ok(self.report(source, target, (source.size(), 0, 0), saved.length));
        }
        let part = PartFile::open(target, key.is_some())?;
        let (from, layout) = self.start(&part, saved, source)?;
        let checkpoints = key
            .as_ref()
            .map(|(key, resume)| Checkpointer::new(&part, target, (key, resume), &from));
        let own;
        let budget = match &self.budget {
            Some(shared) => shared,
            None => {
                own = ThreadBudget::new(self.options.threads);
                &own
            }
        };
        let job = Job {
            source,
            from: (from.position, from.number),
            budget,
            checkpoints: checkpoints.as_ref(),
            progress,
            cancel,
        };
        let (read, length) = match layout {
            None => {
                let sink = RawSink::new(&part, source.size(), checkpoints.as_ref())?;
                (worker::run(&job, &sink)?, source.size())
            }
            Some(layout) => {
                let at = (layout, from.number);
                let sink = Qcow2Sink::new(&part, at, level, checkpoints.as_ref());
                let read = worker::run(&job, &sink)?;
                (read, sink.finish()?)
            }
        };
        cancel.check()?;
        part.complete(length)?;
        let written = part.written();
        if let Some((key, _)) = &key {
            Checkpoint::finished(length, part.inode()?).store(target, key)?;
        }
        part.finish()?;
        if key.is_some() {
            Checkpoint::remove(target)?;
        }
        Ok(self.report(source, target, (from.position, read, written), length))
    }

    /// Refuses what cannot be made, before anything is.
    fn check(
        &self,
        source: &dyn Image,
        target: &Path,
    ) -> Result<Option<CompressionLvl>, DiskError> {
        let unsupported = |what: String| DiskError::unsupported(target.display().to_string(), what);
        let size = source.size();
        match self.options.format {
            Format::Raw if i64::try_from(size).is_err() => {
                return Err(unsupported(format!("a file of {size} bytes")));
            }
            Format::Qcow2 if size > qcow2::MAX_SIZE => {
                return Err(unsupported(format!(
                    "a disk of {size} bytes; with clusters of 64 KiB qcow2 holds {}",
                    qcow2::MAX_SIZE
                )));
            }
            Format::Raw | Format::Qcow2 => {}
            other @ Format::Vmdk => return Err(unsupported(format!("writing {other}"))),
        }
        match (self.options.format, self.options.compression) {
            (_, Compression::None) => Ok(None),
            (Format::Qcow2, Compression::Zlib(level)) => CompressionLvl::new(level.into())
                .ok()
                .filter(|_| (1..=12).contains(&level))
                .map(Some)
                .ok_or_else(|| unsupported(format!("compression level {level}, not 1 to 12"))),
            (format, Compression::Zlib(_)) => {
                Err(unsupported(format!("compression in a {format} file")))
            }
        }
    }

    /// Everything that the bytes of the target depend on.
    fn key(&self, resume: &Resume, source: &dyn Image) -> String {
        let ConvertOptions {
            format,
            compression,
            threads: _,
        } = self.options;
        format!(
            "{} {format} {compression:?} {} {}",
            env!("CARGO_PKG_VERSION"),
            source.size(),
            resume.identity
        )
    }

    /// Brings the partial target to where the checkpoint says it was, or to its beginning.
    fn start(
        &self,
        part: &PartFile,
        saved: Option<Checkpoint>,
        source: &dyn Image,
    ) -> Result<Start, DiskError> {
        let size = source.size().next_multiple_of(512);
        let qcow2 = self.options.format == Format::Qcow2;
        if let Some(saved) = saved.filter(|saved| saved.position <= source.size()) {
            let layout = qcow2.then(|| Layout::decode(&saved.state, size));
            // Tables that cannot be read are no checkpoint either.
            if layout.as_ref().is_none_or(Option::is_some) {
                let layout = layout.flatten();
                let open = layout.as_ref().and_then(Layout::open_region);
                if part.take_up(saved.length, open)? {
                    return Ok((saved, layout));
                }
            }
        }
        part.begin()?;
        Ok((Checkpoint::default(), qcow2.then(|| Layout::new(size))))
    }

    fn report(
        &self,
        source: &dyn Image,
        target: &Path,
        (resumed_at, bytes_read, bytes_written): (u64, u64, u64),
        file_size: u64,
    ) -> ConvertReport {
        ConvertReport {
            target: target.to_owned(),
            format: self.options.format,
            virtual_size: match self.options.format {
                Format::Qcow2 => source.size().next_multiple_of(512),
                _ => source.size(),
            },
            resumed_at,
            bytes_read,
            bytes_written,
            file_size,
        }
    }
}

/// Removes what an interrupted conversion into `target` left beside it.
///
/// # Errors
/// [`DiskError::Locked`] if one is at work, and what the system says.
pub fn discard(target: &Path) -> Result<(), DiskError> {
    match PartFile::open(target, true) {
        Ok(part) => part.discard(),
        Err(DiskError::NoFolder { .. }) => return Ok(()),
        // What is complete is not partial.
        Err(DiskError::Exists { .. }) => {}
        Err(error) => return Err(error),
    }
    Checkpoint::remove(target)
}

/// Copies a disk into a new file, which has its name only once it is complete and on disk.
///
/// The same source makes the same bytes, whatever the number of threads.
///
/// # Errors
/// [`DiskError::Exists`] and [`DiskError::Locked`] for the target, [`DiskError::NoFolder`]
/// for its folder, [`DiskError::NoSpace`], [`DiskError::Cancelled`],
/// [`DiskError::Unsupported`] for a format that is not written or a disk that it cannot
/// hold, and what reading the source yields. After an error nothing of the target is left.
pub fn convert(
    source: &dyn Image,
    target: &Path,
    options: &ConvertOptions,
    progress: &dyn Progress,
    cancel: &CancelFlag,
) -> Result<ConvertReport, DiskError> {
    Conversion::new(*options).run(source, target, progress, cancel)
}
