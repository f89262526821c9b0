//! The sequence of stages, and what is written at its end.

use super::binding::{self, Binding};
use super::discover::discover;
use super::inspect::{Inspected, inspect};
use super::open::{Opened, images, open};
use super::plan::{DiskResult, Plan};
use super::rehearse::rehearse;
use super::report::{NewDisk, Report};
use super::request::Request;
use super::verify::verify;
use crate::MigrateError;
use crate::guest::change::summarize;
use crate::guest::{Model, Note, Notes, Planned};
use crate::observer::{Observer, Stage};
use cofferdam_contract::kinds::FixerGuest;
use cofferdam_contract::types::Timestamp;
use cofferdam_disk::{CancelFlag, ConvertOptions, Image, OpenImage, Overlay, Progress};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How often a cancelled run is noticed while plugins work.
const CANCEL_POLL: Duration = Duration::from_millis(50);
/// Bytes digested at a time.
const CHUNK: u64 = 1 << 20;
/// The folder in the output folder that holds what is not finished.
const STAGING: &str = ".cofferdam-unfinished";

/// A plan whose rehearsal is kept: ready to be applied.
pub struct Rehearsed {
    /// The plan.
    pub plan: Plan,
    disks: Vec<Arc<Overlay>>,
    clock: Arc<Clock>,
}

/// Measures stages and tells the observer of them.
struct Clock {
    observer: Arc<dyn Observer>,
    current: Mutex<Option<(Stage, Instant)>>,
    timings: Mutex<BTreeMap<String, u64>>,
}

impl Clock {
    fn new(observer: Arc<dyn Observer>) -> Arc<Self> {
        Arc::new(Self {
            observer,
            current: Mutex::default(),
            timings: Mutex::default(),
        })
    }

    fn begin(&self, stage: Stage) {
        self.end();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((stage, Instant::now()));
        self.observer.stage(stage);
    }

    fn end(&self) {
        let ended = self
            .current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((stage, since)) = ended {
            let spent = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let mut timings = self.timings.lock().unwrap_or_else(PoisonError::into_inner);
            *timings.entry(stage.name().to_owned()).or_default() += spent;
        }
    }

