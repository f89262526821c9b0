//! Making the new disks of what was rehearsed.

use super::binding::digest_of;
use super::output::{CopiedDisk, Output};
use super::report::{NewDisk, Report};
use super::request::Request;
use super::run::{Rehearsed, blocking};
use crate::MigrateError;
use crate::observer::{Observer, Stage};
use cofferdam_disk::{
    CancelFlag, Conversion, ConvertOptions, DiskError, Format, Image, Overlay, Progress, Resume,
    ThreadBudget,
};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Tells a disk's progress.
struct Shown {
    observer: Arc<dyn Observer>,
    disk: String,
}

impl Progress for Shown {
    fn update(&self, done: u64, total: u64) {
        self.observer.progress(&self.disk, done, total, "bytes");
    }
}

/// Stops the copies when the future that waits for them is dropped: their threads would not
/// notice.
struct StopOnDrop(CancelFlag);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Copies all disks side by side on `threads` threads together, into the unfinished part of
/// `output`. What earlier attempts copied there is not copied again. The first error stops
/// all.
///
/// # Errors
/// [`MigrateError::Disk`], [`MigrateError::Cancelled`].
pub async fn copy(
    rehearsed: &Rehearsed,
    request: &Request,
    output: &Arc<Output>,
    threads: usize,
) -> Result<Vec<CopiedDisk>, MigrateError> {
    let plan = &rehearsed.plan;
    rehearsed.clock.begin(Stage::Convert);
    let options = ConvertOptions {
        format: request.target.image_format()?,
        compression: request.target.image_compression(),
        threads,
    };
    let budget = ThreadBudget::new(threads);
    let stop = StopOnDrop(CancelFlag::new());
    let mut copies = JoinSet::new();
    for (number, (disk, name)) in rehearsed.disks.iter().zip(plan.disk_names()).enumerate() {
        let identity = digest_of(&(&plan.binding.source, &plan.edits_digest, number));
        let conversion = Conversion::new(options)
            .sharing(budget.clone())
            .resuming(Resume::new(identity));
        let shown = Shown {
            observer: Arc::clone(&request.observer),
            disk: name.clone(),
        };
        let (disk, output, stop) = (Arc::clone(disk), Arc::clone(output), stop.0.clone());
        copies.spawn(async move {
            let made = blocking(move || {
                copy_one(&conversion, &disk, &output.staged(&name), &shown, &stop)
                    .map(|(virtual_size, file_size, inode)| CopiedDisk {
                        disk: NewDisk {
                            file: name,
                            format: options.format.to_string(),
                            virtual_size,
                            file_size,
                        },
                        inode,
                    })
                    .map_err(MigrateError::from)
            });
            (number, made.await)
        });
    }
    let mut copied = Vec::new();
    while let Some(ended) = copies.join_next().await {
        let (number, made) = ended.map_err(|error| MigrateError::Host(error.to_string()))?;
        match made {
            Ok(disk) => copied.push((number, disk)),
            Err(error) => {
                stop.0.cancel();
                // Their threads write into the output folder.
                while copies.join_next().await.is_some() {}
                return Err(error);
            }
        }
    }
    rehearsed.clock.end();
    copied.sort_by_key(|(number, _)| *number);
    Ok(copied.into_iter().map(|(_, disk)| disk).collect())
}

/// Size of the disk and of its file, and the file's inode.
fn copy_one(
    conversion: &Conversion,
    disk: &Overlay,
    target: &Path,
    shown: &Shown,
    stop: &CancelFlag,
) -> Result<(u64, u64, u64), DiskError> {
    let virtual_size = match conversion.run(disk, target, shown, stop) {
        Ok(report) => report.virtual_size,
        // The folder is this run's alone, and a file has its name there once it is complete.
        Err(DiskError::Exists { .. }) => match conversion.format() {
            Format::Qcow2 => disk.size().next_multiple_of(512),
            _ => disk.size(),
        },
        Err(error) => return Err(error),
    };
    let found = std::fs::metadata(target);
    let found = found.map_err(|error| DiskError::io(target, None, error))?;
    Ok((virtual_size, found.len(), found.ino()))
}

/// Converts the rehearsed disks and writes the reports. Either all of it is there
/// afterwards, or nothing that looks finished.
///
/// # Errors
/// [`MigrateError::Disk`], [`MigrateError::File`], [`MigrateError::Cancelled`].
pub async fn apply(
    rehearsed: Rehearsed,
    request: &Request,
    output: Output,
    threads: usize,
) -> Result<Report, MigrateError> {
    let output = Arc::new(output);
    let copied = copy(&rehearsed, request, &output, threads);
    let copied = super::run::until_cancelled(&request.cancel, copied).await?;
    let output = Arc::into_inner(output)
        .ok_or_else(|| MigrateError::Host("a copy is still going on".to_owned()))?;
    rehearsed.clock.begin(Stage::Report);
    let report = Report {
        disks: copied.iter().map(|copied| copied.disk.clone()).collect(),
        timings: rehearsed.clock.timings(),
        plan: rehearsed.plan,
    };
    output.publish(&copied, report)
}
