//! One run, from where the store says it is to where it ends or waits for a person.
//!
//! **Problem.** Steps depend on each other, fail, take long, wait for approval, and must be
//! stopped at once when somebody says so; and at every moment the process may be killed.
//!
//! **Design.** The driver is a loop: work out what can be done now ([`schedule`]), write it
//! to the journal in one transaction together with what ended since, then start the
//! attempts that were written ([`attempt`]), and wait for something to happen. So an
//! attempt is in the journal before it begins, the end of one step and the beginning of
//! the next share a transaction, and after a kill the loop begins again with what the
//! journal says. The driver's own memory ([`state`]) mirrors the journal and is thrown away
//! whenever somebody else changed the run.
//!
//! A run that fails begins nothing more; what goes on may end, because what succeeded is
//! kept for a retry. A run that is cancelled stops what goes on. Then the steps that want
//! it are compensated, the last that succeeded first, one at a time; where one has to wait for
//! a person or for its plugin, those after it wait too.
//!
//! **Limits.** Where the journal cannot be written (a full disk), the run stands still and
//! is tried again; nothing is begun that is not in the journal.

mod attempt;
mod schedule;
mod state;

pub(crate) use attempt::looking;

use super::context::StopSignal;
use super::engine::{Engine, Mailbox};
use super::problem::problem;
use attempt::{Caller, Ended, Work, WorkKind};
use cofferdam_contract::types::ErrorCode;
use cofferdam_store::{
    AttemptOutcome, Change, CompensationOutcome, Durability, Event, Problem, RunDetail, RunState,
    StoreError, Time,
};
use schedule::{Next, Scheduler};
use state::RunMemory;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument;

/// Waits between tries to write to a journal that cannot be written.
const FIRST_REWRITE: Duration = Duration::from_millis(100);
const LONGEST_REWRITE: Duration = Duration::from_secs(10);

/// How often in a row the journal may contradict the driver before the run is parked.
const MOST_CONFLICTS: u32 = 5;

/// Drives one run.
pub(super) struct Driver {
    engine: Arc<Engine>,
    mailbox: Arc<Mailbox>,
    memory: RunMemory,
    tasks: JoinSet<Ended>,
    going_on: HashMap<Id, Going>,
    /// What ended and is not in the journal yet.
    ended: Vec<Change>,
    /// A right to execute a step that was waited for.
    spare: Option<OwnedSemaphorePermit>,
    /// Whether a step could begin and has no such right.
    waits_for_slot: bool,
    conflicts: u32,
    /// Whether what goes on was told to stop.
    stopping: bool,
}

/// A task that goes on.
struct Going {
    step: usize,
    kind: WorkKind,
    attempt: u32,
    abort: AbortHandle,
}

/// How a try to write to the journal went.
enum Written {
    Done,
    /// Somebody else changed the run, or the driver is wrong about it.
    Contradicted,
    /// The journal cannot be written now.
    Failed,
}

/// Parks a run whose record makes no sense to this host.
pub(super) fn park_unreadable(engine: &Engine, run: &str, problem: Problem) {
    let change = Change::Run {
        state: RunState::NeedsAttention,
        attention: Some(problem.message),
        error: None,
    };
    match engine.store.advance(run, Durability::Process, &[change]) {
        Ok(_) => engine.publisher.events_written(),
        Err(error) => tracing::error!(run, %error, "a run cannot be parked"),
    }
}

impl Driver {
    /// A driver of the run that was read.
    ///
    /// # Errors
    /// Why the record makes no sense to this host.
    pub(super) fn new(
        engine: Arc<Engine>,
        mailbox: Arc<Mailbox>,
        detail: RunDetail,
    ) -> Result<Self, Problem> {
        let workflow = engine
            .compiled(
                &detail.run.workflow,
                &detail.run.source,
                &detail.run.workflow_digest,
            )
            .map_err(|error| {
                problem(
                    ErrorCode::Invalid,
                    format!("this host does not understand the run's workflow: {error}"),
                )
            })?;
        Ok(Self {
            memory: RunMemory::new(workflow, detail)?,
            engine,
            mailbox,
            tasks: JoinSet::new(),
            going_on: HashMap::new(),
            ended: Vec::new(),
            spare: None,
            waits_for_slot: false,
            conflicts: 0,
            stopping: false,
        })
    }

    /// Drives until the run ends, waits for a person, or the host leaves.
    pub(super) async fn run(mut self) {
        let mut rewrite = FIRST_REWRITE;
        loop {
            if self.engine.is_leaving() {
                self.leave().await;
                return;
            }
            if self.mailbox.take() && !self.reread().await {
                return;
            }
            let next = self.next();
            match self.write(next).await {
                Written::Done => {
                    rewrite = FIRST_REWRITE;
                    if self.memory.state.is_finished() || self.is_at_rest() {
                        return;
                    }
                    self.wait().await;
                }
                Written::Contradicted => {
                    if !self.reread().await {
                        return;
                    }
                }
                Written::Failed => {
                    tokio::select! {
                        () = tokio::time::sleep(rewrite) => {}
                        () = self.engine.left() => {}
                    }
                    rewrite = rewrite.saturating_mul(2).min(LONGEST_REWRITE);
                    // What was to begin has not begun.
                    if !self.reread().await {
                        return;
                    }
                }
            }
        }
    }

