//! Runs a case where its kind belongs, on the real host.
//!
//! Sources, file systems, inspectors and fixers are run by a whole plan of a migration, with
//! honest plugins of the other kinds; a step is called by itself, with services that refuse.

use crate::cases::{Case, From};
use crate::component;
use async_trait::async_trait;
use cofferdam_capabilities::{LoadedPlugins, load_plugins, runtime};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, Kind, PluginSet, StepServices};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::{
    Artifacts, Begun, Context, Operations, Outbound, OutboundRequest, Secrets, Tools,
};
use cofferdam_contract::types::{Error, ErrorCode, Level, Timestamp, ToolOutcome, ToolRequest};
use cofferdam_disk::CancelFlag;
use cofferdam_orchestrator::MigrateError;
use cofferdam_orchestrator::migration::{Request, Target, plan};
use cofferdam_orchestrator::observer::{Observer, Stage};
use cofferdam_runtime::{Options, PluginFolder, Runtime, embed_manifest};
use cofferdam_tests::{listing, state};
use serde_json::Value;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The size of the disk that is migrated.
const DISK: u64 = 1 << 20;

/// 2026-01-01T00:00:00Z.
pub const NOW: Timestamp = Timestamp {
    seconds: 1_767_225_600,
    nanoseconds: 0,
};

/// What a file outside the source's folder says; no plugin may ever see it.
pub const SECRET: &str = "SECRET";

/// How an attack ended.
#[derive(Debug)]
pub enum Ended {
    /// It was not loaded.
    Refused(String),
    /// A plan was made, or a step gave its output.
    Well,
    /// The call failed.
    Failed(CallError),
    /// The plan was refused for another reason than a failed call.
    NotPlanned(MigrateError),
}

/// Counts what a run is told.
#[derive(Default)]
pub struct Watcher {
    /// Log lines.
    pub lines: AtomicUsize,
    /// Bytes of them.
    pub bytes: AtomicUsize,
}

impl Watcher {
    fn count(&self, message: &str, fields: &[(String, String)]) {
        let in_fields: usize = fields
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        self.lines.fetch_add(1, Ordering::Relaxed);
        self.bytes
            .fetch_add(message.len() + in_fields, Ordering::Relaxed);
    }
}

impl Observer for Watcher {
    fn stage(&self, _: Stage) {}
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, _: &str, _: Level, message: &str, fields: &[(String, String)]) {
        self.count(message, fields);
    }
}

impl Context for Watcher {
    fn run_id(&self) -> String {
        "siege".to_owned()
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn now(&self) -> Timestamp {
        NOW
    }
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, _: &str, _: Level, message: &str, fields: &[(String, String)]) {
        self.count(message, fields);
    }
}

/// Stands behind everything that a step could be granted, and was not.
struct Refusing;

impl Refusing {
    fn refuse<T>() -> Result<T, Error> {
        Err(Error::new(ErrorCode::Denied, "nothing was granted"))
    }
}

#[async_trait]
impl Tools for Refusing {
    async fn run(&self, _: ToolRequest) -> Result<ToolOutcome, Error> {
        Self::refuse()
    }
    async fn keep(&self, _: &str, _: &str) -> Result<String, Error> {
        Self::refuse()
    }
}

#[async_trait]
impl Secrets for Refusing {
    async fn get(&self, _: &str) -> Result<Vec<u8>, Error> {
        Self::refuse()
    }
}

impl Outbound for Refusing {
    fn request(&self, _: &OutboundRequest) -> Result<(), Error> {
        Self::refuse()
    }
    fn address(&self, _: &str, _: IpAddr) -> Result<(), Error> {
        Self::refuse()
    }
}

#[async_trait]
impl Operations for Refusing {
    async fn begin(&self, _: &str, _: Value) -> Result<Begun, Error> {
        Self::refuse()
    }
    async fn finish(&self, _: &str, _: Value) -> Result<(), Error> {
        Self::refuse()
    }
    async fn lost(&self, _: &str) -> Result<(), Error> {
        Self::refuse()
    }
}

#[async_trait]
impl Artifacts for Refusing {
    async fn path(&self, _: &str) -> Result<PathBuf, Error> {
        Self::refuse()
    }
    async fn add(&self, _: &Path, _: &str) -> Result<String, Error> {
        Self::refuse()
    }
}