    fn timings(&self) -> BTreeMap<String, u64> {
        self.end();
        self.timings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Plans and rehearses. Nothing is written outside the scratch folder.
///
/// # Errors
/// Every [`MigrateError`] but those of applying.
pub async fn plan(request: &Request) -> Result<Rehearsed, MigrateError> {
    until_cancelled(&request.cancel, plan_uncancelled(request)).await
}

/// Carries a plan out again and requires the same result: the source, the plugins and the
/// settings in `request` must be those that the plan is bound to.
///
/// # Errors
/// [`MigrateError::PlanOutdated`] names what changed; [`MigrateError::PlanNotReproduced`].
pub async fn reproduce(request: &Request, planned: &Plan) -> Result<Rehearsed, MigrateError> {
    let (plugins, settings) = binding::plugins(request)?;
    let now = Binding {
        source: planned.binding.source.clone(),
        plugins,
        settings,
        target: request.target.clone(),
        time: planned.binding.time.clone(),
    };
    let mut changes = planned.binding.changes(&now);
    // The source is read only when the cheap comparisons found nothing.
    if changes.is_empty() {
        let notes = Arc::default();
        let found = until_cancelled(&request.cancel, discover(request, &notes)).await?;
        let source =
            until_cancelled(&request.cancel, identify(found.images, &request.cancel)).await?;
        changes = planned.binding.changes(&Binding { source, ..now });
    }
    if !changes.is_empty() {
        return Err(MigrateError::PlanOutdated { changes });
    }
    let rehearsed = plan(request).await?;
    if rehearsed.plan.edits_digest != planned.edits_digest {
        return Err(MigrateError::PlanNotReproduced {
            planned: planned.edits_digest.clone(),
            found: rehearsed.plan.edits_digest,
        });
    }
    let now = &rehearsed.plan;
    if (&now.changes, &now.notes, &now.guest) != (&planned.changes, &planned.notes, &planned.guest)
    {
        return Err(MigrateError::PlanOutdated {
            changes: vec![
                "its diffs, notes or guest are not what the edits are; the file was edited"
                    .to_owned(),
            ],
        });
    }
    Ok(rehearsed)
}

async fn until_cancelled<T>(
    cancel: &CancelFlag,
    work: impl Future<Output = Result<T, MigrateError>>,
) -> Result<T, MigrateError> {
    let cancelled = async {
        while !cancel.is_cancelled() {
            tokio::time::sleep(CANCEL_POLL).await;
        }
    };
    tokio::select! {
        // What a plugin says when it was stopped is not why.
        done = work => match done {
            Err(_) if cancel.is_cancelled() => Err(MigrateError::Cancelled),
            done => done,
        },
        () = cancelled => Err(MigrateError::Cancelled),
    }
}

async fn identify(
    images: Vec<Arc<OpenImage>>,
    cancel: &CancelFlag,
) -> Result<Vec<binding::BoundFile>, MigrateError> {
    let cancel = cancel.clone();
    blocking(move || binding::identify(&images, &cancel)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MigrateError> + Send + 'static,
) -> Result<T, MigrateError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| MigrateError::Host(error.to_string()))?
}

async fn plan_uncancelled(request: &Request) -> Result<Rehearsed, MigrateError> {
    let clock = Clock::new(Arc::clone(&request.observer));
    let notes: Arc<Notes> = Arc::default();
    let (plugins, settings) = binding::plugins(request)?;

    clock.begin(Stage::Discover);
    let found = discover(request, &notes).await?;
    let disks: Vec<Arc<dyn Image>> = found
        .images
        .iter()
        .map(|image| Arc::clone(image) as Arc<dyn Image>)
        .collect();
    // Reading the whole source takes longest and needs nothing of the rest.
    let reading = StopReading(CancelFlag::new());
    let identity = {
        let (images, stop) = (found.images.clone(), reading.0.clone());
        tokio::task::spawn_blocking(move || binding::identify(&images, &stop))
    };

    clock.begin(Stage::Open);
    let opened = open(request, &disks, &notes).await?;
    clock.begin(Stage::Inspect);
    let inspected = inspect(request, &found.machine, &opened, &notes).await?;

    clock.begin(Stage::Plan);
    let model = inspected
        .compose(opened.sessions(), request, &notes)
        .await?;
    let planned = run_fixers(request, &inspected, model, &notes).await?;
    let all = notes.all();
    if all.iter().any(Note::blocks) {
        return Err(MigrateError::Blocked { notes: all });
    }
    let edits = std::mem::take(&mut *planned.edits.lock().await);
    let mut model = planned.model.lock().await;
    let sums = summarize(&mut model, &edits)
        .await
        .map_err(|error| fault_or(&mut model, error.message))?;

    clock.begin(Stage::Rehearse);
    let overlays = rehearse(request, &opened, &mut model, &edits).await?;

    clock.begin(Stage::Verify);
    let over = images(&overlays);
    let sessions = verify(request, &opened, &mut model, &over).await?;
    run_again(request, &inspected, sessions).await?;

    clock.begin(Stage::Identify);
    let source = identity
        .await
        .map_err(|error| MigrateError::Host(error.to_string()))??;
    let results = results(&opened, &overlays)?;
    clock.end();
    let binding = Binding {
        source,
        plugins,
        settings,
        target: request.target.clone(),
        time: rfc3339(request.time),
    };
    let plan = Plan::new(
        &request.source,
        &found.machine,
        &inspected.facts,
        notes.all(),
        sums,
        results,
        binding,
    );
    Ok(Rehearsed {
        plan,
        disks: overlays,
        clock,
    })
}

/// Stops reading the source when the run ends early: the process waits for readers.
struct StopReading(CancelFlag);

impl Drop for StopReading {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn fault_or(model: &mut Model, message: String) -> MigrateError {
    match model.take_fault() {
        Some(fault) => fault.into(),
        None => MigrateError::Host(message),
    }
}

/// Asks every fixer in order; later ones see the edits of earlier ones.
async fn run_fixers(
    request: &Request,
    inspected: &Inspected,
    model: Model,
    notes: &Arc<Notes>,
) -> Result<Arc<Planned>, MigrateError> {
    let planned = Arc::new(Planned::new(model, Arc::clone(notes)));
    for fixer in &request.plugins.fixers {
        let handle = planned.for_fixer(&fixer.manifest().id);
        let guest = FixerGuest {
            view: Arc::clone(&handle) as _,
            facts: Arc::clone(&inspected.facts),
            edits: handle,
        };
        let outcome = fixer.fix(request.call(fixer.as_ref())?, guest).await;
        if let Some(fault) = planned.take_fault().await {
            return Err(fault.into());
        }
        outcome?;
    }
    Ok(planned)
}

/// Runs every fixer on the rehearsed result: none may want an edit.
async fn run_again(
    request: &Request,
    inspected: &Inspected,
    sessions: Vec<Arc<dyn cofferdam_contract::kinds::FileTree>>,
) -> Result<(), MigrateError> {
    let notes: Arc<Notes> = Arc::default();
    let model = inspected.compose(sessions, request, &notes).await?;
    let planned = run_fixers(request, inspected, model, &notes).await?;
    let edits = planned.edits.lock().await;
    if edits.is_empty() {
        return Ok(());
    }
    Err(MigrateError::NotIdempotent {
        edits: edits.iter().map(ToString::to_string).collect(),
    })
}

/// Digests what is not as on the source any more: replayed journals and edits.
fn results(opened: &Opened, overlays: &[Arc<Overlay>]) -> Result<Vec<DiskResult>, MigrateError> {
    opened
        .disks
        .iter()
        .zip(overlays)
        .map(|(first, second)| {
            let ranges = merged(
                first
                    .changed_ranges()
                    .into_iter()
                    .chain(second.changed_ranges())
                    .map(|range| (range.offset, range.offset + range.length))
                    .collect(),
            );
            let mut hasher = Sha256::new();
            let mut changed_bytes = 0;
            for (start, end) in ranges {
                hasher.update(start.to_le_bytes());
                hasher.update((end - start).to_le_bytes());
                changed_bytes += end - start;
                let mut at = start;
                while at < end {
                    let length = CHUNK.min(end - at);
                    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
                    second.read_at(at, &mut bytes)?;
                    hasher.update(&bytes);
                    at += length;
                }
            }
            Ok(DiskResult {
                virtual_size: second.size(),
                changed_bytes,
                sha256: hex::encode(hasher.finalize()),
            })
        })
        .collect()
}

/// Ranges in order, overlapping and adjoining ones made one.
fn merged(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (start, end) in ranges {
        match merged.last_mut() {
            Some(last) if last.1 >= start => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// A time as RFC 3339 in UTC, to the second. Times before 1970 are shown as 1970.
pub fn rfc3339(time: Timestamp) -> String {
    let since = Duration::from_secs(u64::try_from(time.seconds).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// Where a migration's files go.
pub struct Output {
    folder: PathBuf,
    staging: PathBuf,
    made: bool,
    _lock: std::fs::File,
}

impl Output {
    /// Makes the folder where needed, clears what an interrupted run left in it, and keeps
    /// other runs out of it. `disks` are the names that must be free.
    ///
    /// # Errors
    /// A disk or finished report that is there already; another run at work.
    pub fn prepare(folder: &Path, disks: &[String]) -> Result<Self, MigrateError> {
        let failed = |what| {
            move |source| MigrateError::File {
                what,
                path: folder.display().to_string(),
                source,
            }
        };
        let exists = |path: PathBuf| {
            MigrateError::Disk(cofferdam_disk::DiskError::Exists {
                path: path.display().to_string(),
            })
        };
        for disk in disks {
            if folder.join(disk).symlink_metadata().is_ok() {
                return Err(exists(folder.join(disk)));
            }
        }
        // Only a report that an interrupted run left without its disks may be replaced.
        for name in ["report.json", "report.md"] {
            if folder.join(name).symlink_metadata().is_ok() && !is_stale(folder) {
                return Err(exists(folder.join(name)));
            }
        }
        let staging = folder.join(STAGING);
        let made = !folder.exists();
        std::fs::create_dir_all(&staging).map_err(failed("cannot make the output folder"))?;
        let lock = std::fs::File::create(staging.join("lock"))
            .map_err(failed("cannot write to the output folder"))?;
        if lock.try_lock().is_err() {
            return Err(MigrateError::Disk(cofferdam_disk::DiskError::Locked {
                path: staging.display().to_string(),
            }));
        }
        for entry in std::fs::read_dir(&staging).map_err(failed("cannot read"))? {
            let entry = entry.map_err(failed("cannot read"))?;
            if entry.file_name() != "lock" {
                std::fs::remove_file(entry.path()).map_err(failed("cannot clear"))?;
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            staging,
            made,
            _lock: lock,
        })
    }

    /// Moves the staged files to their places: reports first, so that a disk never stands
    /// there without one.
    fn publish(&self, names: &[String]) -> Result<(), MigrateError> {
        for (done, name) in names.iter().enumerate() {
            let target = self.folder.join(name);
            if let Err(source) = std::fs::rename(self.staging.join(name), &target) {
                // Some of the disks would look like all of them.
                for moved in names.iter().take(done) {
                    let _ = std::fs::remove_file(self.folder.join(moved));
                }
                return Err(MigrateError::File {
                    what: "cannot move into place",
                    path: target.display().to_string(),
                    source,
                });
            }
        }
        let synced = std::fs::File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| MigrateError::File {
            what: "cannot sync",
            path: self.folder.display().to_string(),
            source,
        })
    }
}

/// Whether the folder's report names disks that are not there.
fn is_stale(folder: &Path) -> bool {
    std::fs::read(folder.join("report.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok())
        .is_some_and(|report| {
            let present = |disk: &NewDisk| folder.join(&disk.file).exists();
            !report.disks.iter().any(present)
        })
}

impl Drop for Output {
    fn drop(&mut self) {
        // What cannot be removed now is cleared by the next run.
        let _ = std::fs::remove_dir_all(&self.staging);
        if self.made {
            // Succeeds only where nothing was put into it.
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

struct Shown {
    observer: Arc<dyn Observer>,
    disk: String,
}

impl Progress for Shown {
    fn update(&self, done: u64, total: u64) {
        self.observer.progress(&self.disk, done, total, "bytes");
    }
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
    let Rehearsed { plan, disks, clock } = rehearsed;
    clock.begin(Stage::Convert);
    let options = ConvertOptions {
        format: request.target.image_format()?,
        compression: request.target.image_compression(),
        threads,
    };
    let names = plan.disk_names();
    let mut new_disks = Vec::new();
    for (disk, name) in disks.into_iter().zip(&names) {
        let target = output.staging.join(name);
        let cancel = request.cancel.clone();
        let shown = Shown {
            observer: Arc::clone(&request.observer),
            disk: name.clone(),
        };
        let converted = blocking(move || {
            Ok(cofferdam_disk::convert(
                disk.as_ref(),
                &target,
                &options,
                &shown,
                &cancel,
            )?)
        })
        .await;
        let converted = match converted {
            Err(MigrateError::Disk(cofferdam_disk::DiskError::Cancelled)) => {
                return Err(MigrateError::Cancelled);
            }
            other => other?,
        };
        new_disks.push(NewDisk {
            file: name.clone(),
            format: plan.binding.target.format.clone(),
            virtual_size: converted.virtual_size,
            file_size: converted.file_size,
        });
    }
    clock.begin(Stage::Report);
    let report = Report {
        disks: new_disks,
        timings: clock.timings(),
        plan,
    };
    super::report::write_whole(&output.staging.join("report.json"), &report.json()?)?;
    super::report::write_whole(
        &output.staging.join("report.md"),
        report.markdown().as_bytes(),
    )?;
    let mut files = vec!["report.json".to_owned(), "report.md".to_owned()];
    files.extend(names);
    output.publish(&files)?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn ranges_are_merged_in_order() {
        assert_eq!(
            merged(vec![(8, 9), (0, 4), (4, 6), (5, 7), (20, 30), (22, 25)]),
            [(0, 7), (8, 9), (20, 30)]
        );
    }
}
