//! What all runs of one host share, and which of them are being driven.
//!
//! A run that can go on has one driver ([`super::driver`]), a task. A run that waits for a
//! person has none: ten thousand runs that wait for approval cost nothing but their rows.
//! Whoever changes a run (approve, cancel, resume, retry) writes that to the store first
//! and then [`Engine::wake`]s it: a driver that is there looks at the store again, one that
//! is not is started.

use super::component::ComponentStore;
use super::driver::{self, Driver};
use super::error::RunError;
use super::log::LogQueue;
use super::notice::Publisher;
use super::workflow::{CompiledWorkflow, WorkflowError};
use crate::catalogue::{BuiltInWorkflow, Catalogue};
use crate::identity::Identity;
use crate::metrics::Metrics;
use crate::paths::StatePaths;
use crate::plugins::{Installations, PluginOptions};
use crate::secrets::SecretKeeper;
use crate::tool::ToolHost;
use cofferdam_store::{RunDetail, RunState, Store};
use opentelemetry::context::FutureExt;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tracing::Instrument;

/// How many unfinished runs are read at once when a host starts.
const RECOVERY_BATCH: u32 = 100;
/// How many checked workflows are remembered.
const WORKFLOWS_KEPT: usize = 256;
/// How long a driver waits before it reads a run again that could not be read.
const REREAD: Duration = Duration::from_secs(1);

/// How the engine behaves.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How many steps of all runs are executed at once; others wait for their turn.
    pub steps_at_once: usize,
    /// How long attempts may go on when the host shuts down, before they are interrupted
    /// and left to the next host.
    pub grace: Duration,
    /// The folders below which files may be given as inputs by token holders.
    pub file_roots: Vec<PathBuf>,
    /// The threads that runs are driven on; none means those of whoever wakes a run. A
    /// step whose plugin runs on the same threads costs no change of threads, which is
    /// most of what a short step costs.
    pub threads: Option<Handle>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            steps_at_once: 1024,
            grace: Duration::from_secs(2),
            file_roots: Vec::new(),
            threads: None,
        }
    }
}

/// What all runs share.
pub struct Engine {
    pub(crate) store: Store,
    pub(crate) identity: Identity,
    pub(super) secrets: SecretKeeper,
    pub(super) metrics: Arc<Metrics>,
    pub(super) catalogue: Arc<dyn Catalogue>,
    pub(super) built_in: Vec<BuiltInWorkflow>,
    pub(crate) components: ComponentStore,
    pub(crate) plugins: Arc<Installations>,
    pub(super) tools: Arc<ToolHost>,
    pub(super) paths: StatePaths,
    pub(super) options: EngineOptions,
    pub(crate) publisher: Arc<Publisher>,
    pub(super) logs: LogQueue,
    pub(super) slots: Arc<Semaphore>,
    workflows: Mutex<Workflows>,
    active: Mutex<HashMap<String, Arc<Mailbox>>>,
    idle: Notify,
    leaving: watch::Sender<bool>,
}

/// Parts of an [`Engine`].
pub struct Parts {
    /// The store.
    pub store: Store,
    /// Who may do what.
    pub identity: Identity,
    /// The secrets.
    pub secrets: SecretKeeper,
    /// What counts.
    pub metrics: Arc<Metrics>,
    /// Where steps come from.
    pub catalogue: Arc<dyn Catalogue>,
    /// The workflows that are part of the program.
    pub built_in: Vec<BuiltInWorkflow>,
    /// What is installed.
    pub plugins: Option<PluginOptions>,
    /// What stands behind `tool`.
    pub tools: Arc<ToolHost>,
    /// The state folder.
    pub paths: StatePaths,
    /// How it behaves.
    pub options: EngineOptions,
    /// Who is told.
    pub publisher: Arc<Publisher>,
    /// Where log lines go.
    pub logs: LogQueue,
}

/// How a driver is told to look at the store again.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    changed: AtomicBool,
    notify: Notify,
}

