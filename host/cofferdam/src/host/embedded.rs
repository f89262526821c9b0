//! A host in this process: for as long as a command takes, or for good as `serve`.
//!
//! One host at a time has the state folder: it holds a lock on `host.lock`, which the
//! kernel lets go of however the process ends. While it is there it answers at `host.sock`,
//! so that other commands on the same folder are its clients.

use super::{catalogue, grants, natives, plugins, state};
use crate::cli::Global;
use crate::client::session::Engine;
use crate::config::Config;
use crate::telemetry;
use anyhow::{Context, Result, bail};
use axum::Router;
use axum::middleware::from_fn;
use cofferdam_api::serve::{ListenOptions, Listeners, ServeError, ServeOptions};
use cofferdam_api::{ApiOptions, LocalActor};
use cofferdam_orchestrator::catalogue::Catalogue;
use cofferdam_orchestrator::paths::StatePaths;
use cofferdam_orchestrator::{OpenError, Options, Orchestrator};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What became of opening the state folder.
pub enum Opening {
    /// This process is the host.
    Host(Box<Embedded>),
    /// Another process is.
    Held {
        /// Where it answers.
        socket: PathBuf,
    },
}

/// What a host in this process does.
pub struct HostOptions {
    /// Whether it carries on runs.
    pub engine: Engine,
    /// What it listens on beside the socket.
    pub listen: ListenOptions,
    /// Limits of the API.
    pub api: ApiOptions,
}

/// A host in this process.
pub struct Embedded {
    orchestrator: Arc<Orchestrator>,
    router: Router,
    addresses: Vec<SocketAddr>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

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

    /// A host, or where another one is.
    pub async fn open_with(
        global: &Global,
        config: &Config,
        options: HostOptions,
    ) -> Result<Opening> {
        let paths = StatePaths::new(state::state_folder(global, config)?);
        let held = || Opening::Held {
            socket: paths.host_socket(),
        };
        // Spares loading the plugins when there is a host already.
        if UnixStream::connect(paths.host_socket()).await.is_ok() {
            return Ok(held());
        }
        let orchestrator = match orchestrator(global, config, &paths, &options.api)? {
            Ok(orchestrator) => orchestrator,
            Err(OpenError::InUse(_)) => return Ok(held()),
            Err(error) => return Err(error.into()),
        };
        let listeners = Listeners::bind(ListenOptions {
            socket: Some(paths.host_socket()),
            local_user: Some(local_user()),
            ..options.listen
        })
        .await?;
        let addresses = listeners.addresses();
        if options.engine == Engine::Working {
            orchestrator.start_engine().await?;
        }
        let api = cofferdam_api::router(Arc::clone(&orchestrator), options.api)
            .layer(from_fn(telemetry::propagated));
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(cofferdam_api::serve::serve(
            listeners,
            api.clone(),
            ServeOptions::default(),
            async move {
                // Dropped or told: both mean to stop.
                let _ = stopped.await;
            },
        ));
        let local = LocalActor::new(Some(local_user()));
        Ok(Opening::Host(Box::new(Self {
            orchestrator,
            router: api.layer(axum::Extension(local)),
            addresses,
            stop,
            served,
        })))
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
        // It has ended by itself if nobody listens.
        let _ = self.stop.send(());
        match self.served.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the API ended early"),
            Err(error) => tracing::error!(%error, "the API ended early"),
        }
        self.orchestrator.shutdown().await;
    }
}

/// The facade over the plugins; the inner error is why the state cannot be opened.
fn orchestrator(
    global: &Global,
    config: &Config,
    paths: &StatePaths,
    api: &ApiOptions,
) -> Result<Result<Arc<Orchestrator>, OpenError>> {
    let granted = grants::interfaces(config);
    let loaded = plugins::load_granted(global, config, &granted)?;
    let roots = api.file_roots.clone();
    let (natives, reach) = natives::steps(&loaded, config, paths, roots)?;
    let plugins::Loaded { runtime, plugins } = loaded;
    for refused in &plugins.refused {
        tracing::warn!(file = %refused.path.display(), reason = %refused.reason, "a plugin is refused");
    }
    for ungranted in &plugins.ungranted {
        tracing::info!(file = %ungranted.path.display(), reason = %ungranted.reason, "a plugin has no grant");
    }
    let catalogue: Arc<dyn Catalogue> = Arc::new(catalogue::Plugins::new(
        runtime, plugins, natives, granted, config,
    )?);
    let mut options = Options::new(paths.root());
    options.secret_key.clone_from(&config.secret_key);
    options.redactor = telemetry::redactor().clone();
    options.grants = grants::scopes(config)?;
    options.engine.file_roots.clone_from(&api.file_roots);
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

/// The lock of a state folder that no host may have meanwhile.
pub fn exclusive(paths: &StatePaths) -> Result<File> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(paths.root())
        .with_context(|| format!("cannot make {}", paths.root().display()))?;
    let path = paths.host_lock();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "a host has the state folder {}; stop it first",
            paths.root().display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// The name of the account, for the audit log.
fn local_user() -> String {
    ["USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| format!("uid-{}", rustix::process::geteuid().as_raw()))
}
