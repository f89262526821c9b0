//! The host's heart: everything that the API and the command line use, in one place.

use crate::catalogue::{BuiltInWorkflow, Catalogue};
use crate::filelock::FileLock;
use crate::identity::Identity;
use crate::metrics::{Metrics, Standing};
use crate::paths::StatePaths;
use crate::plugins::{self, PluginOptions, PluginRegistry};
use crate::redact::Redactor;
use crate::runs::engine::{Engine, Parts};
use crate::runs::log::{self, LogWriter};
use crate::runs::notice::Publisher;
use crate::runs::{EngineOptions, RunError, Runs};
use crate::secrets::SecretKeeper;
use crate::tool::{Grants, ToolHost};
use cofferdam_store::{
    ApprovalFilter, ApprovalState, Durability, IdempotencyKey, PageRequest, Store,
};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// What a host is made of.
pub struct Options {
    /// The state folder; made where there is none, mode 0700.
    pub state: PathBuf,
    /// The key file of the secrets, where the operator has their own.
    pub secret_key: Option<PathBuf>,
    /// What the operator granted to plugins.
    pub grants: Grants,
    /// The binary that has the command `supervise`; as a rule this one.
    pub supervisor: PathBuf,
    /// The workflows that are part of the program.
    pub built_in: Vec<BuiltInWorkflow>,
    /// How the engine behaves.
    pub engine: EngineOptions,
    /// What takes secrets out of the host's own logs.
    pub redactor: Redactor,
    /// What is counted; shared with what else counts.
    pub metrics: Arc<Metrics>,
    /// What it needs to install plugins; without it nothing can be installed.
    pub plugins: Option<PluginOptions>,
}

impl Options {
    /// A host with the state folder at `state`, no grants and no workflows of its own.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            secret_key: None,
            grants: Grants::default(),
            supervisor: std::env::current_exe().unwrap_or_default(),
            built_in: Vec::new(),
            engine: EngineOptions::default(),
            redactor: Redactor::new(),
            metrics: Arc::new(Metrics::new()),
            plugins: None,
        }
    }
}

/// Why a host cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another host uses the state folder.
    #[error(
        "another host uses the state folder {}; stop it, talk to it with --server, or use another folder with --state",
        .0.display()
    )]
    InUse(PathBuf),
    /// The state folder cannot be used.
    #[error(
        "the state folder {} cannot be used: {error}; make it writable for this user, or use another folder with --state",
        path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] cofferdam_store::StoreError),
}

/// A host.
pub struct Orchestrator {
    /// Runs.
    pub runs: Runs,
    /// Who may do what.
    pub identity: Identity,
    /// Secrets.
    pub secrets: SecretKeeper,
    /// Installed plugins.
    pub plugins: PluginRegistry,
    /// The store.
    pub store: Store,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The state folder.
    pub paths: StatePaths,
    /// Where steps come from.
    pub catalogue: Arc<dyn Catalogue>,
    engine: Arc<Engine>,
    publisher: Arc<Publisher>,
    writer: Mutex<Option<LogWriter>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as this host uses the folder.
    _lock: FileLock,
}

