//! The sequence of stages up to a plan whose rehearsal is kept.

use super::binding::{self, Binding};
use super::clock::Clock;
use super::discover::discover;
use super::inspect::{Inspected, inspect};
use super::open::{Opened, images, open};
use super::plan::{DiskResult, Plan};
use super::rehearse::rehearse;
use super::request::Request;
use super::verify::verify;
use crate::MigrateError;
use crate::guest::change::summarize;
use crate::guest::{Model, Note, Notes, Planned};
use crate::observer::Stage;
use cofferdam_contract::kinds::FixerGuest;
use cofferdam_contract::types::Timestamp;
use cofferdam_disk::{CancelFlag, Image, OpenImage, Overlay};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// How often a cancelled run is noticed while plugins work.
const CANCEL_POLL: Duration = Duration::from_millis(50);
/// Bytes digested at a time.
const CHUNK: u64 = 1 << 20;

/// A plan whose rehearsal is kept: ready to be applied.
pub struct Rehearsed {
    /// The plan.
    pub plan: Plan,
    pub(super) disks: Vec<Arc<Overlay>>,
    pub(super) clock: Arc<Clock>,
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

pub(super) async fn until_cancelled<T>(
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
    images: Vec<(u32, Arc<OpenImage>)>,
    cancel: &CancelFlag,
) -> Result<Vec<binding::BoundFile>, MigrateError> {
    let cancel = cancel.clone();
    blocking(move || binding::identify(&images, &cancel)).await
}

pub(super) async fn blocking<T: Send + 'static>(
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
        .map(|(_, image)| Arc::clone(image) as Arc<dyn Image>)
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
        &request.named,
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
