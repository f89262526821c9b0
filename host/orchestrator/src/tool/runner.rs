//! The host's side: one run of a program as a host operation.

use super::arguments;
use super::folder::{End, Folder, Found, LAYOUT, Record, Spec, private};
use super::grant::{GrantedTool, WORK};
use super::sealed::Sealed;
use super::supervisor::{COMMAND, TAKEN};
use crate::grants::{Granted, Grants};
use crate::redact::Redactor;
use async_trait::async_trait;
use cofferdam_contract::services::{Artifacts, Begun, Operations, Tools};
use cofferdam_contract::types::{Error, ErrorCode, ToolOutcome, ToolRequest};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::Instrument;

/// How long to sleep between looks at an operation.
const ROUND: Duration = Duration::from_millis(25);

/// The same at first, because many programs are short, and for how many looks.
const SHORT_ROUND: Duration = Duration::from_millis(2);
const SHORT_ROUNDS: u32 = 20;

/// How often a supervisor that came second is tried again while the first has not begun.
const MOST_TRIES: u32 = 100;

/// What all runs of programs share in one host.
#[derive(Debug)]
pub struct ToolHost {
    supervisor: PathBuf,
    operations: PathBuf,
    grants: Grants,
    leaving: AtomicBool,
}

impl ToolHost {
    /// `supervisor` is the binary that has the command `supervise`, as a rule this one;
    /// `operations` the folder that gets a folder for each operation.
    pub fn new(supervisor: PathBuf, operations: PathBuf, grants: Grants) -> Arc<Self> {
        Arc::new(Self {
            supervisor,
            operations,
            grants,
            leaving: AtomicBool::new(false),
        })
    }

    /// The host goes, and programs go on: from now on, dropping a run leaves its program
    /// alone, so that the next host attaches to it.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    /// The grants of every plugin.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The folder of the operation `key`.
    pub fn folder(&self, key: &str) -> Folder {
        Folder::new(self.operations.join(key))
    }
}

/// The programs of one step.
pub struct ToolRunner {
    /// What all runs share.
    pub host: Arc<ToolHost>,
    /// What the step's plugin was granted.
    pub granted: Arc<Granted>,
    /// The step's id.
    pub step: String,
    /// The step's working folder, absolute (`runs/RUN/STEP`).
    pub work: PathBuf,
    /// The step's journal.
    pub operations: Arc<dyn Operations>,
    /// The run's artifacts.
    pub artifacts: Arc<dyn Artifacts>,
    /// The secrets of the run's project, which are kept out of folder and journal.
    pub redactor: Redactor,
}

#[async_trait]
impl Tools for ToolRunner {
    async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        let span = tracing::info_span!(
            "operation",
            operation = %request.operation,
            program = %request.program,
            key = tracing::field::Empty,
        );
        self.operate(request).instrument(span).await
    }

    async fn keep(&self, file: &str, name: &str) -> Result<String, Error> {
        check_artifact_name(name)?;
        self.no_secret("the name of an artifact", name)?;
        self.no_secret("the path of a file to keep", file)?;
        let path = self.kept(file)?;
        self.artifacts.add(&path, name).await
    }
}

impl ToolRunner {
    async fn operate(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        let tool = arguments::check(&self.granted, &self.step, &request)?;
        self.no_secret("the name of an operation", &request.operation)?;
        let files = self.files(&request).await?;
        let journalled = json!({
            "program": request.program,
            "digest": arguments::digest(&request)?,
        });
        let begun = self
            .operations
            .begin(&request.operation, journalled)
            .await?;
        let key = match begun {
            Begun::Finished { result } => return outcome(recorded(result)?),
            Begun::New { key } | Begun::Started { key } => key,
        };
        tracing::Span::current().record("key", &key);
        let folder = self.host.folder(&key);
        let attached = Attached {
            host: &self.host,
            folder: &folder,
            key: &key,
            program: &request.program,
            redactor: &self.redactor,
        };
        let spec = || self.spec(&key, tool, &request, &files);
        match attached.to_its_end(spec).await {
            Ok(mut record) => {
                // A secret that this supervisor was not told.
                record.tail = self.redactor.text(&record.tail).into_owned();
                for note in &record.notes {
                    tracing::warn!(operation = key, program = request.program, "{note}");
                }
                let result = serde_json::to_value(&record)
                    .map_err(|error| Error::new(ErrorCode::Other, error.to_string()))?;
                self.operations.finish(&request.operation, result).await?;
                // The journal has the end; what is left behind is for people.
                folder.forget_spec().ok();
                outcome(record)
            }
            Err(Unfinished::Lost(reason)) => {
                self.operations.lost(&request.operation).await?;
                Err(Error::new(
                    ErrorCode::Other,
                    format!(
                        "nobody can say how the program `{}` of the operation {key} ended: {reason}",
                        request.program
                    ),
                )
                .with_hint(format!(
                    "it may have had its effect: look at what it was to do, and at operations/{key}/output.log, before the run goes on"
                )))
            }
            Err(Unfinished::Failed(error)) => Err(error),
        }
    }

