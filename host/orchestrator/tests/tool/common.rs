//! A step with programs, and journals and artifacts that are files, so that a second host
//! process finds what the first one left.

use async_trait::async_trait;
use cofferdam_contract::services::{Artifacts, Begun, Operations, Tools};
use cofferdam_contract::types::{
    ArtifactArgument, Error, ErrorCode, ToolArgument, ToolOutcome, ToolRequest,
};
use cofferdam_orchestrator::redact::Redactor;
use cofferdam_orchestrator::tool::{Grants, PluginGrants, ToolHost, ToolRunner};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long to wait for what has to happen before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A journal of one step in a folder: survives its process.
pub struct Journal {
    folder: PathBuf,
    one: Mutex<()>,
}

impl Journal {
    pub fn new(folder: PathBuf) -> Arc<Self> {
        std::fs::create_dir_all(&folder).unwrap();
        Arc::new(Self {
            folder,
            one: Mutex::new(()),
        })
    }

    pub fn entry(&self, name: &str) -> Option<Value> {
        let text = std::fs::read_to_string(self.folder.join(name)).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    fn write(&self, name: &str, entry: &Value) {
        let mut part = tempfile::NamedTempFile::new_in(&self.folder).unwrap();
        part.write_all(entry.to_string().as_bytes()).unwrap();
        part.persist(self.folder.join(name)).unwrap();
    }

    fn change(&self, name: &str, key: &str, value: Value) {
        let _one = self.one.lock().unwrap();
        let mut entry = self.entry(name).unwrap();
        entry[key] = value;
        self.write(name, &entry);
    }

    pub fn is_lost(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry["lost"] == true)
    }
}

#[async_trait]
impl Operations for Journal {
    async fn begin(&self, name: &str, request: Value) -> Result<Begun, Error> {
        let _one = self.one.lock().unwrap();
        let key = format!("key-{name}");
        let Some(entry) = self.entry(name) else {
            self.write(name, &json!({ "request": request }));
            return Ok(Begun::New { key });
        };
        if entry["request"] != request {
            return Err(Error::new(ErrorCode::Conflict, "another request"));
        }
        Ok(match entry.get("result") {
            Some(result) => Begun::Finished {
                result: result.clone(),
            },
            None => Begun::Started { key },
        })
    }

    async fn finish(&self, name: &str, result: Value) -> Result<(), Error> {
        self.change(name, "result", result);
        Ok(())
    }

    async fn lost(&self, name: &str) -> Result<(), Error> {
        self.change(name, "lost", json!(true));
        Ok(())
    }
}

/// Artifacts: `artifact:inputs/NAME` is a file of the folder `inputs`, `artifact:STEP/NAME`
/// what was added.
pub struct Files {
    inputs: PathBuf,
    added: Mutex<Vec<(String, PathBuf)>>,
}

#[async_trait]
impl Artifacts for Files {
    async fn path(&self, reference: &str) -> Result<PathBuf, Error> {
        if let Some(name) = reference.strip_prefix("artifact:inputs/") {
            let path = self.inputs.join(name);
            if path.exists() {
                return Ok(path);
            }
        }
        let added = self.added.lock().unwrap();
        let found = added.iter().rev().find(|(known, _)| known == reference);
        found
            .map(|(_, path)| path.clone())
            .ok_or_else(|| Error::not_found(format!("the run has no {reference}")))
    }

    async fn add(&self, path: &Path, name: &str) -> Result<String, Error> {
        let reference = format!("artifact:step/{name}");
        self.added
            .lock()
            .unwrap()
            .push((reference.clone(), path.to_owned()));
        Ok(reference)
    }
}

/// A state folder and a host over it.
pub struct Bench {
    pub state: PathBuf,
    pub journal: Arc<Journal>,
    pub host: Arc<ToolHost>,
    pub runner: Arc<ToolRunner>,
    _kept: Option<tempfile::TempDir>,
}

/// The grant of every test: a shell, with anything as arguments.
pub const SHELL: &str = "[tool.sh]\nprogram = 'sh'\narguments = ['(?s).*']\n";

