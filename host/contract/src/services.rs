//! What the host offers to plugins: one trait for each importable interface.
//!
//! The orchestrator implements them for a real run, tests implement them on data, and
//! `capabilities` puts them behind a component's imports. They are asynchronous because
//! one may lead to another plugin (a fixer's `read-at` goes through a file system). What
//! each function means is said in `wit/`.

use crate::types::{
    Attributes, BlockDevice, DeviceInfo, Error, Extent, Kernel, Level, Metadata, MountPoint, Nic,
    OperatingSystem, Page, Severity, SourceFile, Space, TargetMachine, Timestamp, ToolOutcome,
    ToolRequest, Tree,
};
use async_trait::async_trait;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// `cofferdam:runtime/context`, less what the runtime knows itself (the deadline).
pub trait Context: Send + Sync {
    /// The run this call belongs to.
    fn run_id(&self) -> String;
    /// Whether the run was cancelled.
    fn cancelled(&self) -> bool;
    /// The plan's time, for kinds that must not see the clock.
    fn now(&self) -> Timestamp;
    /// How far `plugin` is.
    fn progress(&self, plugin: &str, done: u64, total: u64, unit: &str);
    /// One log line of `plugin`.
    fn log(&self, plugin: &str, level: Level, message: &str, fields: &[(String, String)]);
}

