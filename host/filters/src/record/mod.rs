//! `record`: everything that crosses the boundary in a call goes into a file.
//!
//! The services that a call is given are wrapped, and what is asked and answered is written
//! down ([`Tape`]). A call whose future is dropped has a recording too, which ends there. What
//! goes wrong with recording is a warning in the run's log and the host's: the call itself
//! goes on.

mod kinds;
mod tape;

pub(crate) use tape::Tape;

use crate::config::Keep;
use crate::filters::Redact;
use crate::recording::{EXTENSION, Ended, Entry, Header, RecordedPlugin, Returned, sweep};
use crate::services::{Side, SideContext};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, Kind, Plugin};
use cofferdam_contract::services::Context;
use cofferdam_contract::types::Level;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

/// Where a plugin's recordings go.
pub(crate) struct Recordings {
    folder: PathBuf,
    functions: Vec<String>,
    keep: Keep,
    at_most: u32,
    redact: Arc<dyn Redact>,
    /// Names that sort by time.
    names: Mutex<ulid::Generator>,
    is_full: AtomicBool,
    /// What killed hosts left in the folder is removed.
    swept: Once,
}

impl Recordings {
    pub(crate) fn new(
        folder: PathBuf,
        functions: Vec<String>,
        keep: Keep,
        at_most: u32,
        redact: Arc<dyn Redact>,
    ) -> Self {
        Self {
            folder,
            functions,
            keep,
            at_most,
            redact,
            names: Mutex::default(),
            is_full: AtomicBool::new(false),
            swept: Once::new(),
        }
    }

    /// Begins the recording of a call; none where it is not recorded.
    fn begin(
        &self,
        plugin: &(impl Plugin + ?Sized),
        kind: Kind,
        call: &Call,
        entry: Entry,
    ) -> Option<Running> {
        let function = entry.function();
        let is_for = self.functions.is_empty() || self.functions.iter().any(|it| it == function);
        if !is_for {
            return None;
        }
        let manifest = plugin.manifest();
        let header = Header {
            plugin: RecordedPlugin {
                id: manifest.id.clone(),
                version: manifest.version.clone(),
                digest: plugin.digest().to_owned(),
                kind,
            },
            run: call.context.run_id(),
            now: call.context.now(),
            settings: call.settings.clone(),
            entry,
        };
        self.swept.call_once(|| self.sweep());
        let name = format!("{}-{}-{function}", self.name(), manifest.id);
        let begun = self
            .has_room()
            .and_then(|()| Tape::new(&self.folder, header, Arc::clone(&self.redact)));
        match begun {
            Ok(tape) => Some(Running {
                tape: Arc::new(tape),
                name,
                keep: self.keep,
                kind,
                context: Arc::clone(&call.context),
                is_open: true,
            }),
            Err(error) => {
                // A full folder is said once, not at each call.
                let again = error.kind() == io::ErrorKind::QuotaExceeded
                    && self.is_full.swap(true, Ordering::Relaxed);
                if !again {
                    warn(call.context.as_ref(), &manifest.id, function, &error);
                }
                None
            }
        }
    }

    fn name(&self) -> String {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // The generator fails after 2^80 names in one millisecond.
        let name = names.generate().unwrap_or_else(|_| ulid::Ulid::generate());
        name.to_string()
    }

    fn sweep(&self) {
        let folder = self.folder.display();
        match sweep(&self.folder) {
            Ok(0) => {}
            Ok(files) => {
                tracing::info!(%folder, files, "removed what killed hosts left of recordings");
            }
            Err(error) => {
                tracing::warn!(%folder, %error, "what killed hosts left of recordings cannot be looked for");
            }
        }
    }

    fn has_room(&self) -> io::Result<()> {
        let there = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries
                .filter_map(Result::ok)
                .filter(|entry| entry.path().extension().is_some_and(|it| it == EXTENSION))
                .count(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        if there < self.at_most as usize {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::QuotaExceeded,
            format!(
                "{} holds {there} recordings, and `at-most` is {}; move some away",
                self.folder.display(),
                self.at_most
            ),
        ))
    }
}

fn warn(context: &dyn Context, plugin: &str, function: &str, error: &io::Error) {
    tracing::warn!(plugin, function, %error, "a call is not recorded");
    let message = format!("the call {function} is not recorded: {error}");
    context.log(plugin, Level::Warn, &message, &[]);
}

/// A call that is being recorded. Dropping it is its end too.
struct Running {
    tape: Arc<Tape>,
    name: String,
    keep: Keep,
    kind: Kind,
    context: Arc<dyn Context>,
    is_open: bool,
}

impl Running {
    /// The call, with the context that is written down.
    fn call(&self, call: Call) -> Call {
        let header = self.tape.header();
        let context = SideContext {
            run: header.run.clone(),
            now: self.kind.is_pure().then_some(header.now),
            side: Side::Live {
                service: call.context,
                tape: Arc::clone(&self.tape),
            },
        };
        Call {
            context: Arc::new(context),
            settings: call.settings,
        }
    }

    fn end<T>(mut self, result: &Result<T, CallError>, returned: impl FnOnce(&T) -> Returned) {
        self.finish(Ended::of(result.as_ref(), returned));
    }

    fn finish(&mut self, ended: Ended) {
        self.is_open = false;
        if self.keep == Keep::Failed && ended.is_well() {
            return;
        }
        if let Err(error) = self.tape.finish(ended, &self.name) {
            let header = self.tape.header();
            let (plugin, function) = (&header.plugin.id, header.entry.function());
            warn(self.context.as_ref(), plugin, function, &error);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_open {
            self.finish(Ended::Abandoned {});
        }
    }
}

/// A plugin whose calls are recorded.
pub(crate) struct Recorder<P: ?Sized> {
    inner: Arc<P>,
    to: Arc<Recordings>,
}

impl<P: ?Sized> Recorder<P> {
    pub(crate) fn new(inner: Arc<P>, to: &Arc<Recordings>) -> Self {
        Self {
            inner,
            to: Arc::clone(to),
        }
    }
}