    /// Names go into the journal as they are.
    fn no_secret(&self, what: &str, name: &str) -> Result<(), Error> {
        match self.redactor.text(name) {
            Cow::Borrowed(_) => Ok(()),
            Cow::Owned(_) => Err(Error::invalid(format!("{what} holds a secret"))),
        }
    }

    /// The files behind the artifact arguments. What another step kept may have become a
    /// link since; outside the run's folders it leads nowhere.
    async fn files(&self, request: &ToolRequest) -> Result<Vec<PathBuf>, Error> {
        let run = self.work.parent().unwrap_or(&self.work);
        let mut files = Vec::new();
        for artifact in arguments::references(request) {
            let path = self.artifacts.path(&artifact.reference).await?;
            let real = |path: &Path| {
                path.canonicalize().map_err(|error| {
                    Error::not_found(format!(
                        "the file of {} is not there any more: {error}",
                        artifact.reference
                    ))
                })
            };
            let file = real(&path)?;
            if path.starts_with(run) && !file.starts_with(real(run)?) {
                return Err(Error::new(
                    ErrorCode::Denied,
                    format!("{} has become a link out of the run", artifact.reference),
                ));
            }
            files.push(file);
        }
        Ok(files)
    }

    fn spec(
        &self,
        key: &str,
        tool: &GrantedTool,
        request: &ToolRequest,
        files: &[PathBuf],
    ) -> io::Result<Spec> {
        std::fs::create_dir_all(&self.work)?;
        let work = self.work.canonicalize()?;
        let written = work.to_str().ok_or_else(|| {
            io::Error::other("the path of the working folder is no UTF-8; use another state folder")
        })?;
        let grant = &tool.grant;
        let environment = grant.environment.iter();
        let granted_ms = u64::try_from(grant.timeout.0.as_millis()).unwrap_or(u64::MAX);
        let writable = arguments::references(request)
            .zip(files)
            .filter(|(artifact, _)| artifact.writable)
            .map(|(_, file)| file.clone());
        Ok(Spec {
            layout: LAYOUT,
            key: key.to_owned(),
            program: tool.program.clone(),
            arguments: arguments::place(&work, request, files)?,
            environment: environment
                .map(|(name, value)| (name.clone(), value.replace(WORK, written)))
                .collect(),
            writable: writable.collect(),
            stop_when: request.stop_when.clone(),
            timeout_ms: granted_ms.min(u64::from(request.timeout_ms)),
            output: grant.output.0,
            memory: grant.memory.0,
            file_size: grant.file_size.0,
            open_files: u64::from(grant.open_files),
            network: grant.network,
            work,
        })
    }

    /// The path of a regular file in the working folder.
    fn kept(&self, file: &str) -> Result<PathBuf, Error> {
        let plain = Path::new(file)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        // Components drop what says nothing (`a//b`, `a/./b`); such a path is not plain.
        let says_all = file.split('/').all(|part| !part.is_empty() && part != ".");
        if !plain || !says_all || file.contains('\0') {
            return Err(Error::invalid(format!(
                "`{file}` is not a plain path relative to the working folder"
            )));
        }
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Error::not_found(format!("there is no file `{file}` in the working folder"))
            }
            _ => Error::invalid(format!("`{file}` cannot be kept: {error}")),
        };
        let open = |path: &Path, flags| {
            rustix::fs::openat2(
                CWD,
                path,
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
                flags,
            )
            .map_err(|error| failed(error.into()))
        };
        let folder = open(&self.work, ResolveFlags::empty())?;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = rustix::fs::openat2(
            &folder,
            file,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            inside,
        )
        .map_err(|error| failed(error.into()))?;
        let stat = rustix::fs::fstat(&opened).map_err(|error| failed(error.into()))?;
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(Error::invalid(format!("`{file}` is not a regular file")));
        }
        Ok(self.work.join(file))
    }
}

fn check_artifact_name(name: &str) -> Result<(), Error> {
    let first = name.bytes().next();
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.len() <= 64
        && first.is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(harmless)
    {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "`{name}` cannot name an artifact; use 1 to 64 characters out of a-z, A-Z, 0-9, `-`, `_` and `.`, the first a letter or a digit"
    )))
}

