//! One trait for each kind of plugin: what the orchestrator calls.
//!
//! A component behind the runtime is one implementation, a native driver or a test
//! double another; the same tests run over both. What each function means is said in
//! `wit/plugin`.

use crate::failure::CallError;
use crate::grants::{HTTP, sends_http};
use crate::manifest::Manifest;
use crate::services::{
    Artifacts, Context, Devices, Edits, Facts, Findings, Machine, Operations, Outbound, Secrets,
    SourceFolder, Tools, Trees, View,
};
use crate::types::{Attributes, Identity, Metadata, MountReport, Page, Space, StepPlan};
use async_trait::async_trait;
use std::any::Any;
use std::sync::Arc;

/// Which kind a plugin is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// World `disk-source`.
    DiskSource,
    /// World `filesystem`.
    Filesystem,
    /// World `inspector`.
    Inspector,
    /// World `fixer`.
    Fixer,
    /// World `workflow-step`.
    WorkflowStep,
}

impl Kind {
    /// Every kind: those of a migration in the order it uses them, then the others.
    pub const ALL: [Self; 5] = [
        Self::DiskSource,
        Self::Filesystem,
        Self::Inspector,
        Self::Fixer,
        Self::WorkflowStep,
    ];

    /// The world's name in `cofferdam:plugin`.
    pub fn world(self) -> &'static str {
        match self {
            Self::DiskSource => "disk-source",
            Self::Filesystem => "filesystem",
            Self::Inspector => "inspector",
            Self::Fixer => "fixer",
            Self::WorkflowStep => "workflow-step",
        }
    }

    /// The interface that a component of this kind exports, with its version.
    pub fn export(self) -> &'static str {
        match self {
            Self::DiskSource => "cofferdam:plugin/discovery@0.1.0",
            Self::Filesystem => "cofferdam:plugin/file-tree@0.1.0",
            Self::Inspector => "cofferdam:plugin/inspection@0.1.0",
            Self::Fixer => "cofferdam:plugin/fixing@0.1.0",
            Self::WorkflowStep => "cofferdam:plugin/step@0.1.0",
        }
    }

    /// The `cofferdam:*` interfaces that belong to the world: choosing such a plugin is
    /// granting them.
    pub fn inherent_imports(self) -> &'static [&'static str] {
        match self {
            Self::DiskSource => &[
                "cofferdam:runtime/context@0.1.0",
                "cofferdam:runtime/config@0.1.0",
                "cofferdam:disk/source-folder@0.1.0",
                "cofferdam:disk/machine@0.1.0",
            ],
            Self::Filesystem => &[
                "cofferdam:runtime/context@0.1.0",
                "cofferdam:runtime/config@0.1.0",
                "cofferdam:disk/devices@0.1.0",
                "cofferdam:reply/reply@0.1.0",
            ],
            Self::Inspector => &[
                "cofferdam:runtime/context@0.1.0",
                "cofferdam:runtime/config@0.1.0",
                "cofferdam:guest/trees@0.1.0",
                "cofferdam:guest/findings@0.1.0",
            ],
            Self::Fixer => &[
                "cofferdam:runtime/context@0.1.0",
                "cofferdam:runtime/config@0.1.0",
                "cofferdam:guest/view@0.1.0",
                "cofferdam:guest/facts@0.1.0",
                "cofferdam:guest/edits@0.1.0",
            ],
            Self::WorkflowStep => &[
                "cofferdam:runtime/context@0.1.0",
                "cofferdam:runtime/config@0.1.0",
            ],
        }
    }

    /// The interfaces that a plugin of this kind may import where the operator granted
    /// them to it; those of `wasi:http` by their capability's name.
    pub fn grantable_imports(self) -> &'static [&'static str] {
        match self {
            Self::DiskSource | Self::Filesystem | Self::Inspector | Self::Fixer => &[],
            Self::WorkflowStep => &[
                "cofferdam:runtime/secrets@0.1.0",
                "cofferdam:tool/tool@0.1.0",
                HTTP,
            ],
        }
    }

    /// Whether an import (with its version) is one that a plugin of this kind may be
    /// granted.
    pub fn may_be_granted(self, import: &str) -> bool {
        let mut offered = self.grantable_imports().iter();
        offered.any(|name| *name == import || (*name == HTTP && sends_http(import)))
    }

    /// Whether the same input has to give the same bytes: such a plugin's clocks stand
    /// still at the call's time and its random numbers follow from it.
    pub fn is_pure(self) -> bool {
        !matches!(self, Self::WorkflowStep)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.world())
    }
}

