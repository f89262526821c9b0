//! A guest in memory, a run that keeps its log, and plugins that are closures.

use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::{Call, Fixer, FixerGuest, Plugin, StepServices, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::{
    Artifacts, Begun, Context, Edits, Facts, Operations, Outbound, OutboundRequest, Secrets, Tools,
    View,
};
use cofferdam_contract::types::{
    Attributes, Error, ErrorCode, Level, Metadata, OperatingSystem, Page, Severity, Space,
    StepPlan, TargetMachine, Timestamp, ToolOutcome, ToolRequest,
};
use cofferdam_filters::{FilterConfig, Filters, Redact};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Finds nothing.
pub struct NoOther;

impl Redact for NoOther {
    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(text)
    }
}

/// Filters of the plugin `p`, from what a configuration would say.
pub fn filters(text: &str) -> Filters {
    read(text).unwrap()
}

pub fn read(text: &str) -> Result<Filters, cofferdam_filters::FilterError> {
    #[derive(serde::Deserialize)]
    struct Listed {
        filters: Vec<FilterConfig>,
    }
    let listed: Listed = toml::from_str(text).unwrap();
    let redact: Arc<dyn Redact> = Arc::new(NoOther);
    Filters::from_config([("p", listed.filters.as_slice())], &redact)
}

/// A filter `record` or `replay` with a path.
pub fn at(filter: &str, key: &str, path: &Path) -> String {
    format!("[[filters]]\nfilter = \"{filter}\"\n{key} = {:?}\n", path)
}

#[derive(Default)]
pub struct Run {
    pub cancelled: AtomicBool,
    pub clock: AtomicI64,
    pub lines: Mutex<Vec<(String, BTreeMap<String, String>)>>,
}

impl Context for Run {
    fn run_id(&self) -> String {
        "run-1".to_owned()
    }
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
    fn now(&self) -> Timestamp {
        Timestamp {
            seconds: self.clock.fetch_add(1, Ordering::Relaxed),
            nanoseconds: 0,
        }
    }
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, plugin: &str, _: Level, message: &str, fields: &[(String, String)]) {
        assert_eq!(plugin, "p");
        let fields = fields.iter().cloned().collect();
        self.lines
            .lock()
            .unwrap()
            .push((message.to_owned(), fields));
    }
}

impl Run {
    pub fn messages(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|(message, _)| message.clone()).collect()
    }
}

pub fn call(run: &Arc<Run>) -> Call {
    Call {
        context: Arc::clone(run) as Arc<dyn Context>,
        settings: "{\"mode\":\"all\"}".to_owned(),
    }
}

/// A guest's files; edits show at once.
#[derive(Default)]
pub struct Guest(pub Mutex<BTreeMap<String, Vec<u8>>>);

impl Guest {
    pub fn of(files: &[(&str, &str)]) -> Arc<Self> {
        let files = files.iter();
        let files = files.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
        Arc::new(Self(Mutex::new(files.collect())))
    }

    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.0.lock().unwrap()[path].clone()).unwrap()
    }
}

pub fn unsupported<T>() -> Result<T, Error> {
    Err(Error::new(ErrorCode::Unsupported, "not in this double"))
}

#[async_trait]
impl View for Guest {
    async fn stat(&self, _: &str, _: bool) -> Result<Metadata, Error> {
        unsupported()
    }
    async fn list_directory(&self, _: &str, _: &str, _: u32) -> Result<Page, Error> {
        unsupported()
    }
    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let files = self.0.lock().unwrap();
        let content = files.get(path).ok_or_else(|| Error::not_found(path))?;
        let wanted = content.iter().skip(usize::try_from(offset).unwrap());
        Ok(wanted.take(length as usize).copied().collect())
    }
    async fn read_link(&self, _: &str) -> Result<String, Error> {
        unsupported()
    }
    async fn list_xattrs(&self, _: &str) -> Result<Vec<String>, Error> {
        Ok(vec!["user.a".to_owned()])
    }
    async fn get_xattr(&self, _: &str, _: &str) -> Result<Vec<u8>, Error> {
        Ok(vec![0xff, 0])
    }
    async fn free_space(&self, _: &str) -> Result<Space, Error> {
        unsupported()
    }
}

