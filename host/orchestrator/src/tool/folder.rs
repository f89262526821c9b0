//! The folder of one operation: all that host and supervisor share.
//!
//! | file          | made by    | meaning                                                   |
//! |---------------|------------|-----------------------------------------------------------|
//! | `spec.json`   | host       | what to run ([`Spec`])                                    |
//! | `lock`        | both       | flock: exclusively held as long as the supervisor lives   |
//! | `started`     | supervisor | made once, synced before the program can run              |
//! | `output.log`  | supervisor | standard output and error, as one stream                  |
//! | `result.json` | supervisor | how it ended ([`Record`]), synced, then renamed into place |
//! | `stop`        | host       | its being there stops the program                         |
//! | `supervisor.log` | host    | the supervisor's own standard error                       |
//!
//! What is read back is not trusted: a record that is not whole, or not of this operation,
//! is no record.

use crate::filelock::FileLock;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The layout of [`Spec`] and [`Record`]; a supervisor refuses another one.
pub const LAYOUT: u32 = 1;

/// The most bytes of `spec.json` and `result.json` that are read: a tail of 64 KiB takes
/// six times that where every byte is escaped.
const MOST_JSON: u64 = 4 << 20;

/// Space that is reserved for the result before the program starts, bytes.
const RESERVED: u64 = 512 << 10;

/// What the supervisor runs, and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Spec {
    /// [`LAYOUT`].
    pub layout: u32,
    /// The operation's key.
    pub key: String,
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments without its own name.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// Its working folder, absolute; it may write in it.
    pub work: PathBuf,
    /// Files outside the working folder that it may write.
    pub writable: Vec<PathBuf>,
    /// Regular expressions that stop it when they are found in its output.
    pub stop_when: Vec<String>,
    /// Milliseconds after which it is stopped.
    pub timeout_ms: u64,
    /// Bytes of output; more stop it.
    pub output: u64,
    /// RLIMIT_DATA, bytes.
    pub memory: u64,
    /// RLIMIT_FSIZE, bytes.
    pub file_size: u64,
    /// RLIMIT_NOFILE.
    pub open_files: u64,
    /// Whether it may use the network.
    pub network: bool,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "how")]
pub enum End {
    /// By itself, with this status.
    Exited {
        /// The exit status.
        status: i32,
    },
    /// By a signal that was not the supervisor's.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// Stopped because an expression was found in its output.
    Matched {
        /// The index into [`Spec::stop_when`].
        index: u32,
    },
    /// Stopped because its time was over.
    TimedOut,
    /// Stopped because it wrote more than [`Spec::output`].
    TooMuchOutput,
    /// Stopped because the host asked for it.
    Stopped,
    /// It never ran.
    NotStarted {
        /// Why.
        reason: String,
    },
}

/// What the supervisor records when all is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Record {
    /// [`LAYOUT`].
    pub layout: u32,
    /// The operation's key.
    pub key: String,
    /// How it ended.
    pub end: End,
    /// The last of its output, at most 64 KiB before bytes that are no UTF-8 were replaced.
    pub tail: String,
    /// How many bytes of output it made.
    pub output_bytes: u64,
    /// Which of the confinements were not to be had here, and what else went wrong.
    pub notes: Vec<String>,
}

/// What a file of the folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// No such file.
    Absent,
    /// There is a file, but what it holds is not whole or not of this operation.
    Garbage(String),
    /// What it holds.
    Whole(T),
}