/// Why there is no record to go on with.
enum Unfinished {
    /// It was started, and no one can say how it ended.
    Lost(String),
    /// Nothing was started, or nothing can be said of it now.
    Failed(Error),
}

impl Unfinished {
    fn io(what: &str, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorCode::NoSpace,
            _ => ErrorCode::Unavailable,
        };
        Self::Failed(Error::new(code, format!("{what}: {error}")))
    }
}

/// What a look at an operation's folder shows.
enum Look {
    NotBegun,
    Going,
    Ended(Record),
    Lost(String),
}

/// A host that waits for one operation.
struct Attached<'a> {
    host: &'a ToolHost,
    folder: &'a Folder,
    key: &'a str,
    program: &'a str,
    redactor: &'a Redactor,
}

impl Attached<'_> {
    /// Starts the operation where nobody has, and waits for its end. Dropping this stops
    /// it, unless the host is leaving.
    async fn to_its_end(&self, spec: impl Fn() -> io::Result<Spec>) -> Result<Record, Unfinished> {
        let mut dropped = StopOnDrop {
            host: self.host,
            folder: self.folder,
            armed: true,
        };
        let ended = self.watch(&spec).await;
        dropped.armed = false;
        ended
    }

    async fn watch(&self, spec: &impl Fn() -> io::Result<Spec>) -> Result<Record, Unfinished> {
        let mut supervisor: Option<oneshot::Receiver<io::Result<ExitStatus>>> = None;
        let (mut tries, mut rounds) = (0, 0);
        loop {
            match self.look()? {
                // Of an earlier attempt: nothing ran, so this one may start it.
                Look::Ended(Record {
                    end: End::NotStarted { .. },
                    ..
                }) if tries == 0 => {
                    self.folder
                        .forget_not_started()
                        .map_err(|error| Unfinished::io("cannot start over", &error))?;
                    continue;
                }
                Look::Ended(Record {
                    end: End::NotStarted { reason },
                    ..
                }) => return Err(Unfinished::Failed(self.not_started(&reason))),
                Look::Ended(record) => return Ok(record),
                Look::Lost(reason) => return Err(Unfinished::Lost(reason)),
                Look::Going => {}
                Look::NotBegun if supervisor.is_none() => {
                    tries += 1;
                    supervisor = Some(self.start(spec)?);
                }
                Look::NotBegun => {}
            }
            let round = if rounds < SHORT_ROUNDS {
                SHORT_ROUND
            } else {
                ROUND
            };
            rounds = rounds.saturating_add(1);
            let Some(process) = &mut supervisor else {
                tokio::time::sleep(round).await;
                continue;
            };
            // Its end is looked at at once; a folder that is still not begun then says why.
            if let Ok(exit) = tokio::time::timeout(round, process).await {
                supervisor = None;
                if matches!(self.look()?, Look::NotBegun) {
                    self.explain(exit, tries)?;
                    tokio::time::sleep(round).await;
                }
            }
        }
    }

    /// The supervisor is gone and nothing has begun: fine where another came first.
    fn explain(
        &self,
        exit: Result<io::Result<ExitStatus>, oneshot::error::RecvError>,
        tries: u32,
    ) -> Result<(), Unfinished> {
        let status = exit
            .ok()
            .and_then(Result::ok)
            .and_then(|status| status.code());
        if status == Some(i32::from(TAKEN)) && tries < MOST_TRIES {
            return Ok(());
        }
        Err(Unfinished::Failed(
            self.not_started(&self.folder.complaint()),
        ))
    }

    fn not_started(&self, reason: &str) -> Error {
        // A supervisor on a full disk can often not even say so.
        let full = self.folder.has_no_room();
        let code = match full {
            true => ErrorCode::NoSpace,
            false => ErrorCode::Unavailable,
        };
        let reason = match full {
            true => format!("no space is left in the state folder; {reason}"),
            false => reason.to_owned(),
        };
        Error::new(
            code,
            format!("the program `{}` was not started: {reason}", self.program),
        )
    }

    /// What the folder shows now. The order matters: a supervisor makes `started` only under
    /// the lock, and gives the lock up only after the result is there.
    fn look(&self) -> Result<Look, Unfinished> {
        let look = || -> io::Result<Look> {
            let started = self.folder.is_started()?;
            let alone = started && !self.folder.is_locked()?;
            Ok(match self.folder.result(self.key)? {
                Found::Whole(record) => Look::Ended(record),
                Found::Garbage(reason) => Look::Lost(format!("result.json is not whole: {reason}")),
                Found::Absent if alone => {
                    Look::Lost("its supervisor is gone and left no result".to_owned())
                }
                Found::Absent if started => Look::Going,
                Found::Absent => Look::NotBegun,
            })
        };
        look().map_err(|error| Unfinished::io("the operation's folder cannot be read", &error))
    }

    /// Starts a supervisor. If there is one already, the new one sees it and goes.
    fn start(
        &self,
        spec: &impl Fn() -> io::Result<Spec>,
    ) -> Result<oneshot::Receiver<io::Result<ExitStatus>>, Unfinished> {
        let start = || {
            let mut spec = spec()?;
            let sealed = Sealed::of(&mut spec, self.redactor);
            self.folder.prepare(&spec)?;
            let complaints = private()
                .create(true)
                .truncate(true)
                .open(self.folder.complaints_path())?;
            let mut child = Command::new(&self.host.supervisor)
                .arg(COMMAND)
                .arg(self.folder.path())
                // Nothing of the host's environment, which may hold secrets.
                .env_clear()
                .envs(sealed.for_supervisor())
                .current_dir(self.folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::from(complaints))
                .spawn()?;
            let (ended, end) = oneshot::channel();
            std::thread::Builder::new()
                .name("tool-supervisor".to_owned())
                // Nobody may be waiting any more; the process has to be collected anyway.
                .spawn(move || ended.send(child.wait()).ok())?;
            Ok(end)
        };
        start().map_err(|error: io::Error| {
            Unfinished::io("the program's supervisor cannot be started", &error)
        })
    }
}

