//! The plugin kinds as components.
//!
//! Sources, inspectors, fixers and steps get a fresh instance for each call; a file system's
//! instance is its session and lives until it is dropped. A plugin's exports are looked
//! up once, when its code is first loaded.

mod disk_source;
mod filesystem;
mod fixer;
mod inspector;
mod nonsense;
mod workflow_step;

use crate::config::Settings;
use crate::host::Service;
use cofferdam_contract::bindings::exports::cofferdam::plugin::{
    discovery, file_tree, fixing, inspection, step,
};
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, Kind, Plugin, PluginSet, WorkflowStep};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::order::{OrderCycle, sequence};
use cofferdam_contract::types::Error;
use cofferdam_runtime::{
    Extensions, LoadError, Misbehaviour, PluginCode, PluginFile, PluginFolder, RefusedFile,
    Runtime, State,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::OnceCell;
use wasmtime::component::InstancePre;

/// The exports of one kind, as places in a component.
pub trait Exports: Clone + Send + Sync + Sized + 'static {
    /// Finds them in a loaded component.
    fn find(code: &InstancePre<State>) -> wasmtime::Result<Self>;
}

macro_rules! exports {
    ($($interface:ident),*) => {$(
        impl Exports for $interface::GuestIndices {
            fn find(code: &InstancePre<State>) -> wasmtime::Result<Self> {
                Self::new(code)
            }
        }
    )*};
}

exports!(discovery, file_tree, fixing, inspection, step);

/// A plugin that is a component; `E` says of which kind.
pub struct ComponentPlugin<E> {
    code: Arc<PluginCode>,
    exports: OnceCell<E>,
}

impl<E: Exports> ComponentPlugin<E> {
    /// The plugin with this code.
    pub fn new(code: Arc<PluginCode>) -> Self {
        Self {
            code,
            exports: OnceCell::new(),
        }
    }

    /// Loads the code if that was not done, and finds the exports.
    async fn exports(&self) -> Result<E, CallError> {
        let find = || async {
            let code = self
                .code
                .load()
                .await
                .map_err(|error| error.into_call_error(self.callee("load")))?;
            E::find(code).map_err(|error| CallError::Nonsense {
                callee: self.callee("load"),
                reason: format!("{error:#}"),
            })
        };
        self.exports.get_or_try_init(find).await.cloned()
    }

    fn callee(&self, call: &str) -> Callee {
        callee(&self.code, call)
    }
}

impl<E: Send + Sync> Plugin for ComponentPlugin<E> {
    fn manifest(&self) -> &Manifest {
        &self.code.file().inspection.manifest
    }

    fn digest(&self) -> &str {
        &self.code.file().inspection.digest
    }
}

fn callee(code: &PluginCode, call: &str) -> Callee {
    Callee {
        plugin: code.file().inspection.manifest.id.clone(),
        call: call.to_owned(),
    }
}

/// The longest message, and the longest hint, of an error that a plugin returns. What is
/// longer is cut: it goes into logs, journals and answers.
const MOST_ERROR: usize = 8 << 10;

fn cut(text: &mut String) {
    if text.len() > MOST_ERROR {
        text.truncate(text.floor_char_boundary(MOST_ERROR));
        text.push('…');
    }
}

/// The error record that a plugin returned, with its name on it.
fn returned<T>(callee: impl FnOnce() -> Callee, result: Result<T, Error>) -> Result<T, CallError> {
    result.map_err(|mut error| {
        cut(&mut error.message);
        if let Some(hint) = &mut error.hint {
            cut(hint);
        }
        CallError::Returned {
            callee: callee(),
            error,
        }
    })
}

/// An export is there and is not the function that the contract says.
fn mistyped(error: wasmtime::Error) -> wasmtime::Error {
    wasmtime::Error::new(Misbehaviour(format!(
        "an export does not have the type of the contract: {error:#}"
    )))
}

/// What every kind's instances are given.
fn extensions(call: &Call) -> Extensions {
    let mut extensions = Extensions::default();
    extensions.insert(Settings(call.settings.clone()));
    extensions
}

/// Puts the service behind an interface.
fn provide<T>(extensions: &mut Extensions, service: Arc<T>)
where
    T: ?Sized + Send + Sync + 'static,
{
    extensions.insert(Service(service));
}

/// The plugins of some folders, ready to be called.
pub struct LoadedPlugins {
    /// What a migration uses, each kind in its order.
    pub set: PluginSet,
    /// Workflow steps by id.
    pub steps: Steps,
    /// Each plugin's code, by id; loading it checks that it compiles and links.
    pub code: BTreeMap<String, Arc<PluginCode>>,
    /// What is no plugin that this host can load, with the reason.
    pub refused: Vec<RefusedFile>,
    /// Plugins that import what was not granted to them, with the lines that would grant
    /// it. Nothing is wrong with them: an operator may well leave a plugin alone.
    pub ungranted: Vec<RefusedFile>,
}