/// One operation's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of `spec.json`.
    pub fn spec_path(&self) -> PathBuf {
        self.0.join("spec.json")
    }

    /// The path of `output.log`.
    pub fn log_path(&self) -> PathBuf {
        self.0.join("output.log")
    }

    /// Makes the folder and writes `spec.json`, all or nothing. The wish to stop an attempt
    /// that never began is forgotten.
    pub fn prepare(&self, spec: &Spec) -> io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        self.remove("stop")?;
        self.replace("spec.json", &serde_json::to_vec_pretty(spec)?)
    }

    /// Reads `spec.json`.
    pub fn spec(&self) -> io::Result<Spec> {
        let spec = match read_json::<Spec>(&self.spec_path())? {
            Found::Whole(spec) => spec,
            Found::Absent => return Err(io::Error::other("there is no spec.json")),
            Found::Garbage(reason) => {
                return Err(io::Error::other(format!(
                    "spec.json is not whole: {reason}"
                )));
            }
        };
        match spec.layout {
            LAYOUT => Ok(spec),
            other => Err(io::Error::other(format!(
                "spec.json has layout {other}, this program knows {LAYOUT}"
            ))),
        }
    }

    /// Takes the lock, or none where another supervisor holds it.
    pub fn lock(&self) -> io::Result<Option<FileLock>> {
        FileLock::open(&self.0.join("lock"))
    }

    /// Whether a supervisor holds the lock. Asking takes it for a moment: only where
    /// `started` is there, which a supervisor makes after it took the lock.
    pub fn is_locked(&self) -> io::Result<bool> {
        match self.lock() {
            Ok(lock) => Ok(lock.is_none()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes `started` and syncs it and the folder; false where it was there already.
    pub fn mark_started(&self) -> io::Result<bool> {
        match private().create_new(true).open(self.0.join("started")) {
            Ok(mut file) => {
                writeln!(file, "{}", std::process::id())?;
                file.sync_all()?;
                File::open(&self.0)?.sync_all()?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the program was started, or was about to be.
    pub fn is_started(&self) -> io::Result<bool> {
        self.0.join("started").try_exists()
    }

    /// The process that made `started`.
    pub fn supervisor(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.0.join("started")).ok()?;
        text.trim().parse().ok()
    }

    /// Asks the supervisor to stop the program.
    pub fn ask_to_stop(&self) -> io::Result<()> {
        private()
            .create(true)
            .truncate(false)
            .open(self.0.join("stop"))
            .map(drop)
    }

    /// Whether the program is to be stopped.
    pub fn is_to_stop(&self) -> bool {
        // Where nobody can say, going on does less harm than a stop.
        self.0.join("stop").try_exists().unwrap_or(false)
    }

    /// Reserves space for the result, so that a disk that the program fills cannot take it.
    pub fn reserve_result(&self) -> io::Result<File> {
        let file = private()
            .create(true)
            .truncate(true)
            .open(self.0.join("result.part"))?;
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVED) {
            // A file system that cannot promise space makes no promise; the rest holds.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) | Ok(()) => Ok(file),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the result into the space reserved, syncs it and gives it its name.
    pub fn finish(&self, mut reserved: File, record: &Record) -> io::Result<()> {
        let bytes = serde_json::to_vec(record)?;
        reserved.write_all(&bytes)?;
        reserved.set_len(bytes.len() as u64)?;
        reserved.sync_all()?;
        std::fs::rename(self.0.join("result.part"), self.0.join("result.json"))?;
        File::open(&self.0)?.sync_all()
    }

    /// The result of the operation `key`.
    pub fn result(&self, key: &str) -> io::Result<Found<Record>> {
        Ok(match read_json::<Record>(&self.0.join("result.json"))? {
            Found::Whole(record) if record.layout != LAYOUT => {
                Found::Garbage(format!("layout {}, not {LAYOUT}", record.layout))
            }
            Found::Whole(record) if record.key != key => {
                Found::Garbage(format!("it is of the operation {}", record.key))
            }
            found => found,
        })
    }

    /// Whether there is any result.
    pub fn has_result(&self) -> io::Result<bool> {
        self.0.join("result.json").try_exists()
    }

    /// Removes `spec.json`, whose arguments nobody needs when the end is recorded.
    pub fn forget_spec(&self) -> io::Result<()> {
        std::fs::remove_file(self.spec_path())
    }

    /// What the supervisor said before it could record anything.
    pub fn complaint(&self) -> String {
        let text = std::fs::read_to_string(self.complaints_path()).unwrap_or_default();
        let last = text.lines().next_back().unwrap_or("it said nothing");
        last.chars().take(500).collect()
    }

    /// Whether what a supervisor has to write into the folder does not fit any more.
    pub fn has_no_room(&self) -> bool {
        let probe = || -> io::Result<()> {
            let mut file = tempfile::tempfile_in(&self.0)?;
            file.write_all(&[0; 64 << 10])?;
            // Some file systems look for room only now.
            file.sync_data()
        };
        probe().is_err_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        })
    }

    /// The path of `supervisor.log`: the supervisor's own standard error.
    pub fn complaints_path(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// Forgets an attempt to start that is recorded as [`End::NotStarted`], so that another
    /// can be made. The record goes last: until then it says that nothing ran.
    pub fn forget_not_started(&self) -> io::Result<()> {
        ["stop", "started", "result.json"]
            .iter()
            .try_for_each(|name| self.remove(name))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut part = tempfile::NamedTempFile::new_in(&self.0)?;
        part.write_all(bytes)?;
        part.persist(self.0.join(name))?;
        Ok(())
    }
}

/// Files that only the host's user reads: output and arguments may be anything.
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Found<T>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MOST_JSON).read_to_end(&mut bytes)?;
    Ok(match serde_json::from_slice(&bytes) {
        Ok(value) => Found::Whole(value),
        Err(error) => Found::Garbage(error.to_string()),
    })
}