/// Stops the program when the call that waits for it is dropped.
struct StopOnDrop<'a> {
    host: &'a ToolHost,
    folder: &'a Folder,
    armed: bool,
}

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        if !self.armed || self.host.leaving.load(Ordering::SeqCst) {
            return;
        }
        let Err(error) = self.folder.ask_to_stop() else {
            return;
        };
        if error.kind() == io::ErrorKind::NotFound {
            // There is no folder, so there is no supervisor either.
            return;
        }
        // A full disk, as a rule. With the supervisor goes all that it stands over, and how
        // it ended is lost: a program that nobody can stop would be worse.
        tracing::warn!("a supervisor is killed because it cannot be told to stop: {error}");
        if let (Some(pid), Ok(true)) = (self.folder.supervisor(), self.folder.is_locked())
            && let Some(pid) = Pid::from_raw(pid)
        {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// A result out of the journal.
fn recorded(result: Value) -> Result<Record, Error> {
    serde_json::from_value(result).map_err(|error| {
        Error::new(
            ErrorCode::Corrupt,
            format!("the journal's result of this operation cannot be read: {error}"),
        )
    })
}

/// What the plugin is told of an end.
fn outcome(record: Record) -> Result<ToolOutcome, Error> {
    let mut outcome = ToolOutcome {
        exit: None,
        signal: None,
        matched: None,
        timed_out: false,
        tail: record.tail,
        output_bytes: record.output_bytes,
    };
    match record.end {
        End::Exited { status } => outcome.exit = Some(status),
        End::Signalled { signal } => outcome.signal = Some(signal),
        End::Matched { index } => outcome.matched = Some(index),
        End::TimedOut => outcome.timed_out = true,
        End::TooMuchOutput => {
            return Err(Error::new(
                ErrorCode::Limit,
                format!(
                    "the program was stopped after {} bytes of output, more than its grant allows",
                    record.output_bytes
                ),
            )
            .with_hint("have it say less, or raise `output` in its grant in cofferdam.toml"));
        }
        End::Stopped => {
            return Err(Error::new(
                ErrorCode::Cancelled,
                "the program was stopped before it ended: its run was cancelled, or the step's time was over",
            ));
        }
        End::NotStarted { reason } => {
            return Err(Error::new(
                ErrorCode::Unavailable,
                format!("the program was not started: {reason}"),
            ));
        }
    }
    Ok(outcome)
}

/// The programs of a step that may have no effect (`validate`, `plan`): none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Denied;

#[async_trait]
impl Tools for Denied {
    async fn run(&self, _: ToolRequest) -> Result<ToolOutcome, Error> {
        Err(denied("no program runs"))
    }

    async fn keep(&self, _: &str, _: &str) -> Result<String, Error> {
        Err(denied("nothing is kept"))
    }
}

fn denied(what: &str) -> Error {
    Error::new(
        ErrorCode::Denied,
        format!("{what} during `validate` and `plan`, because looking has no effect"),
    )
    .with_hint("do it in `execute`")
}