/// Makes plugins of what a scan found. No code is loaded yet. What imports something that
/// was not granted to it is left out.
pub fn load_plugins(
    runtime: &Arc<Runtime>,
    folder: PluginFolder,
    granted: &Granted,
) -> Result<LoadedPlugins, OrderCycle> {
    let mut code: BTreeMap<String, Arc<PluginCode>> = BTreeMap::new();
    let mut ungranted = Vec::new();
    for file in folder.plugins {
        match file.inspection.check_grants(granted) {
            Ok(()) => {
                let id = file.inspection.manifest.id.clone();
                let plugin = PluginCode::new(Arc::clone(runtime), file, granted);
                code.insert(id, Arc::new(plugin));
            }
            Err(reason) => ungranted.push(RefusedFile {
                path: file.path,
                reason,
            }),
        }
    }
    ungranted.sort_by(|a, b| a.path.cmp(&b.path));
    let (set, steps) = assemble(runtime, &code)?;
    Ok(LoadedPlugins {
        set,
        steps,
        code,
        refused: folder.refused,
        ungranted,
    })
}

/// Workflow steps by id.
pub type Steps = BTreeMap<String, Arc<dyn WorkflowStep>>;

/// Plugins of this code, by id: what a migration uses, each kind in its order, and steps.
///
/// # Errors
/// The manifests contradict each other on the order.
pub fn assemble(
    runtime: &Arc<Runtime>,
    code: &BTreeMap<String, Arc<PluginCode>>,
) -> Result<(PluginSet, Steps), OrderCycle> {
    let set = PluginSet {
        sources: of_kind(code, Kind::DiskSource, |code| {
            Arc::new(ComponentPlugin::<discovery::GuestIndices>::new(code)) as _
        })?,
        filesystems: of_kind(code, Kind::Filesystem, |code| {
            Arc::new(ComponentPlugin::<file_tree::GuestIndices>::new(code)) as _
        })?,
        inspectors: of_kind(code, Kind::Inspector, |code| {
            Arc::new(ComponentPlugin::<inspection::GuestIndices>::new(code)) as _
        })?,
        fixers: of_kind(code, Kind::Fixer, |code| {
            Arc::new(ComponentPlugin::<fixing::GuestIndices>::new(code)) as _
        })?,
        sessions: runtime.session_slots(),
    };
    let steps = code
        .iter()
        .filter(|(_, code)| code.file().inspection.kind == Kind::WorkflowStep)
        .map(|(id, code)| (id.clone(), step_of(Arc::clone(code))))
        .collect();
    Ok((set, steps))
}

fn step_of(code: Arc<PluginCode>) -> Arc<dyn WorkflowStep> {
    Arc::new(ComponentPlugin::<step::GuestIndices>::new(code))
}

/// The workflow step in one file whose content must have this digest (sha256, lower-case
/// hexadecimal): a run keeps the components that it began with, wherever the plugin
/// folders have got to.
///
/// # Errors
/// A file with another content is [`LoadError::Changed`]; beside that whatever is wrong
/// with it, and missing grants.
pub fn load_step(
    runtime: &Arc<Runtime>,
    path: &Path,
    digest: &str,
    granted: &Granted,
) -> Result<Arc<dyn WorkflowStep>, LoadError> {
    let file = PluginFile::read(path)?;
    let inspection = &file.inspection;
    if inspection.digest != digest {
        return Err(LoadError::Changed {
            expected: digest.to_owned(),
            found: inspection.digest.clone(),
        });
    }
    if inspection.kind != Kind::WorkflowStep {
        return Err(LoadError::WrongKind {
            found: inspection.kind.to_string(),
            wanted: Kind::WorkflowStep.to_string(),
        });
    }
    inspection.check_grants(granted)?;
    let code = PluginCode::new(Arc::clone(runtime), file, granted);
    Ok(step_of(Arc::new(code)))
}

fn of_kind<P: ?Sized>(
    code: &BTreeMap<String, Arc<PluginCode>>,
    kind: Kind,
    make: impl Fn(Arc<PluginCode>) -> Arc<P>,
) -> Result<Vec<Arc<P>>, OrderCycle> {
    let manifests: Vec<&Manifest> = code
        .values()
        .map(|code| &code.file().inspection)
        .filter(|inspection| inspection.kind == kind)
        .map(|inspection| &inspection.manifest)
        .collect();
    let ids = sequence(&manifests)?;
    let found = ids.iter().filter_map(|id| code.get(id));
    Ok(found.map(|code| make(Arc::clone(code))).collect())
}
