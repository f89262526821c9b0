//! A host in this process: for as long as a command takes, or for good as `serve`.
//!
//! One host at a time has the state folder: it holds a lock on `host.lock`, which the
//! kernel lets go of however the process ends. One that carries on runs answers at
//! `host.sock`, so that other commands on the same folder are its clients. One that only
//! answers a command is gone in a moment: it takes no clients, whose runs it would leave,
//! and others wait for it.

use super::{catalogue, grants, natives, plugins, state, unmatched};
use crate::cli::Global;
use crate::client::Ask;
use crate::client::session::Engine;
use crate::client::transport::Transport;
use crate::config::Config;
use crate::telemetry;
use anyhow::{Context, Result, bail};
use axum::Router;
use axum::middleware::from_fn;
use cofferdam_api::serve::{ListenOptions, Listeners, ServeError, ServeOptions};
use cofferdam_api::{ApiOptions, LocalActor};
use cofferdam_orchestrator::metrics::Metrics;
use cofferdam_orchestrator::paths::StatePaths;
use cofferdam_orchestrator::plugins::{CallWatch, PluginOptions};
use cofferdam_orchestrator::{FileLock, OpenError, Options, Orchestrator};
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a folder is looked at that another process holds, and how long between looks.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(100);

/// What became of opening the state folder.
pub enum Opening {
    /// This process is the host.
    Host(Box<Embedded>),
    /// Another process is.
    Held {
        /// Where it answers.
        socket: PathBuf,
        /// The way to it, which was tried.
        transport: Transport,
    },
}

/// What a host in this process does.
pub struct HostOptions {
    /// Whether it carries on runs.
    pub engine: Engine,
    /// What it listens on beside the socket, if it carries on runs.
    pub listen: ListenOptions,
    /// Limits of the API.
    pub api: ApiOptions,
}

/// A host in this process.
pub struct Embedded {
    orchestrator: Arc<Orchestrator>,
    router: Router,
    addresses: Vec<SocketAddr>,
    served: Option<Served>,
}

/// What stops the API on its sockets, and its end.
type Served = (oneshot::Sender<()>, JoinHandle<Result<(), ServeError>>);

impl Embedded {
    /// A host for one command.
    pub async fn open(global: &Global, config: &Config, engine: Engine) -> Result<Opening> {
        let options = HostOptions {
            engine,
            listen: ListenOptions::default(),
            api: ApiOptions {
                // Whoever has the state folder has the files too.
                file_roots: vec![PathBuf::from("/")],
                ..ApiOptions::default()
            },
        };
        Self::open_with(global, config, options).await
    }