#[async_trait]
impl Edits for Guest {
    async fn write(&self, path: &str, content: Vec<u8>, _: &str) -> Result<(), Error> {
        self.0.lock().unwrap().insert(path.to_owned(), content);
        Ok(())
    }
    async fn create(&self, _: &str, _: Vec<u8>, _: Attributes, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn append(&self, _: &str, _: Vec<u8>, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn patch(&self, _: &str, _: u64, _: Vec<u8>, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn copy(&self, _: &str, _: &str, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn make_directory(&self, _: &str, _: Attributes, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn rename(&self, _: &str, _: &str, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn remove(&self, path: &str, _: &str) -> Result<(), Error> {
        let removed = self.0.lock().unwrap().remove(path);
        removed.map(|_| ()).ok_or_else(|| Error::not_found(path))
    }
    async fn symlink(&self, _: &str, _: &str, _: Attributes, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn link(&self, _: &str, _: &str, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn set_mode(&self, _: &str, _: u32, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn set_owner(&self, _: &str, _: u32, _: u32, _: &str) -> Result<(), Error> {
        unsupported()
    }
    async fn set_xattr(&self, _: &str, _: &str, _: Option<Vec<u8>>, _: &str) -> Result<(), Error> {
        unsupported()
    }
    fn note(&self, _: Severity, _: &str) -> Result<(), Error> {
        Ok(())
    }
}

pub fn facts(firmware: &str) -> Facts {
    let text = String::new;
    Facts {
        operating_system: OperatingSystem {
            kind: "linux".to_owned(),
            distribution: "debian".to_owned(),
            version: "12".to_owned(),
            name: text(),
            architecture: text(),
        },
        devices: Vec::new(),
        mounts: Vec::new(),
        kernels: Vec::new(),
        nics: Vec::new(),
        firmware: firmware.to_owned(),
        target: TargetMachine {
            disk_bus: text(),
            nic_model: text(),
        },
        other: BTreeMap::new(),
    }
}

pub fn fixer_guest(guest: &Arc<Guest>) -> FixerGuest {
    FixerGuest {
        view: Arc::clone(guest) as Arc<dyn View>,
        facts: Arc::new(facts("bios")),
        edits: Arc::clone(guest) as Arc<dyn Edits>,
    }
}

/// The plugin `p`.
pub struct Double {
    pub manifest: Manifest,
    pub digest: String,
}

impl Double {
    pub fn new(digest: &str) -> Self {
        let text = "id = \"p\"\nversion = \"0.1.0\"\nsummary = \"a double\"\n";
        Self {
            manifest: Manifest::parse(text).unwrap(),
            digest: digest.to_owned(),
        }
    }
}

pub fn returned(function: &str, error: Error) -> CallError {
    CallError::Returned {
        callee: Callee {
            plugin: "p".to_owned(),
            call: function.to_owned(),
        },
        error,
    }
}

macro_rules! is_plugin {
    ($($type:ty),*) => {$(
        impl Plugin for $type {
            fn manifest(&self) -> &Manifest {
                &self.double().manifest
            }
            fn digest(&self) -> &str {
                &self.double().digest
            }
        }
    )*};
}

type Fixing = dyn Fn(Call, FixerGuest) -> Answering<'static, Result<(), CallError>> + Send + Sync;

pub struct FixWith(pub Double, pub Box<Fixing>);

impl FixWith {
    fn double(&self) -> &Double {
        &self.0
    }
}

/// A fixer of this digest that does this.
pub fn fixer<F, R>(digest: &str, fix: F) -> Arc<dyn Fixer>
where
    F: Fn(Call, FixerGuest) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), CallError>> + Send + 'static,
{
    let fix = move |call, guest| Box::pin(fix(call, guest)) as Answering<'static, _>;
    Arc::new(FixWith(Double::new(digest), Box::new(fix)))
}

#[async_trait]
impl Fixer for FixWith {
    async fn fix(&self, call: Call, guest: FixerGuest) -> Result<(), CallError> {
        (self.1)(call, guest).await
    }
}

type Stepping = dyn Fn(Call, StepServices, String) -> Answering<'static, Result<String, CallError>>
    + Send
    + Sync;

pub struct StepWith(pub Double, pub Box<Stepping>);

impl StepWith {
    fn double(&self) -> &Double {
        &self.0
    }
}

/// A step of this digest that does this in `execute`.
pub fn step<F, R>(digest: &str, execute: F) -> Arc<dyn WorkflowStep>
where
    F: Fn(Call, StepServices, String) -> R + Send + Sync + 'static,
    R: Future<Output = Result<String, CallError>> + Send + 'static,
{
    let execute = move |call, services, input| {
        Box::pin(execute(call, services, input)) as Answering<'static, _>
    };
    Arc::new(StepWith(Double::new(digest), Box::new(execute)))
}

#[async_trait]
impl WorkflowStep for StepWith {
    async fn validate(&self, _: Call, _: StepServices, input: &str) -> Result<(), CallError> {
        if input == "wrong" {
            return Err(returned("validate", Error::invalid("wrong")));
        }
        Ok(())
    }
    async fn plan(&self, _: Call, _: StepServices, input: &str) -> Result<StepPlan, CallError> {
        Ok(StepPlan {
            summary: format!("does {input}"),
            changes: Vec::new(),
        })
    }
    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError> {
        (self.1)(call, services, input.to_owned()).await
    }
    async fn compensate(
        &self,
        _: Call,
        _: StepServices,
        _: &str,
        _: Option<&str>,
    ) -> Result<(), CallError> {
        Ok(())
    }
}

/// Services of a step: programs echo their first argument, secrets have one value.
#[derive(Default)]
pub struct Outside {
    pub runs: Mutex<Vec<ToolRequest>>,
}

pub const SECRET: &str = "hunter2-hunter2";

#[async_trait]
impl Tools for Outside {
    async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        let tail = format!("{:?}", request.arguments);
        self.runs.lock().unwrap().push(request);
        Ok(ToolOutcome {
            exit: Some(0),
            signal: None,
            matched: None,
            timed_out: false,
            output_bytes: tail.len() as u64,
            tail,
        })
    }
    async fn keep(&self, _: &str, name: &str) -> Result<String, Error> {
        Ok(format!("artifact:s/{name}"))
    }
}

#[async_trait]
impl Secrets for Outside {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        if name == "db" {
            return Ok(SECRET.as_bytes().to_vec());
        }
        Err(Error::new(ErrorCode::Denied, "not granted"))
    }
}

impl Outbound for Outside {
    fn request(&self, request: &OutboundRequest) -> Result<(), Error> {
        if request.host == "forbidden" {
            return Err(Error::new(ErrorCode::Denied, "not granted"));
        }
        Ok(())
    }
    fn address(&self, _: &str, _: IpAddr) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Operations for Outside {
    async fn begin(&self, _: &str, _: Value) -> Result<Begun, Error> {
        unsupported()
    }
    async fn finish(&self, _: &str, _: Value) -> Result<(), Error> {
        unsupported()
    }
    async fn lost(&self, _: &str) -> Result<(), Error> {
        unsupported()
    }
}

#[async_trait]
impl Artifacts for Outside {
    async fn path(&self, _: &str) -> Result<PathBuf, Error> {
        unsupported()
    }
    async fn add(&self, _: &Path, _: &str) -> Result<String, Error> {
        unsupported()
    }
}

pub fn services(outside: &Arc<Outside>) -> StepServices {
    StepServices {
        tools: Arc::clone(outside) as Arc<dyn Tools>,
        secrets: Arc::clone(outside) as Arc<dyn Secrets>,
        http: Arc::clone(outside) as Arc<dyn Outbound>,
        operations: Arc::clone(outside) as Arc<dyn Operations>,
        artifacts: Arc::clone(outside) as Arc<dyn Artifacts>,
    }
}

is_plugin!(FixWith, StepWith);

/// The files of a folder, by name.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