/// What is the same for every plugin.
pub trait Plugin: Send + Sync {
    /// What it says of itself.
    fn manifest(&self) -> &Manifest;
    /// Sha256 of the component's file, lower-case hexadecimal; what a plan is bound to.
    fn digest(&self) -> &str;
}

/// What every call is given.
#[derive(Clone)]
pub struct Call {
    /// The run it belongs to.
    pub context: Arc<dyn Context>,
    /// This plugin's settings, JSON, checked and with defaults.
    pub settings: String,
}

/// Finds a machine's disks.
#[async_trait]
pub trait DiskSource: Plugin {
    /// True when the file is of its kind and was recorded.
    async fn discover(
        &self,
        call: Call,
        folder: Arc<dyn SourceFolder>,
        machine: Arc<dyn Machine>,
        name: &str,
    ) -> Result<bool, CallError>;
}

/// The right to one session. Dropping it gives it back.
///
/// Sessions nest below other calls, so they are counted apart, and all that one guest
/// needs are reserved together ([`SessionSlots::reserve`]): a full pool queues and
/// cannot deadlock. Clones are the same right: its holder has one session of it at a time.
#[derive(Clone)]
pub struct SessionSlot(
    #[expect(dead_code, reason = "held for what its drop does")] Option<Arc<dyn Any + Send + Sync>>,
);

impl SessionSlot {
    /// A slot that `guard` gives back when it is dropped.
    pub fn held_by(guard: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(guard)))
    }

    /// A slot of implementations that have no limit.
    pub fn unlimited() -> Self {
        Self(None)
    }
}

/// Hands out session slots.
#[async_trait]
pub trait SessionSlots: Send + Sync {
    /// Waits until `count` sessions are free and takes them together. More than can ever
    /// be free is an error at once.
    async fn reserve(&self, count: u32) -> Result<Vec<SessionSlot>, CallError>;
}

/// Makes files of block devices.
#[async_trait]
pub trait Filesystem: Plugin {
    /// Begins a session over the devices. Nothing is read yet.
    async fn open(
        &self,
        call: Call,
        devices: Arc<dyn Devices>,
        slot: SessionSlot,
    ) -> Result<Box<dyn FileTree>, CallError>;
}

/// One session of a file system. Calls do not overlap: a second one waits.
#[async_trait]
pub trait FileTree: Send + Sync {
    /// What the devices hold, if it is this plugin's.
    async fn probe(&self) -> Result<Option<Identity>, CallError>;
    /// Mounts.
    async fn mount(&self, writable: bool) -> Result<MountReport, CallError>;
    /// Metadata of a path.
    async fn stat(&self, path: &str) -> Result<Metadata, CallError>;
    /// Some entries of a directory.
    async fn list_directory(&self, path: &str, cursor: &str, limit: u32)
    -> Result<Page, CallError>;
    /// Up to `length` bytes of a file.
    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, CallError>;
    /// Target of a link.
    async fn read_link(&self, path: &str) -> Result<String, CallError>;
    /// Names of the extended attributes.
    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, CallError>;
    /// One extended attribute.
    async fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>, CallError>;
    /// Room left.
    async fn free_space(&self) -> Result<Space, CallError>;
    /// A new empty file.
    async fn create(&self, path: &str, attributes: &Attributes) -> Result<(), CallError>;
    /// Writes all bytes.
    async fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), CallError>;
    /// Cuts or extends.
    async fn truncate(&self, path: &str, size: u64) -> Result<(), CallError>;
    /// A new name.
    async fn rename(&self, from: &str, to: &str) -> Result<(), CallError>;
    /// One more name.
    async fn link(&self, existing: &str, path: &str) -> Result<(), CallError>;
    /// A new symbolic link.
    async fn symlink(
        &self,
        path: &str,
        target: &str,
        attributes: &Attributes,
    ) -> Result<(), CallError>;
    /// A new directory.
    async fn make_directory(&self, path: &str, attributes: &Attributes) -> Result<(), CallError>;
    /// Removes a file, link or empty directory.
    async fn remove(&self, path: &str) -> Result<(), CallError>;
    /// Permission bits, owner and group.
    async fn set_attributes(
        &self,
        path: &str,
        mode: u32,
        owner: u32,
        group: u32,
    ) -> Result<(), CallError>;
    /// Sets or removes an extended attribute.
    async fn set_xattr(
        &self,
        path: &str,
        name: &str,
        value: Option<&[u8]>,
    ) -> Result<(), CallError>;
    /// Makes everything written count.
    async fn commit(&self) -> Result<(), CallError>;
}