fn services() -> StepServices {
    StepServices {
        tools: Arc::new(Refusing),
        secrets: Arc::new(Refusing),
        http: Arc::new(Refusing),
        operations: Arc::new(Refusing),
        artifacts: Arc::new(Refusing),
    }
}

/// Writes a plugin's file.
pub fn install(folder: &Path, id: &str, component: &[u8], limits: &[(&str, u32)]) {
    let limits: String = limits
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    let manifest = Manifest::parse(&format!(
        "id = \"{id}\"\nversion = \"0.1.0\"\nsummary = \"a test guest\"\n[limits]\n{limits}"
    ))
    .unwrap();
    let bytes = embed_manifest(component, &manifest).unwrap();
    std::fs::write(folder.join(format!("{id}.wasm")), bytes).unwrap();
}

/// The honest plugins by kind and file.
const HONEST: [(Kind, &str); 6] = [
    (Kind::DiskSource, "honest-source"),
    (Kind::Filesystem, "honest-filesystem"),
    (Kind::Inspector, "honest-inspector"),
    (Kind::Fixer, "honest-fixer"),
    (Kind::Fixer, "honest-lister"),
    (Kind::WorkflowStep, "honest-step"),
];

/// A host, and a disk to migrate.
pub struct Ground {
    /// The runtime of all.
    pub runtime: Arc<Runtime>,
    /// Plugins that do what they should.
    pub honest: LoadedPlugins,
    folder: tempfile::TempDir,
    /// Nobody may ever connect to it.
    listener: TcpListener,
}

impl Ground {
    /// Sets it up.
    pub fn new(options: &Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["machine", "outside", "scratch", "honest"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let disk = std::fs::File::create(path("machine/disk.raw")).unwrap();
        disk.set_len(DISK).unwrap();
        std::fs::write(path("outside/secret"), SECRET).unwrap();
        std::os::unix::fs::symlink(path("outside/secret"), path("machine/out")).unwrap();
        std::fs::write(path("machine/plain"), "a plain file").unwrap();
        for (kind, name) in HONEST {
            let component = component::of_fields(kind, &component::text(name, &[]));
            install(&path("honest"), name, &component, &[]);
        }
        let runtime = runtime(options).unwrap();
        let honest = load(&runtime, &path("honest"));
        assert!(honest.refused.is_empty(), "{:?}", honest.refused);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self {
            runtime,
            honest,
            folder,
            listener,
        }
    }

    /// Puts the attack into a folder and loads it.
    /// None where its compiler is missing.
    pub fn load(&self, case: &Case) -> Option<Attack> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hostile.wasm");
        match case.from {
            From::Text(name, values) => {
                let text = component::text(name, values);
                let component = component::of_fields(case.kind, &text);
                install(folder.path(), "hostile", &component, case.limits);
            }
            From::Rust => {
                std::fs::copy(crate::cases::rust_component(), &file).unwrap();
            }
            From::C(name) => {
                let module = crate::cases::compiled_c(name)?;
                let component = component::of_module(case.kind, module);
                install(folder.path(), "hostile", &component, case.limits);
            }
        }
        let plugins = load(&self.runtime, folder.path());
        Some(Attack {
            plugins,
            _folder: folder,
        })
    }

    /// Puts a component before the host.
    pub fn take(&self, component: &[u8]) -> Attack {
        let folder = tempfile::tempdir().unwrap();
        install(folder.path(), "hostile", component, &[]);
        Attack {
            plugins: load(&self.runtime, folder.path()),
            _folder: folder,
        }
    }

    /// Puts a plugin's file before the host.
    pub fn take_file(&self, file: &Path) -> Attack {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(file, folder.path().join("hostile.wasm")).unwrap();
        Attack {
            plugins: load(&self.runtime, folder.path()),
            _folder: folder,
        }
    }

    /// The plugins of a plan: those of `with`, and honest ones where it has none.
    fn set(&self, kind: Kind, with: &PluginSet) -> PluginSet {
        let mut set = self.honest.set.clone();
        let (looks, lists): (Vec<_>, Vec<_>) = set
            .fixers
            .into_iter()
            .partition(|fixer| fixer.manifest().id == "honest-fixer");
        set.fixers = looks;
        match kind {
            Kind::DiskSource => set.sources.clone_from(&with.sources),
            Kind::Filesystem => {
                set.filesystems.clone_from(&with.filesystems);
                set.fixers = lists;
            }
            Kind::Inspector => set.inspectors.clone_from(&with.inspectors),
            Kind::Fixer => set.fixers.clone_from(&with.fixers),
            Kind::WorkflowStep => {}
        }
        set
    }