impl std::fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orchestrator")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// Opens the state folder. No run goes on before [`start_engine`](Self::start_engine).
    /// Blocks.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(options: Options, catalogue: Arc<dyn Catalogue>) -> Result<Arc<Self>, OpenError> {
        let paths = StatePaths::new(prepare(&options.state)?);
        let lock = lock(&paths)?;
        let store = Store::open(paths.database())?;
        let identity = Identity::new(store.clone());
        let key = options.secret_key.unwrap_or_else(|| paths.secret_key());
        let secrets = SecretKeeper::new(store.clone(), identity.clone(), key, options.redactor);
        secrets.recall()?;
        let metrics = options.metrics;
        let counted = Arc::clone(&metrics);
        store.observe_writes(move |durability, took| {
            let durability = match durability {
                Durability::Process => "process",
                Durability::Power => "power",
            };
            counted.store_write(durability, took);
        });
        let publisher = Arc::new(Publisher::new());
        let (logs, writer) = log::queue();
        let engine = Engine::new(Parts {
            store: store.clone(),
            identity: identity.clone(),
            secrets: secrets.clone(),
            metrics: Arc::clone(&metrics),
            catalogue: Arc::clone(&catalogue),
            built_in: options.built_in,
            plugins: options.plugins,
            tools: ToolHost::new(options.supervisor, paths.operations(), options.grants),
            paths: paths.clone(),
            options: options.engine,
            publisher: Arc::clone(&publisher),
            logs,
        });
        engine.plugins.restore(&engine.store, &engine.components)?;
        plugins::attend(&engine);
        Ok(Arc::new(Self {
            runs: Runs::new(Arc::clone(&engine)),
            plugins: PluginRegistry::new(Arc::clone(&engine)),
            identity,
            secrets,
            store,
            metrics,
            paths,
            catalogue,
            engine,
            publisher,
            writer: Mutex::new(Some(writer)),
            tasks: Mutex::default(),
            _lock: lock,
        }))
    }

    /// Lets runs go on: first those that an earlier host left. Returns when they all have a
    /// driver; says how many that are. Called once, in a tokio runtime.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub async fn start_engine(&self) -> Result<u64, RunError> {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            let (store, publisher) = (self.store.clone(), Arc::clone(&self.publisher));
            let logs = tokio::spawn(writer.run(store, publisher));
            let (store, publisher) = (self.store.clone(), Arc::clone(&self.publisher));
            let events = tokio::spawn(async move { publisher.tell_events(&store).await });
            self.tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend([logs, events]);
        }
        self.engine.recover().await
    }

    /// Ends the host's work: no attempt begins, those going on have a moment to end, and
    /// all runs are left so that the next host goes on with them.
    pub async fn shutdown(&self) {
        // Where no engine was started nobody writes log lines, and none is waited for.
        drop(
            self.writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        self.engine.leave().await;
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
        }
    }

    /// What the metrics say of what the store holds.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub fn standing(&self) -> Result<Standing, RunError> {
        let runs = self.store.run_counts()?;
        Ok(Standing {
            runs: runs
                .into_iter()
                .map(|(state, count)| (state.to_string(), count))
                .collect(),
            approvals_waiting: self.approvals_waiting()?,
        })
    }

    /// Whether the host can take work: its engine was started and is not leaving, and its
    /// database can be written. Blocks.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn ready(&self) -> Result<(), String> {
        let started = !self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty();
        if !started {
            return Err("the engine is not running".to_owned());
        }
        if self.engine.is_leaving() {
            return Err("the host is shutting down".to_owned());
        }
        // A claim that nobody else makes, given up at once: nothing else is written without
        // leaving a trace.
        let key = IdempotencyKey {
            actor: String::new(),
            key: "ready".to_owned(),
        };
        self.store
            .claim_request(&key, "ready", "")
            .and_then(|_| self.store.release_request(&key))
            .map_err(|error| error.to_string())
    }

    fn approvals_waiting(&self) -> Result<u64, RunError> {
        let filter = ApprovalFilter {
            state: Some(ApprovalState::Pending),
            ..ApprovalFilter::default()
        };
        let mut page = PageRequest {
            limit: cofferdam_store::PAGE_LIMIT,
            cursor: None,
        };
        let mut waiting = 0_u64;
        loop {
            let found = self.store.approvals(&filter, &page)?;
            waiting = waiting.saturating_add(u64::try_from(found.items.len()).unwrap_or(0));
            match found.next {
                Some(next) => page.cursor = Some(next),
                None => return Ok(waiting),
            }
        }
    }
}

/// The folder, made where there is none; only its owner may look into it.
fn prepare(path: &Path) -> Result<PathBuf, OpenError> {
    let failed = |error| OpenError::Folder {
        path: path.to_owned(),
        error,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(failed)?;
    let open = std::fs::metadata(path).map_err(failed)?.permissions();
    if open.mode() & 0o077 != 0 {
        // Secrets, logs and sockets are in it.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).map_err(failed)?;
    }
    path.canonicalize().map_err(failed)
}

fn lock(paths: &StatePaths) -> Result<FileLock, OpenError> {
    let failed = |error| OpenError::Folder {
        path: paths.root().to_owned(),
        error,
    };
    FileLock::open(&paths.host_lock())
        .map_err(failed)?
        .ok_or_else(|| OpenError::InUse(paths.root().to_owned()))
}