    /// A host, or where another one is. Whoever holds the folder and does not answer is
    /// about to: it starts, it leaves, or it is a command that will soon be done.
    pub async fn open_with(
        global: &Global,
        config: &Config,
        options: HostOptions,
    ) -> Result<Opening> {
        let paths = StatePaths::new(state::state_folder(global, config)?);
        let socket = paths.host_socket();
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(transport) = answering(&socket).await {
                return Ok(Opening::Held { socket, transport });
            }
            // Spares loading the plugins in vain.
            if !FileLock::is_held(&paths.host_lock()) {
                match orchestrator(global, config, &paths, &options.api)? {
                    Ok(orchestrator) => {
                        if options.engine == Engine::Working && !config.plugins.is_empty() {
                            unmatched::tell(config, &known(&orchestrator)?);
                        }
                        let host = Self::with(orchestrator, options).await?;
                        return Ok(Opening::Host(Box::new(host)));
                    }
                    Err(OpenError::InUse(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            tokio::time::sleep(BETWEEN).await;
        }
        bail!(
            "another host holds the state folder {} and does not answer; is it hanging? `cofferdam doctor` looks",
            paths.root().display()
        )
    }

    async fn with(orchestrator: Arc<Orchestrator>, options: HostOptions) -> Result<Self> {
        let api = cofferdam_api::router(Arc::clone(&orchestrator), options.api)
            .layer(from_fn(telemetry::propagated));
        let mut addresses = Vec::new();
        let mut served = None;
        if options.engine == Engine::Working {
            let listeners = Listeners::bind(ListenOptions {
                socket: Some(orchestrator.paths.host_socket()),
                local_user: Some(local_user()),
                ..options.listen
            })
            .await?;
            addresses = listeners.addresses();
            orchestrator.start_engine().await?;
            let (stop, stopped) = oneshot::channel();
            let serving = cofferdam_api::serve::serve(
                listeners,
                api.clone(),
                ServeOptions::default(),
                async move {
                    // Dropped or told: both mean to stop.
                    let _ = stopped.await;
                },
            );
            served = Some((stop, tokio::spawn(serving)));
        }
        let local = LocalActor::new(Some(local_user()));
        Ok(Self {
            orchestrator,
            router: api.layer(axum::Extension(local)),
            addresses,
            served,
        })
    }

    /// The API for callers in this process, who are the owner of the state folder.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The host's facade.
    pub fn orchestrator(&self) -> &Arc<Orchestrator> {
        &self.orchestrator
    }

    /// The addresses listened on, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops answering, then stops the engine: unfinished runs are left so that the next
    /// host carries them on.
    pub async fn close(self) {
        if let Some((stop, served)) = self.served {
            // It has ended by itself if nobody listens.
            let _ = stop.send(());
            match served.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the API ended early"),
                Err(error) => tracing::error!(%error, "the API ended early"),
            }
        }
        self.orchestrator.shutdown().await;
    }
}

/// The way to the host that answers there. That something listens is not enough: a program
/// that a killed host was just starting has its socket until it is executed.
async fn answering(socket: &Path) -> Option<Transport> {
    // A client is made only where there is somebody to ask.
    UnixStream::connect(socket).await.ok()?;
    let transport = Transport::socket(socket).ok()?;
    let asked = transport.send(Ask::get("/health/live"));
    let answered = tokio::time::timeout(PATIENCE, asked).await;
    matches!(answered, Ok(Ok(_))).then_some(transport)
}

/// The facade over the plugins; the inner error is why the state cannot be opened.
fn orchestrator(
    global: &Global,
    config: &Config,
    paths: &StatePaths,
    api: &ApiOptions,
) -> Result<Result<Arc<Orchestrator>, OpenError>> {
    let metrics = Arc::new(Metrics::new());
    let watch = CallWatch::new(config.crash_policies());
    let observer = Arc::clone(&metrics) as _;
    let live = Arc::new(plugins::load(global, config, Arc::clone(&watch), observer)?);
    let roots = api.file_roots.clone();
    let threads = live.threads();
    let (natives, reach) = natives::steps(&live, config, paths, roots)?;
    for refused in &live.refused {
        tracing::warn!(file = %refused.path.display(), reason = %refused.reason, "a plugin is refused");
    }
    for ungranted in &live.ungranted {
        tracing::info!(file = %ungranted.path.display(), reason = %ungranted.reason, "a plugin has no grant");
    }
    let catalogue = Arc::new(catalogue::Plugins::new(live, natives, config)?);
    let mut options = Options::new(paths.root());
    options.secret_key.clone_from(&config.secret_key);
    options.redactor = telemetry::redactor().clone();
    options.metrics = metrics;
    options.grants = grants::scopes(config)?;
    options.plugins = Some(PluginOptions {
        host: Arc::clone(&catalogue) as _,
        watch,
        grants: config.plugin_grants(),
    });
    options.engine.file_roots.clone_from(&api.file_roots);
    options.engine.threads = Some(threads);
    options.built_in = natives::workflows();
    if let Some(steps) = config.max_steps {
        options.engine.steps_at_once = steps;
    }
    let opened = Orchestrator::open(options, catalogue);
    if let Ok(host) = &opened {
        reach.look_in(host.store.clone());
    }
    Ok(opened)
}

/// The ids that a configuration may be about.
fn known(orchestrator: &Orchestrator) -> Result<unmatched::Known> {
    let catalogue = &orchestrator.catalogue;
    let installed = orchestrator.plugins.list()?.into_iter();
    Ok(unmatched::known(
        catalogue.list(),
        catalogue.refused(),
        installed.map(|plugin| (plugin.id, Some(plugin.kind))),
    ))
}

/// The lock of a state folder that no host may have meanwhile.
pub fn exclusive(paths: &StatePaths) -> Result<FileLock> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(paths.root())
        .with_context(|| format!("cannot make {}", paths.root().display()))?;
    let path = paths.host_lock();
    FileLock::open(&path)
        .with_context(|| format!("cannot lock {}", path.display()))?
        .with_context(|| {
            format!(
                "a host has the state folder {}; stop it first",
                paths.root().display()
            )
        })
}

/// The name of the account, for the audit log.
fn local_user() -> String {
    ["USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid-{}", rustix::process::geteuid().as_raw()))
}