    /// Runs an attack to its end, once.
    pub async fn run(&self, case: &Case, attack: &Attack, watcher: &Arc<Watcher>) -> Ended {
        let refused = attack.plugins.refused.iter();
        if let Some(refused) = refused.chain(&attack.plugins.ungranted).next() {
            return Ended::Refused(refused.reason.to_string());
        }
        if case.kind == Kind::WorkflowStep {
            return self.run_step(case, attack, watcher).await;
        }
        let disk = self.folder.path().join("machine/disk.raw");
        let before = state(&disk);
        let race = (case.name == "source-race").then(|| Race::begin(self.folder.path()));
        let ended = match plan(&self.request(case.kind, &attack.plugins.set, watcher)).await {
            Ok(_) => Ended::Well,
            Err(MigrateError::Plugin(error)) => Ended::Failed(error),
            Err(other) => Ended::NotPlanned(other),
        };
        drop(race);
        assert_eq!(state(&disk), before, "{}: the source changed", case.name);
        let left = listing(&self.folder.path().join("scratch"));
        assert_eq!(left, [""; 0], "{}: an overlay was left", case.name);
        ended
    }

    /// Runs a step to its end, once.
    pub async fn run_step(&self, case: &Case, attack: &Attack, watcher: &Arc<Watcher>) -> Ended {
        let step = attack.plugins.steps.values().next().unwrap();
        let call = Call {
            context: Arc::clone(watcher) as Arc<dyn Context>,
            settings: "{}".to_owned(),
        };
        let port = self.listener.local_addr().unwrap().port().to_string();
        let input = case.input.replace("PORT", &port);
        match step.execute(call, services(), &input).await {
            Ok(_) => Ended::Well,
            Err(error) => Ended::Failed(error),
        }
    }

    /// Whether somebody connected to the port that attacks are told.
    pub fn was_reached(&self) -> bool {
        self.listener.accept().is_ok()
    }

    fn request(&self, kind: Kind, with: &PluginSet, watcher: &Arc<Watcher>) -> Request {
        let disk = self.folder.path().join("machine/disk.raw");
        Request {
            sources: vec![disk.clone()],
            named: vec![disk],
            target: Target {
                format: "qcow2".to_owned(),
                compression: None,
                disk_bus: "virtio-blk".to_owned(),
                nic_model: "virtio-net".to_owned(),
            },
            plugins: self.set(kind, with),
            settings: std::collections::BTreeMap::default(),
            time: NOW,
            observer: Arc::clone(watcher) as Arc<dyn Observer>,
            cancel: CancelFlag::new(),
            scratch: self.folder.path().join("scratch"),
        }
    }
}

/// An attack that was put before the host.
pub struct Attack {
    /// What the host made of it.
    pub plugins: LoadedPlugins,
    _folder: tempfile::TempDir,
}

impl Attack {
    /// Compiles what can be compiled, which a first call would do.
    pub async fn compile(&self) {
        for code in self.plugins.code.values() {
            // What cannot be is refused to whoever calls it.
            code.load().await.ok();
        }
    }
}

fn load(runtime: &Arc<Runtime>, folder: &Path) -> LoadedPlugins {
    let scan = PluginFolder::scan(&[folder.to_owned()]);
    load_plugins(runtime, scan, &Granted::nothing()).unwrap()
}

/// Makes `machine/raced` a file and a link out of the folder, in turns.
struct Race {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Race {
    fn begin(folder: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, folder) = (Arc::clone(&stop), folder.to_owned());
        let thread = std::thread::spawn(move || {
            let (raced, next) = (folder.join("machine/raced"), folder.join("machine/next"));
            // Once at least: what it races with may be over before this thread is there.
            loop {
                std::fs::write(&next, "a plain file").unwrap();
                std::fs::rename(&next, &raced).unwrap();
                std::os::unix::fs::symlink("../outside/secret", &next).unwrap();
                std::fs::rename(&next, &raced).unwrap();
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
            }
            std::fs::remove_file(raced).unwrap();
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Race {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