impl Bench {
    pub fn new() -> Self {
        Self::with(SHELL)
    }

    pub fn with(grants: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut bench = Self::at(&folder.path().canonicalize().unwrap(), grants);
        bench._kept = Some(folder);
        bench
    }

    /// A host over a state folder that may have been another's.
    pub fn at(state: &Path, grants: &str) -> Self {
        Self::journalled_at(state, &state.join("journal"), grants)
    }

    pub fn journalled_at(state: &Path, journal: &Path, grants: &str) -> Self {
        let supervisor = Path::new(env!("CARGO_BIN_EXE_cofferdam-supervise"));
        Self::supervised(supervisor, state, journal, grants)
    }

    pub fn supervised(supervisor: &Path, state: &Path, journal: &Path, grants: &str) -> Self {
        let grants: PluginGrants = toml::from_str(grants).unwrap();
        let grants = Grants::check([("p", &grants)], OsStr::new("/usr/bin:/bin")).unwrap();
        let granted = grants.of("p");
        let host = ToolHost::new(supervisor.to_owned(), state.join("operations"), grants);
        let work = state.join("runs/r/step");
        let inputs = state.join("inputs");
        for folder in [&work, &inputs] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let journal = Journal::new(journal.to_owned());
        let runner = Arc::new(ToolRunner {
            host: Arc::clone(&host),
            granted,
            step: "step".to_owned(),
            work,
            operations: journal.clone(),
            artifacts: Arc::new(Files {
                inputs,
                added: Mutex::default(),
            }),
            redactor: Redactor::new(),
        });
        Self {
            state: state.to_owned(),
            journal,
            host,
            runner,
            _kept: None,
        }
    }

    pub fn work(&self) -> &Path {
        &self.runner.work
    }

    pub fn operation(&self, file: &str) -> PathBuf {
        self.state.join("operations/key-op").join(file)
    }

    pub async fn sh(&self, script: &str) -> Result<ToolOutcome, Error> {
        self.run(sh(script)).await
    }

    pub async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        tokio::time::timeout(PATIENCE, self.runner.run(request))
            .await
            .expect("the program ends within the test's patience")
    }

    /// Starts a run on the side.
    pub fn spawn(
        &self,
        request: ToolRequest,
    ) -> tokio::task::JoinHandle<Result<ToolOutcome, Error>> {
        let runner = Arc::clone(&self.runner);
        tokio::spawn(async move { runner.run(request).await })
    }
}

/// Says why a test, or a part of it, is not done here. On a CI machine it has to be.
pub fn skip(what: &str, reason: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{what}: {reason}"
    );
    println!("skipped: {what} ({reason})");
}

/// `sh -c SCRIPT` as the operation `op`.
pub fn sh(script: &str) -> ToolRequest {
    ToolRequest {
        operation: "op".to_owned(),
        program: "sh".to_owned(),
        arguments: vec![text("-c"), text(script)],
        stop_when: Vec::new(),
        timeout_ms: 60_000,
    }
}

pub fn text(text: &str) -> ToolArgument {
    ToolArgument::Text(text.to_owned())
}

pub fn artifact(reference: &str, template: &str, writable: bool) -> ToolArgument {
    ToolArgument::Artifact(ArtifactArgument {
        reference: reference.to_owned(),
        template: template.to_owned(),
        writable,
    })
}

/// Waits until `holds`, or fails saying `what`.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: not within the test's patience"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many living processes have `mark` among their arguments.
pub fn marked(mark: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is_process = entry.file_name().to_string_lossy().parse::<u32>().is_ok();
        let is_marked = arguments
            .split(|&byte| byte == 0)
            .any(|argument| argument == mark.as_bytes());
        count += usize::from(is_process && is_marked);
    }
    count
}

/// A number of seconds to sleep that no other test or process uses, to know a process by.
pub fn unique_sleep() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::SeqCst);
    format!("{}.{next:04}", 100_000 + u64::from(std::process::id()))
}