impl Mailbox {
    fn put(&self) {
        self.changed.store(true, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// Whether something changed since this was asked last.
    pub(super) fn take(&self) -> bool {
        self.changed.swap(false, Ordering::SeqCst)
    }

    /// Returns when something changed.
    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }
}

/// Checked workflows by the digest of their text: a thousand runs of one share it.
#[derive(Default)]
struct Workflows {
    by_digest: HashMap<String, Arc<CompiledWorkflow>>,
    order: VecDeque<String>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The SHA-256 of a workflow's text, hexadecimal.
pub fn workflow_digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

impl Engine {
    /// An engine that drives nothing yet.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            components: ComponentStore::new(parts.paths.components()),
            plugins: Installations::new(parts.plugins),
            slots: Arc::new(Semaphore::new(parts.options.steps_at_once.max(1))),
            store: parts.store,
            identity: parts.identity,
            secrets: parts.secrets,
            metrics: parts.metrics,
            catalogue: parts.catalogue,
            built_in: parts.built_in,
            tools: parts.tools,
            paths: parts.paths,
            options: parts.options,
            publisher: parts.publisher,
            logs: parts.logs,
            workflows: Mutex::default(),
            active: Mutex::default(),
            idle: Notify::new(),
            leaving: watch::Sender::new(false),
        })
    }

    /// The checked workflow of this text. `name` is what errors call it.
    pub(super) fn compiled(
        &self,
        name: &str,
        text: &str,
        digest: &str,
    ) -> Result<Arc<CompiledWorkflow>, WorkflowError> {
        if let Some(known) = locked(&self.workflows).by_digest.get(digest) {
            return Ok(Arc::clone(known));
        }
        let compiled = Arc::new(CompiledWorkflow::new(name, text)?);
        let mut workflows = locked(&self.workflows);
        if workflows.order.len() >= WORKFLOWS_KEPT
            && let Some(oldest) = workflows.order.pop_front()
        {
            workflows.by_digest.remove(&oldest);
        }
        workflows.order.push_back(digest.to_owned());
        workflows
            .by_digest
            .insert(digest.to_owned(), Arc::clone(&compiled));
        Ok(compiled)
    }

    /// The threads that runs are driven on, where they have some of their own.
    pub(crate) fn threads(&self) -> Option<tokio::runtime::Handle> {
        self.options.threads.clone()
    }

    /// Whether the host is shutting down.
    pub(crate) fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    /// Returns when the host is shutting down.
    pub(crate) async fn left(&self) {
        // An error would mean that the engine is gone, and with it the host.
        self.leaving
            .subscribe()
            .wait_for(|leaving| *leaving)
            .await
            .ok();
    }

    /// Has a run driven that was just read or written, or has its driver look again.
    pub(crate) fn wake(self: &Arc<Self>, run: &str, detail: Option<RunDetail>) {
        if self.is_leaving() {
            return;
        }
        let mailbox = {
            let mut active = locked(&self.active);
            if let Some(mailbox) = active.get(run) {
                mailbox.put();
                return;
            }
            let mailbox = Arc::new(Mailbox::default());
            active.insert(run.to_owned(), Arc::clone(&mailbox));
            mailbox
        };
        let engine = Arc::clone(self);
        let run = run.to_owned();
        let driving = async move {
            let span = tracing::info_span!("run", run);
            engine.drive(&run, &mailbox, detail).instrument(span).await;
            engine.idle.notify_waiters();
        };
        // The run belongs to the trace of the request that woke it, and does not keep the
        // request's own span open, as a child of that span in this process would.
        let driving = driving.with_current_context();
        match &self.options.threads {
            Some(threads) => threads.spawn(driving),
            None => tokio::spawn(driving),
        };
    }

    /// Drives a run until it ends, waits for a person, or the host leaves.
    async fn drive(
        self: &Arc<Self>,
        run: &str,
        mailbox: &Arc<Mailbox>,
        mut detail: Option<RunDetail>,
    ) {
        loop {
            let read = match detail.take() {
                Some(detail) => Ok(detail),
                None => self.store.run_detail(run),
            };
            match read {
                Ok(read) if read.run.state.is_finished() => {}
                Ok(read) => match Driver::new(Arc::clone(self), Arc::clone(mailbox), read) {
                    Ok(driver) => driver.run().await,
                    Err(problem) => driver::park_unreadable(self, run, problem),
                },
                Err(error) => {
                    tracing::error!(run, %error, "a run cannot be read; it is tried again");
                    tokio::time::sleep(REREAD).await;
                    if !self.is_leaving() {
                        continue;
                    }
                }
            }
            // Under the lock, so that a change is seen either here or by a new driver.
            let mut active = locked(&self.active);
            if self.is_leaving() || !mailbox.take() {
                active.remove(run);
                return;
            }
        }
    }

    /// Has every run driven that an earlier host left unfinished and that does not wait
    /// for a person.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub async fn recover(self: &Arc<Self>) -> Result<u64, RunError> {
        let mut after: Option<String> = None;
        let mut recovered = 0_u64;
        loop {
            let batch = self
                .store
                .unfinished_runs(after.as_deref(), RECOVERY_BATCH)?;
            let Some(last) = batch.last() else {
                return Ok(recovered);
            };
            after = Some(last.run.id.clone());
            for detail in batch {
                if waits_for_a_person(&detail) {
                    continue;
                }
                recovered += 1;
                let run = detail.run.id.clone();
                self.wake(&run, Some(detail));
            }
            // Other work of the host goes on between batches.
            tokio::task::yield_now().await;
        }
    }

    /// Stops driving: no attempt begins, those going on have the grace to end, the rest is
    /// interrupted and left to the next host.
    pub async fn leave(&self) {
        // Before any call is dropped: programs go on for the next host.
        self.tools.leave();
        self.leaving.send_replace(true);
        loop {
            let idle = self.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if locked(&self.active).is_empty() {
                break;
            }
            idle.await;
        }
        self.logs.flush().await;
    }

    /// How many runs have a driver.
    pub fn active_runs(&self) -> usize {
        locked(&self.active).len()
    }
}

fn waits_for_a_person(detail: &RunDetail) -> bool {
    matches!(
        detail.run.state,
        RunState::WaitingApproval | RunState::NeedsAttention
    ) && !detail.run.cancel_requested
}