    /// What can be done now, once what must stop was told to.
    fn next(&mut self) -> Next {
        let gives_up = self.memory.is_cancelling()
            || (self.memory.failure().is_some() && self.memory.has_interrupted());
        if gives_up && !self.stopping {
            self.stop_all();
        }
        Scheduler {
            going_on: self.going_on.values().map(|going| going.step).collect(),
            memory: &mut self.memory,
            spare: self.spare.take(),
            slots: &self.engine.slots,
            now: Time::now(),
            next: Next::default(),
        }
        .next()
    }

    /// Writes what ended and what is next, and starts what was written.
    async fn write(&mut self, next: Next) -> Written {
        let Next {
            changes,
            launches,
            waits_for_slot,
        } = next;
        self.waits_for_slot = waits_for_slot;
        let durability = if changes
            .iter()
            .any(|change| matches!(change, Change::Finish(_)))
        {
            Durability::Power
        } else {
            Durability::Process
        };
        let ended = self.ended.len();
        let mut all = std::mem::take(&mut self.ended);
        all.extend(changes);
        if !all.is_empty() {
            let run = self.memory.facts.id.to_string();
            let (written, all) = match durability {
                // Short enough for a task; a hop to another thread would cost more.
                Durability::Process => {
                    let written = self.engine.store.advance(&run, durability, &all);
                    (written, all)
                }
                Durability::Power => {
                    let store = self.engine.store.clone();
                    let hop = tokio::task::spawn_blocking(move || {
                        (store.advance(&run, durability, &all), all)
                    });
                    match hop.await {
                        Ok(done) => done,
                        // The blocking thread is gone: the runtime shuts down.
                        Err(_) => return Written::Failed,
                    }
                }
            };
            match written {
                Ok(events) => self.written(&all, &events),
                Err(error) => return self.not_written(error, all, ended),
            }
        }
        self.conflicts = 0;
        for launch in launches {
            self.launch(launch);
        }
        Written::Done
    }

    fn written(&mut self, changes: &[Change], events: &[Event]) {
        self.engine.publisher.events_written();
        self.memory.confirm(events);
        for change in changes {
            match change {
                Change::Finish(_) => {
                    self.engine.metrics.run_finished(self.memory.state.as_str());
                    tracing::info!(run = %self.memory.facts.id, state = %self.memory.state, "run ended");
                }
                Change::End {
                    outcome: AttemptOutcome::NeedsAttention { error },
                    ..
                }
                | Change::EndCompensation {
                    outcome: CompensationOutcome::NeedsAttention { error },
                    ..
                }
                | Change::Park { error, .. } => {
                    if let Some(digest) = &error.waits_for {
                        self.engine.parked(digest);
                    }
                }
                Change::End {
                    step,
                    outcome: AttemptOutcome::Retry { .. },
                    ..
                } => {
                    if let Some(plugin) = self.memory.plugin_of(step) {
                        self.engine.metrics.step_retry(&plugin.id);
                    }
                }
                _ => {}
            }
        }
    }

    fn not_written(&mut self, error: StoreError, mut all: Vec<Change>, ended: usize) -> Written {
        // What ended has happened; what was to begin is worked out again.
        all.truncate(ended);
        self.ended = all;
        let run = &self.memory.facts.id;
        match error {
            StoreError::Conflict { .. } | StoreError::NotFound { .. } => {
                self.conflicts += 1;
                tracing::debug!(%run, %error, "the journal contradicts the driver");
                if self.conflicts > 1 {
                    // The journal knows better how these attempts ended.
                    self.ended.clear();
                }
                if self.conflicts > MOST_CONFLICTS {
                    tracing::error!(%run, %error, "the run cannot be driven");
                    park_unreadable(
                        &self.engine,
                        run,
                        problem(
                            ErrorCode::Other,
                            format!("the run cannot be driven: {error}"),
                        ),
                    );
                }
                Written::Contradicted
            }
            error => {
                tracing::error!(%run, %error, "the journal cannot be written; the run stands still and is tried again");
                Written::Failed
            }
        }
    }

    /// Looks at the store again. Says whether there is something left to drive.
    async fn reread(&mut self) -> bool {
        loop {
            match self.engine.store.run_detail(&self.memory.facts.id) {
                Ok(detail) => {
                    if detail.run.state.is_finished() {
                        self.abort_all().await;
                        return false;
                    }
                    let parked = detail.run.state == RunState::NeedsAttention;
                    self.memory
                        .reread(detail, self.going_on.values().map(|going| going.step));
                    for change in &self.ended {
                        self.memory.apply(change);
                    }
                    // A driver that was contradicted too often has parked its run.
                    return !(parked && self.conflicts > MOST_CONFLICTS);
                }
                Err(error) => {
                    tracing::error!(run = %self.memory.facts.id, %error, "a run cannot be read; it is tried again");
                    tokio::select! {
                        () = tokio::time::sleep(FIRST_REWRITE) => {}
                        () = self.engine.left() => return true,
                    }
                }
            }
        }
    }

