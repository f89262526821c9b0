//! What can be wrong with a plugin's file, and with starting the runtime.

use cofferdam_contract::failure::{CallError, Callee, Limit};
use cofferdam_contract::grants::{Want, capability};
use cofferdam_contract::manifest::ManifestError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a file is not a plugin that this host can load.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file or folder cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// A folder, pipe or device.
    #[error("not a regular file")]
    NotAFile,
    /// Larger than the host compiles.
    #[error(
        "it has {size} bytes and at most {most} are compiled; strip debug information, or split the plugin"
    )]
    TooLarge {
        /// The file's size.
        size: u64,
        /// The most that is accepted.
        most: u64,
    },
    /// Not WebAssembly, or damaged.
    #[error("not a WebAssembly component: {reason} (at byte {offset})")]
    NotWasm {
        /// What the parser found.
        reason: String,
        /// Where.
        offset: u64,
    },
    /// A core module.
    #[error(
        "a core WebAssembly module, not a component; build for wasm32-wasip2, or use `cofferdam plugin build`"
    )]
    CoreModule,
    /// It exports no kind's interface.
    #[error(
        "fits no kind of plugin: it exports {}, and a plugin exports one of {}",
        listed(exports),
        listed(would_fit)
    )]
    NoWorld {
        /// What it exports.
        exports: Vec<String>,
        /// The interfaces that make a plugin.
        would_fit: Vec<String>,
    },
    /// It exports the interfaces of several kinds.
    #[error("exports {} together; a plugin is of one kind, so build one component for each", listed(.0))]
    SeveralWorlds(Vec<String>),
    /// No manifest.
    #[error(
        "has no manifest (custom section `cofferdam:manifest`); `cofferdam plugin build` embeds plugin.toml"
    )]
    NoManifest,
    /// More than one manifest.
    #[error("has {0} manifests (custom sections `cofferdam:manifest`); exactly one is allowed")]
    SeveralManifests(usize),
    /// The manifest is not acceptable.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest's section is not text.
    #[error("the manifest is not UTF-8 text")]
    ManifestNotText,
    /// An import that plugins of this kind may not have.
    #[error(
        "imports {import}, which {} may not have: it may have only {}",
        a_kind(kind),
        listed(allowed)
    )]
    ForbiddenImport {
        /// The import.
        import: String,
        /// What kind the plugin is.
        kind: String,
        /// What its kind may import, beside inert WASI 0.2.
        allowed: Vec<String>,
    },
    /// An import that this host does not offer to anyone.
    #[error("imports {0}, which this host does not offer; it may be made for a newer one")]
    UnknownImport(String),
    /// The manifest asks for a capability that this kind may not hold.
    #[error(
        "wants the capability {capability}, which {} cannot be granted",
        a_kind(kind)
    )]
    ForbiddenCapability {
        /// What it asks for.
        capability: String,
        /// What kind the plugin is.
        kind: String,
    },
    /// It imports what its manifest does not ask for.
    #[error(
        "imports {0} and does not say so; add a [[capabilities]] table with the name \"{name}\" to its plugin.toml that says why",
        name = capability(.0)
    )]
    Undeclared(String),
    /// It imports what the operator did not grant.
    #[error(
        "imports {}, which needs a grant; if it is to have it, look at the limits that the plugin proposes, narrow them, and add to cofferdam.toml, which a running host reads only when it starts (restart it then):\n{lines}",
        with_reasons(missing)
    )]
    NotGranted {
        /// What it wants and was not granted.
        missing: Vec<Want>,
        /// The lines that grant it.
        lines: String,
    },
    /// It is not of the kind that is wanted.
    #[error("is {} where {} is wanted", a_kind(found), a_kind(wanted))]
    WrongKind {
        /// The kind it is of.
        found: String,
        /// The kind that is wanted.
        wanted: String,
    },
    /// The id is taken.
    #[error(
        "its id `{id}` is also that of {}; an id belongs to one plugin, so remove the others",
        paths(others)
    )]
    DuplicateId {
        /// The id.
        id: String,
        /// The other files.
        others: Vec<PathBuf>,
    },
    /// The file is not the one that was looked at.
    #[error("is not the file that it was: its digest was {expected} and is {found}")]
    Changed {
        /// Digest that it must have.
        expected: String,
        /// Digest now.
        found: String,
    },
    /// Loading it was stopped at a limit.
    #[error("loading it was stopped at the {limit} limit of {allowed}; {}", limit.remedy("ID"))]
    Limit {
        /// Which limit.
        limit: Limit,
        /// How much it allows, for people (`300 s`, `4096 MiB`).
        allowed: String,
    },
    /// The process that compiles it ended badly or gave an answer that is not to be
    /// trusted.
    #[error(
        "the compiler failed on it: {0}; if it does so again the component is not to be trusted"
    )]
    Compiler(String),
    /// The compiler refuses it.
    #[error("does not compile: {0}")]
    Compile(String),
    /// It cannot be joined with what the host offers.
    #[error("does not fit this host: {0}")]
    Link(String),
    /// The host could not do it.
    #[error("the host failed: {0}")]
    Host(String),
}

impl LoadError {
    /// The same as the failure of a call that needed the plugin loaded.
    pub fn into_call_error(self, callee: Callee) -> CallError {
        match self {
            Self::Limit { limit, allowed } => CallError::Limit {
                callee,
                limit,
                allowed,
            },
            other => CallError::Host {
                callee,
                reason: other.to_string(),
            },
        }
    }
}

/// The runtime cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// wasmtime refuses the configuration or finds no memory.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// A capability does not fit the linker.
    #[error("the capability {interface} cannot be linked: {reason}")]
    Capability {
        /// Which.
        interface: String,
        /// What the linker says.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

fn with_reasons(wants: &[Want]) -> String {
    let shown: Vec<String> = wants
        .iter()
        .map(|want| format!("{} ({})", want.interface, want.why))
        .collect();
    shown.join(", ")
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

fn paths(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    shown.join(", ")
}

fn a_kind(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}