/// Says what a guest is.
#[async_trait]
pub trait Inspector: Plugin {
    /// Looks at the trees and records findings.
    async fn inspect(
        &self,
        call: Call,
        trees: Arc<dyn Trees>,
        findings: Arc<dyn Findings>,
    ) -> Result<(), CallError>;
}

/// What a fixer is given beside its call.
#[derive(Clone)]
pub struct FixerGuest {
    /// The guest as it is, edits so far included.
    pub view: Arc<dyn View>,
    /// What is known beside the files.
    pub facts: Arc<Facts>,
    /// Where edits are recorded.
    pub edits: Arc<dyn Edits>,
}

/// Plans edits.
#[async_trait]
pub trait Fixer: Plugin {
    /// Looks at the guest and records edits.
    async fn fix(&self, call: Call, guest: FixerGuest) -> Result<(), CallError>;
}

/// What a step is given beside its call.
#[derive(Clone)]
pub struct StepServices {
    /// Granted programs.
    pub tools: Arc<dyn Tools>,
    /// Granted secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Where requests may be sent.
    pub http: Arc<dyn Outbound>,
    /// The journal of outside effects, for native steps.
    pub operations: Arc<dyn Operations>,
    /// The run's artifacts, for native steps.
    pub artifacts: Arc<dyn Artifacts>,
}

/// One step of a workflow. `input` is a JSON object, as text.
#[async_trait]
pub trait WorkflowStep: Plugin {
    /// Checks the input, without effects.
    async fn validate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<(), CallError>;
    /// What [`execute`](Self::execute) would do, without doing it.
    async fn plan(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<StepPlan, CallError>;
    /// Does it; the output is a JSON object, as text, of at most [`MOST_STEP_JSON`] bytes.
    async fn execute(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
    ) -> Result<String, CallError>;
    /// Undoes it; `output` is none where it did not end well.
    async fn compensate(
        &self,
        call: Call,
        services: StepServices,
        input: &str,
        output: Option<&str>,
    ) -> Result<(), CallError>;
}

/// The most bytes of a step's input, and of its output (`wit/plugin`, interface `step`).
pub const MOST_STEP_JSON: usize = 1 << 20;

/// The plugins that a run may use, each kind in the order of its manifests.
#[derive(Clone)]
pub struct PluginSet {
    /// Disk sources; the first that says yes is taken.
    pub sources: Vec<Arc<dyn DiskSource>>,
    /// File systems; the first that recognises a device is taken.
    pub filesystems: Vec<Arc<dyn Filesystem>>,
    /// Inspectors; all are asked.
    pub inspectors: Vec<Arc<dyn Inspector>>,
    /// Fixers; all are asked, later ones see the edits of earlier ones.
    pub fixers: Vec<Arc<dyn Fixer>>,
    /// Where sessions of the file systems come from.
    pub sessions: Arc<dyn SessionSlots>,
}