/// `cofferdam:disk/devices`.
#[async_trait]
pub trait Devices: Send + Sync {
    /// How many devices there are.
    fn count(&self) -> u32;
    /// Size and kind of a device.
    fn info(&self, device: u32) -> Result<DeviceInfo, Error>;
    /// Exactly `length` bytes.
    async fn read_at(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error>;
    /// Writes all bytes.
    async fn write_at(&self, device: u32, offset: u64, bytes: &[u8]) -> Result<(), Error>;
    /// Returns when earlier writes are safe.
    async fn flush(&self, device: u32) -> Result<(), Error>;
    /// What a range holds.
    async fn extents(&self, device: u32, offset: u64, length: u64) -> Result<Vec<Extent>, Error>;
}

/// `cofferdam:disk/source-folder`.
#[async_trait]
pub trait SourceFolder: Send + Sync {
    /// The regular files.
    async fn list(&self) -> Result<Vec<SourceFile>, Error>;
    /// One file.
    async fn stat(&self, name: &str) -> Result<SourceFile, Error>;
    /// Up to `length` bytes.
    async fn read_at(&self, name: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error>;
}

/// `cofferdam:disk/machine`: records in order.
pub trait Machine: Send + Sync {
    /// The next disk.
    fn add_disk(&self, name: &str, format: &str) -> Result<(), Error>;
    /// The machine's name.
    fn set_name(&self, name: &str) -> Result<(), Error>;
    /// `bios` or `uefi`.
    fn set_firmware(&self, firmware: &str) -> Result<(), Error>;
    /// Memory in MiB.
    fn set_memory(&self, mebibytes: u32) -> Result<(), Error>;
    /// A network card.
    fn add_nic(&self, nic: Nic) -> Result<(), Error>;
    /// A remark for people.
    fn note(&self, severity: Severity, message: &str) -> Result<(), Error>;
}

/// `cofferdam:guest/trees`.
#[async_trait]
pub trait Trees: Send + Sync {
    /// Every disk and partition.
    fn devices(&self) -> Vec<BlockDevice>;
    /// The file systems.
    fn list(&self) -> Vec<Tree>;
    /// Up to `length` bytes of a device.
    async fn read_device(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error>;
    /// Metadata of a path.
    async fn stat(&self, tree: u32, path: &str, follow: bool) -> Result<Metadata, Error>;
    /// Some entries of a directory.
    async fn list_directory(
        &self,
        tree: u32,
        path: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, Error>;
    /// Up to `length` bytes of a file.
    async fn read_at(
        &self,
        tree: u32,
        path: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, Error>;
    /// Target of a link.
    async fn read_link(&self, tree: u32, path: &str) -> Result<String, Error>;
}

/// `cofferdam:guest/findings`.
pub trait Findings: Send + Sync {
    /// The operating system.
    fn set_operating_system(&self, os: OperatingSystem) -> Result<(), Error>;
    /// Where a device is mounted.
    fn add_mount(&self, mount: MountPoint) -> Result<(), Error>;
    /// A kernel.
    fn add_kernel(&self, kernel: Kernel) -> Result<(), Error>;
    /// What a device holds.
    fn identify_device(
        &self,
        device: u32,
        kind: &str,
        uuid: Option<String>,
        label: Option<String>,
    ) -> Result<(), Error>;
    /// Any other fact.
    fn set_fact(&self, key: &str, value: &str) -> Result<(), Error>;
    /// A remark for people.
    fn note(&self, severity: Severity, message: &str) -> Result<(), Error>;
}

/// `cofferdam:guest/view`.
#[async_trait]
pub trait View: Send + Sync {
    /// Metadata of a path.
    async fn stat(&self, path: &str, follow: bool) -> Result<Metadata, Error>;
    /// Some entries of a directory.
    async fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page, Error>;
    /// Up to `length` bytes of a file.
    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error>;
    /// Target of a link.
    async fn read_link(&self, path: &str) -> Result<String, Error>;
    /// Names of the extended attributes.
    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, Error>;
    /// One extended attribute.
    async fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>, Error>;
    /// Room left.
    async fn free_space(&self, path: &str) -> Result<Space, Error>;
}

/// `cofferdam:guest/facts`: plain data, the same for the whole call.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Facts {
    /// The operating system.
    pub operating_system: OperatingSystem,
    /// Every disk and partition.
    pub devices: Vec<BlockDevice>,
    /// Where file systems are mounted.
    pub mounts: Vec<MountPoint>,
    /// Installed kernels.
    pub kernels: Vec<Kernel>,
    /// Network cards.
    pub nics: Vec<Nic>,
    /// `bios`, `uefi` or `unknown`.
    pub firmware: String,
    /// What the guest will run on.
    pub target: TargetMachine,
    /// What inspectors recorded beside all that.
    pub other: BTreeMap<String, String>,
}

/// `cofferdam:guest/edits`.
#[async_trait]
pub trait Edits: Send + Sync {
    /// Replaces the content of a file.
    async fn write(&self, path: &str, content: Vec<u8>, reason: &str) -> Result<(), Error>;
    /// A new file.
    async fn create(
        &self,
        path: &str,
        content: Vec<u8>,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error>;
    /// Adds to the end of a file.
    async fn append(&self, path: &str, content: Vec<u8>, reason: &str) -> Result<(), Error>;
    /// Overwrites bytes inside a file.
    async fn patch(
        &self,
        path: &str,
        offset: u64,
        content: Vec<u8>,
        reason: &str,
    ) -> Result<(), Error>;
    /// A new file like another.
    async fn copy(&self, from: &str, to: &str, reason: &str) -> Result<(), Error>;
    /// A new directory.
    async fn make_directory(
        &self,
        path: &str,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error>;
    /// A new name.
    async fn rename(&self, from: &str, to: &str, reason: &str) -> Result<(), Error>;
    /// Removes a file, link or empty directory.
    async fn remove(&self, path: &str, reason: &str) -> Result<(), Error>;
    /// A new symbolic link.
    async fn symlink(
        &self,
        path: &str,
        target: &str,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error>;
    /// One more name for a file.
    async fn link(&self, existing: &str, path: &str, reason: &str) -> Result<(), Error>;
    /// Permission bits.
    async fn set_mode(&self, path: &str, mode: u32, reason: &str) -> Result<(), Error>;
    /// Owner and group.
    async fn set_owner(
        &self,
        path: &str,
        owner: u32,
        group: u32,
        reason: &str,
    ) -> Result<(), Error>;
    /// An extended attribute.
    async fn set_xattr(
        &self,
        path: &str,
        name: &str,
        value: Option<Vec<u8>>,
        reason: &str,
    ) -> Result<(), Error>;
    /// A remark for people.
    fn note(&self, severity: Severity, message: &str) -> Result<(), Error>;
}

/// `cofferdam:tool/tool`: programs that the operator granted to this plugin.
///
/// Dropping the future of [`run`](Self::run) stops the program only where the run was
/// cancelled or the step's time is over; after a kill of the host it is attached to again.
#[async_trait]
pub trait Tools: Send + Sync {
    /// Runs a program to its end, at most once for each operation of the step.
    async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error>;
    /// Makes a file of the working folder an artifact; its reference.
    async fn keep(&self, file: &str, name: &str) -> Result<String, Error>;
}

/// `cofferdam:runtime/secrets`: the project's secrets that were granted to this plugin.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The value of a secret. Never logged, never recorded.
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error>;
}

/// A request that a plugin wants to send, as far as its grant looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundRequest {
    /// The method, in upper case.
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The host as it was named: a name in lower case without an ending dot, or an address
    /// without brackets.
    pub host: String,
    /// The port, where none was named that of the scheme.
    pub port: u16,
    /// The path without the query, as it is sent; at least `/`.
    pub path: String,
}

/// `wasi:http`: where this plugin may send requests. Both questions are asked for each
/// request; the address is the one that will be connected to.
///
/// # Errors
/// `denied`, with a message that names the scope.
pub trait Outbound: Send + Sync {
    /// Whether the request may be sent, before its host is looked up.
    fn request(&self, request: &OutboundRequest) -> Result<(), Error>;
    /// Whether the address that `host` was looked up to may be connected to.
    fn address(&self, host: &str, address: IpAddr) -> Result<(), Error>;
}

/// What is known of a host operation when a step comes to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is begun now, and recorded as such before this returned.
    New {
        /// The same in every attempt and after every restart; goes onto what is made.
        key: String,
    },
    /// An earlier attempt began it and no end is recorded: look by the key what became of
    /// it, attach to it, or begin it again where that has the same one effect.
    Started {
        /// The key it was begun with.
        key: String,
    },
    /// It has ended, with this result.
    Finished {
        /// What [`Operations::finish`] recorded.
        result: Value,
    },
}

/// The journal of a step's outside effects. For native steps: a component's effects go
/// through imports, and what stands behind those keeps the journal itself.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Begins the operation `name`, unique in its step, or says how far it is. Durable
    /// against power loss when it returns. The same name with another request is
    /// `conflict`.
    async fn begin(&self, name: &str, request: Value) -> Result<Begun, Error>;
    /// Records the result. Durable against power loss when it returns.
    async fn finish(&self, name: &str, result: Value) -> Result<(), Error>;
    /// Records that nobody can say how the operation ended; the step is parked.
    async fn lost(&self, name: &str) -> Result<(), Error>;
}

/// The run's artifacts. For native steps: a component passes references and never learns
/// a path.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// The file behind a reference (`artifact:STEP/FILE`, `artifact:inputs/NAME`).
    async fn path(&self, reference: &str) -> Result<PathBuf, Error>;
    /// Makes the file at `path` an artifact of this step called `name`; its reference.
    /// The file stays where it is. Doing it again replaces the artifact.
    async fn add(&self, path: &Path, name: &str) -> Result<String, Error>;
}