    /// Whether nothing more happens before a person does something.
    fn is_at_rest(&self) -> bool {
        self.tasks.is_empty()
            && self.ended.is_empty()
            && matches!(
                self.memory.state,
                RunState::WaitingApproval | RunState::NeedsAttention
            )
    }

    /// Waits until something happens, and takes in what did.
    async fn wait(&mut self) {
        let slots = Arc::clone(&self.engine.slots);
        let timer = self.memory.next_timer();
        let timer = async move {
            match timer {
                Some(at) => tokio::time::sleep(at.since(Time::now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(done) = self.tasks.join_next_with_id() => self.take(done),
            () = self.mailbox.changed() => {}
            () = timer => {}
            slot = slots.acquire_owned(), if self.waits_for_slot => self.spare = slot.ok(),
            () = self.engine.left() => {}
        }
        // What else ended meanwhile goes into the same transaction.
        while let Some(done) = self.tasks.try_join_next_with_id() {
            self.take(done);
        }
    }

    fn launch(&mut self, work: Work) {
        let (index, kind) = (work.step, work.kind);
        let Some((step, memory)) = self.memory.step(index) else {
            return;
        };
        let (attempt, stop) = match kind {
            // What undoes a cancelled run is not cancelled with it.
            WorkKind::Compensate => (memory.compensation_attempt, StopSignal::default()),
            _ => (memory.attempt, self.memory.stop.clone()),
        };
        let task = match self.memory.plugin_of(&step.id) {
            Some(plugin) => {
                let plugin = plugin.clone();
                let caller = Caller::of(
                    &self.engine,
                    &self.memory.facts,
                    stop,
                    step,
                    plugin,
                    attempt,
                );
                self.tasks.spawn(caller.carry_out(work).in_current_span())
            }
            None => {
                let unpinned = problem(
                    ErrorCode::Corrupt,
                    "the run's record names no plugin for this step; restore the database from a backup, or cancel the run",
                );
                self.tasks.spawn(async move { Ended::Parked(unpinned) })
            }
        };
        self.goes_on(index, kind, attempt, task);
    }

    fn goes_on(&mut self, step: usize, kind: WorkKind, attempt: u32, abort: AbortHandle) {
        let going = Going {
            step,
            kind,
            attempt,
            abort,
        };
        self.going_on.insert(going.abort.id(), going);
    }

    /// Takes in what a task came to.
    fn take(&mut self, done: Result<(Id, Ended), JoinError>) {
        let (id, ended) = match done {
            Ok((id, ended)) => (id, ended),
            Err(error) => {
                let ended = if error.is_cancelled() {
                    Ended::Stopped
                } else {
                    Ended::Failed(problem(
                        ErrorCode::Other,
                        "the host's part of the step panicked; this is a fault of the host",
                    ))
                };
                (error.id(), ended)
            }
        };
        let Some(going) = self.going_on.remove(&id) else {
            return;
        };
        let change = match going.kind {
            WorkKind::Plan => self.memory.planned(going.step, ended),
            WorkKind::Execute => self.memory.executed(going.step, going.attempt, ended),
            WorkKind::Compensate => self.memory.compensated(going.step, going.attempt, ended),
            WorkKind::StopPrograms => None,
        };
        if let Some(change) = change {
            self.memory.apply(&change);
            self.ended.push(change);
        }
    }

    /// Stops all that goes on, because the run is cancelled.
    fn stop_all(&mut self) {
        self.stopping = true;
        self.memory.stop.stop();
        for going in self.going_on.values() {
            if going.kind != WorkKind::Compensate {
                going.abort.abort();
            }
        }
        // Those of the calls that were dropped, and those of an earlier host, whose calls
        // nobody made again.
        let stopped =
            attempt::stop_programs(Arc::clone(&self.engine), Arc::clone(&self.memory.facts.id));
        let task = self.tasks.spawn(stopped);
        self.goes_on(usize::MAX, WorkKind::StopPrograms, 0, task);
    }

    async fn abort_all(&mut self) {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Lets what goes on end within the grace, and leaves the rest to the next host.
    async fn leave(mut self) {
        let grace = tokio::time::sleep(self.engine.options.grace);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                done = self.tasks.join_next_with_id() => match done {
                    Some(done) => self.take(done),
                    None => break,
                },
                () = &mut grace => break,
            }
        }
        self.abort_all().await;
        if self.ended.is_empty() {
            return;
        }
        let ended = std::mem::take(&mut self.ended);
        match self
            .engine
            .store
            .advance(&self.memory.facts.id, Durability::Power, &ended)
        {
            Ok(_) => self.engine.publisher.events_written(),
            Err(error) => {
                tracing::warn!(run = %self.memory.facts.id, %error, "the last steps are not in the journal; the next host runs them again");
            }
        }
    }
}
