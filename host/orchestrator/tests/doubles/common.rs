//! The doubles, and what sets a guest up with them.

use async_trait::async_trait;
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::{
    Call, DiskSource, FileTree, Filesystem, Fixer, FixerGuest, Inspector, Plugin, PluginSet,
    SessionSlot, SessionSlots,
};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::{Devices, Findings, Machine, SourceFolder, Trees};
use cofferdam_contract::types::{
    Attributes, Entry, Error, ErrorCode, FileKind, Identity, Level, Metadata, MountPoint,
    MountReport, OperatingSystem, Page, Space, Timestamp,
};
use cofferdam_disk::CancelFlag;
use cofferdam_orchestrator::migration::request::{Request, Target};
use cofferdam_orchestrator::observer::{Observer, Stage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

const MAGIC: &[u8; 8] = b"JSONTREE";
pub const NOW: Timestamp = Timestamp {
    seconds: 1_800_000_000,
    nanoseconds: 0,
};

/// An inode of the double.
#[derive(Clone, Serialize, Deserialize)]
pub struct Inode {
    pub metadata: Metadata,
    pub entries: BTreeMap<String, u64>,
    pub content: Vec<u8>,
    pub target: String,
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// A whole file system of the double. Inode 1 is the root.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    pub inodes: BTreeMap<u64, Inode>,
}

type Answer<T> = Result<T, Error>;

pub fn attributes(mode: u32) -> Attributes {
    Attributes {
        mode,
        owner: 0,
        group: 0,
        label: None,
    }
}

fn split(path: &str) -> (&str, &str) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    (if parent.is_empty() { "/" } else { parent }, name)
}

impl State {
    pub fn new() -> Self {
        let mut state = Self {
            inodes: BTreeMap::new(),
        };
        state.inode(FileKind::Directory, &attributes(0o755));
        state
    }

    /// The lowest free number, as ext4 gives it: a number is used again at once.
    fn inode(&mut self, kind: FileKind, attributes: &Attributes) -> u64 {
        let number = (1..).find(|n| !self.inodes.contains_key(n)).unwrap();
        let time = Timestamp {
            seconds: 1000,
            nanoseconds: 0,
        };
        let mut xattrs = BTreeMap::new();
        if let Some(label) = &attributes.label {
            xattrs.insert("security.selinux".to_owned(), label.clone().into_bytes());
        }
        self.inodes.insert(
            number,
            Inode {
                metadata: Metadata {
                    inode: number,
                    kind,
                    mode: attributes.mode,
                    links: if kind == FileKind::Directory { 2 } else { 1 },
                    owner: attributes.owner,
                    group: attributes.group,
                    size: 0,
                    device: None,
                    accessed: time,
                    modified: time,
                    changed: time,
                },
                entries: BTreeMap::new(),
                content: Vec::new(),
                target: String::new(),
                xattrs,
            },
        );
        number
    }

    pub fn number(&self, path: &str) -> Answer<u64> {
        let mut at = 1;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let node = &self.inodes[&at];
            if node.metadata.kind == FileKind::Symlink {
                return Err(Error::invalid("a link in the middle"));
            }
            at = *node
                .entries
                .get(name)
                .ok_or_else(|| Error::not_found(format!("no {path}")))?;
        }
        Ok(at)
    }

    pub fn at(&self, path: &str) -> Answer<&Inode> {
        Ok(&self.inodes[&self.number(path)?])
    }

    pub fn at_mut(&mut self, path: &str) -> Answer<&mut Inode> {
        let number = self.number(path)?;
        Ok(self.inodes.get_mut(&number).unwrap())
    }

    fn changed(&mut self, number: u64) {
        let node = self.inodes.get_mut(&number).unwrap();
        node.metadata.changed.seconds += 1;
        if node.metadata.kind == FileKind::Directory {
            node.metadata.modified.seconds += 1;
        }
    }

    fn enter(&mut self, path: &str, number: u64) -> Answer<()> {
        let (parent, name) = split(path);
        let parent_number = self.number(parent)?;
        let is_directory = self.inodes[&number].metadata.kind == FileKind::Directory;
        let parent = self.inodes.get_mut(&parent_number).unwrap();
        if parent.metadata.kind != FileKind::Directory {
            return Err(Error::not_found("the parent is no directory"));
        }
        parent.entries.insert(name.to_owned(), number);
        parent.metadata.links += u32::from(is_directory);
        self.changed(parent_number);
        Ok(())
    }

    fn leave(&mut self, path: &str) -> Answer<()> {
        let (parent, name) = split(path);
        let number = self.number(path)?;
        let is_directory = self.inodes[&number].metadata.kind == FileKind::Directory;
        let parent_number = self.number(parent)?;
        let parent = self.inodes.get_mut(&parent_number).unwrap();
        parent.entries.remove(name);
        parent.metadata.links -= u32::from(is_directory);
        self.changed(parent_number);
        Ok(())
    }

    fn add(&mut self, path: &str, kind: FileKind, attributes: &Attributes) -> Answer<u64> {
        if self.number(path).is_ok() {
            return Err(Error::new(ErrorCode::Exists, format!("{path} exists")));
        }
        let number = self.inode(kind, attributes);
        self.enter(path, number)?;
        Ok(number)
    }

    pub fn directory(mut self, path: &str) -> Self {
        self.add(path, FileKind::Directory, &attributes(0o755))
            .unwrap();
        self
    }

    pub fn file(mut self, path: &str, content: &str) -> Self {
        let number = self
            .add(path, FileKind::Regular, &attributes(0o644))
            .unwrap();
        let node = self.inodes.get_mut(&number).unwrap();
        node.content = content.as_bytes().to_vec();
        node.metadata.size = content.len() as u64;
        self
    }

    pub fn link_to(mut self, path: &str, target: &str) -> Self {
        self.make_link(path, target, &attributes(0o777)).unwrap();
        self
    }

    pub fn name(mut self, existing: &str, path: &str) -> Self {
        self.hard_link(existing, path).unwrap();
        self
    }

    fn make_link(&mut self, path: &str, target: &str, given: &Attributes) -> Answer<()> {
        let number = self.add(path, FileKind::Symlink, given)?;
        let node = self.inodes.get_mut(&number).unwrap();
        node.target = target.to_owned();
        node.metadata.size = target.len() as u64;
        Ok(())
    }

    pub fn hard_link(&mut self, existing: &str, path: &str) -> Answer<()> {
        let number = self.number(existing)?;
        self.enter(path, number)?;
        self.inodes.get_mut(&number).unwrap().metadata.links += 1;
        self.changed(number);
        Ok(())
    }

    pub fn remove(&mut self, path: &str) -> Answer<()> {
        let number = self.number(path)?;
        if !self.inodes[&number].entries.is_empty() {
            return Err(Error::new(ErrorCode::Conflict, "not empty"));
        }
        self.leave(path)?;
        let node = self.inodes.get_mut(&number).unwrap();
        node.metadata.links -= 1;
        if node.metadata.links == 0 || node.metadata.kind == FileKind::Directory {
            self.inodes.remove(&number);
        } else {
            self.changed(number);
        }
        Ok(())
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Answer<()> {
        let number = self.number(from)?;
        if self.number(to).is_ok() {
            self.remove(to)?;
        }
        self.leave(from)?;
        self.enter(to, number)?;
        self.changed(number);
        Ok(())
    }

    pub fn resize(&mut self, path: &str, size: usize) -> Answer<()> {
        let number = self.number(path)?;
        let node = self.inodes.get_mut(&number).unwrap();
        node.content.resize(size, 0);
        node.metadata.size = size as u64;
        node.metadata.modified.seconds += 1;
        self.changed(number);
        Ok(())
    }

    /// Every path with kind, mode, content or target, and attributes: what two trees must
    /// share to hold the same.
    pub fn shape(&self) -> BTreeMap<String, String> {
        let mut shape = BTreeMap::new();
        let mut ahead = vec![(String::new(), 1)];
        while let Some((path, number)) = ahead.pop() {
            let node = &self.inodes[&number];
            let metadata = &node.metadata;
            let text = format!(
                "{:?} {:o} {}:{} {:?} {} {:?}",
                metadata.kind,
                metadata.mode,
                metadata.owner,
                metadata.group,
                node.content,
                node.target,
                node.xattrs
            );
            shape.insert(path.clone(), text);
            for (name, child) in &node.entries {
                ahead.push((format!("{path}/{name}"), *child));
            }
        }
        shape
    }

    /// The device's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).unwrap();
        let mut bytes = MAGIC.to_vec();
        bytes.extend((json.len() as u64).to_le_bytes());
        bytes.extend(json);
        bytes
    }

    /// Writes a raw disk that holds this.
    pub fn disk(&self, file: &Path) {
        let mut bytes = self.bytes();
        bytes.resize(1 << 18, 0);
        std::fs::write(file, bytes).unwrap();
    }

    pub fn of_disk(file: &Path) -> Self {
        let bytes = std::fs::read(file).unwrap();
        let length = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
        serde_json::from_slice(&bytes[16..16 + usize::try_from(length).unwrap()]).unwrap()
    }
}

fn manifest(id: &str) -> Manifest {
    Manifest::parse(&format!(
        "id = \"{id}\"\nversion = \"0.1.0\"\nsummary = \"A double.\"\n"
    ))
    .unwrap()
}

pub fn callee(plugin: &str, call: &str) -> Callee {
    Callee {
        plugin: plugin.to_owned(),
        call: call.to_owned(),
    }
}

fn returned(plugin: &str, call: &str, error: Error) -> CallError {
    CallError::Returned {
        callee: callee(plugin, call),
        error,
    }
}

macro_rules! plugin {
    ($type:ty) => {
        impl Plugin for $type {
            fn manifest(&self) -> &Manifest {
                &self.manifest
            }
            fn digest(&self) -> &str {
                "00"
            }
        }
    };
}

type Commit = Arc<dyn Fn(&mut State) + Send + Sync>;
type Listing = Arc<dyn Fn(&str, &str) -> Option<Page> + Send + Sync>;

/// The file system. What it does wrong is said by its fields.
#[derive(Clone)]
pub struct JsonTrees {
    manifest: Manifest,
    /// Changes what is committed.
    pub lie: Option<Commit>,
    /// Fails the write that has this number in its session, counted from 1.
    pub fail_at: Option<usize>,
    /// Answers listings (path, cursor) in place of the tree.
    pub listing: Option<Listing>,
}
plugin!(JsonTrees);

impl JsonTrees {
    pub fn honest() -> Self {
        Self {
            manifest: manifest("json-trees"),
            lie: None,
            fail_at: None,
            listing: None,
        }
    }

    pub fn lying(lie: impl Fn(&mut State) + Send + Sync + 'static) -> Self {
        Self {
            lie: Some(Arc::new(lie)),
            ..Self::honest()
        }
    }
}

#[async_trait]
impl Filesystem for JsonTrees {
    async fn open(
        &self,
        _: Call,
        devices: Arc<dyn Devices>,
        _: SessionSlot,
    ) -> Result<Box<dyn FileTree>, CallError> {
        Ok(Box::new(Session {
            plugin: self.clone(),
            devices: Some(devices),
            state: Mutex::new(State::new()),
            writes: Mutex::new(0),
        }))
    }
}

pub struct Session {
    plugin: JsonTrees,
    devices: Option<Arc<dyn Devices>>,
    state: Mutex<State>,
    writes: Mutex<usize>,
}

impl Session {
    /// A mounted session over no device.
    pub fn of(state: State) -> Arc<Self> {
        Arc::new(Self {
            plugin: JsonTrees::honest(),
            devices: None,
            state: Mutex::new(state),
            writes: Mutex::new(0),
        })
    }

    async fn load(&self) -> Answer<Option<State>> {
        let devices = self.devices.as_ref().unwrap();
        let head = devices.read_at(0, 0, 16).await?;
        if &head[..8] != MAGIC {
            return Ok(None);
        }
        let length = u32::try_from(u64::from_le_bytes(head[8..16].try_into().unwrap())).unwrap();
        let json = devices.read_at(0, 16, length).await?;
        Ok(Some(serde_json::from_slice(&json).unwrap()))
    }

    fn read<T>(&self, call: &str, look: impl FnOnce(&State) -> Answer<T>) -> Result<T, CallError> {
        look(&self.state.lock().unwrap()).map_err(|error| returned("json-trees", call, error))
    }

    fn write<T>(
        &self,
        call: &str,
        change: impl FnOnce(&mut State) -> Answer<T>,
    ) -> Result<T, CallError> {
        let mut writes = self.writes.lock().unwrap();
        *writes += 1;
        if self.plugin.fail_at == Some(*writes) {
            let error = Error::new(ErrorCode::NoSpace, "the device is full");
            return Err(returned("json-trees", call, error));
        }
        change(&mut self.state.lock().unwrap()).map_err(|error| returned("json-trees", call, error))
    }
}

#[async_trait]
impl FileTree for Session {
    async fn probe(&self) -> Result<Option<Identity>, CallError> {
        let state = self.load().await;
        let state = state.map_err(|error| returned("json-trees", "probe", error))?;
        Ok(state.map(|_| Identity {
            kind: "jsontree".to_owned(),
            uuid: None,
            label: None,
            clean: true,
        }))
    }
    async fn mount(&self, _: bool) -> Result<MountReport, CallError> {
        let state = self.load().await;
        let state = state.map_err(|error| returned("json-trees", "mount", error))?;
        *self.state.lock().unwrap() = state.unwrap();
        Ok(MountReport {
            replayed: false,
            notes: Vec::new(),
        })
    }
    async fn stat(&self, path: &str) -> Result<Metadata, CallError> {
        self.read("stat", |state| Ok(state.at(path)?.metadata))
    }
    async fn list_directory(&self, path: &str, cursor: &str, _: u32) -> Result<Page, CallError> {
        if let Some(page) = self.plugin.listing.as_ref().and_then(|l| l(path, cursor)) {
            return Ok(page);
        }
        // Two entries a page, so that paging is used by every test.
        self.read("list-directory", |state| {
            let all = &state.at(path)?.entries;
            let skip: usize = cursor.parse().unwrap_or(0);
            let entries = all
                .iter()
                .skip(skip)
                .take(2)
                .map(|(name, inode)| Entry {
                    name: name.clone(),
                    kind: state.inodes[inode].metadata.kind,
                    inode: *inode,
                })
                .collect();
            Ok(Page {
                entries,
                next: (skip + 2 < all.len()).then(|| (skip + 2).to_string()),
            })
        })
    }
    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, CallError> {
        self.read("read-at", |state| {
            let content = &state.at(path)?.content;
            let from = usize::try_from(offset).unwrap().min(content.len());
            let to = (from + length as usize).min(content.len());
            Ok(content[from..to].to_vec())
        })
    }
    async fn read_link(&self, path: &str) -> Result<String, CallError> {
        self.read("read-link", |state| Ok(state.at(path)?.target.clone()))
    }
    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, CallError> {
        self.read("list-xattrs", |state| {
            Ok(state.at(path)?.xattrs.keys().cloned().collect())
        })
    }
    async fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>, CallError> {
        self.read("get-xattr", |state| {
            let value = state.at(path)?.xattrs.get(name).cloned();
            value.ok_or_else(|| Error::not_found("no such attribute"))
        })
    }
    async fn free_space(&self) -> Result<Space, CallError> {
        Ok(Space {
            block_size: 1,
            blocks: 1,
            free_blocks: 1,
            inodes: 0,
            free_inodes: 0,
        })
    }
    async fn create(&self, path: &str, given: &Attributes) -> Result<(), CallError> {
        self.write("create", |state| {
            state.add(path, FileKind::Regular, given).map(|_| ())
        })
    }
    async fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), CallError> {
        self.write("write-at", |state| {
            let from = usize::try_from(offset).unwrap();
            let end = from + bytes.len();
            let size = state.at(path)?.content.len().max(end);
            state.resize(path, size)?;
            state.at_mut(path)?.content[from..end].copy_from_slice(bytes);
            Ok(())
        })
    }
    async fn truncate(&self, path: &str, size: u64) -> Result<(), CallError> {
        self.write("truncate", |state| {
            state.resize(path, usize::try_from(size).unwrap())
        })
    }
    async fn rename(&self, from: &str, to: &str) -> Result<(), CallError> {
        self.write("rename", |state| state.rename(from, to))
    }
    async fn link(&self, existing: &str, path: &str) -> Result<(), CallError> {
        self.write("link", |state| state.hard_link(existing, path))
    }
    async fn symlink(&self, path: &str, target: &str, given: &Attributes) -> Result<(), CallError> {
        self.write("symlink", |state| state.make_link(path, target, given))
    }
    async fn make_directory(&self, path: &str, given: &Attributes) -> Result<(), CallError> {
        self.write("make-directory", |state| {
            state.add(path, FileKind::Directory, given).map(|_| ())
        })
    }
    async fn remove(&self, path: &str) -> Result<(), CallError> {
        self.write("remove", |state| state.remove(path))
    }
    async fn set_attributes(
        &self,
        path: &str,
        mode: u32,
        owner: u32,
        group: u32,
    ) -> Result<(), CallError> {
        self.write("set-attributes", |state| {
            let metadata = &mut state.at_mut(path)?.metadata;
            (metadata.mode, metadata.owner, metadata.group) = (mode, owner, group);
            Ok(())
        })
    }
    async fn set_xattr(
        &self,
        path: &str,
        name: &str,
        value: Option<&[u8]>,
    ) -> Result<(), CallError> {
        self.write("set-xattr", |state| {
            let xattrs = &mut state.at_mut(path)?.xattrs;
            match value {
                Some(value) => xattrs.insert(name.to_owned(), value.to_vec()),
                None => xattrs.remove(name),
            };
            Ok(())
        })
    }
    async fn commit(&self) -> Result<(), CallError> {
        let bytes = self.write("commit", |state| {
            if let Some(lie) = &self.plugin.lie {
                lie(state);
            }
            Ok(state.bytes())
        })?;
        let devices = self.devices.as_ref().unwrap();
        let written = devices.write_at(0, 0, &bytes).await;
        written.map_err(|error| returned("json-trees", "commit", error))
    }
}

/// Takes every `.img` of the folder, in the order of names.
struct Folder {
    manifest: Manifest,
}
plugin!(Folder);

#[async_trait]
impl DiskSource for Folder {
    async fn discover(
        &self,
        _: Call,
        folder: Arc<dyn SourceFolder>,
        machine: Arc<dyn Machine>,
        _: &str,
    ) -> Result<bool, CallError> {
        let told = |error| returned("folder", "discover", error);
        let mut names: Vec<String> = folder
            .list()
            .await
            .map_err(told)?
            .into_iter()
            .map(|file| file.name)
            .filter(|name| name.ends_with(".img"))
            .collect();
        names.sort();
        for name in &names {
            machine.add_disk(name, "raw").map_err(told)?;
        }
        Ok(!names.is_empty())
    }
}

/// Takes the tree with `/os` for the root; `/mountpoint` in another says where it goes.
struct OsFile {
    manifest: Manifest,
}
plugin!(OsFile);

#[async_trait]
impl Inspector for OsFile {
    async fn inspect(
        &self,
        _: Call,
        trees: Arc<dyn Trees>,
        findings: Arc<dyn Findings>,
    ) -> Result<(), CallError> {
        let told = |error| returned("os-file", "inspect", error);
        for tree in trees.list() {
            let path = if trees.stat(tree.index, "/os", true).await.is_ok() {
                let os = OperatingSystem {
                    kind: "linux".to_owned(),
                    distribution: "test".to_owned(),
                    version: "1".to_owned(),
                    name: "Test".to_owned(),
                    architecture: "x86_64".to_owned(),
                };
                findings.set_operating_system(os).map_err(told)?;
                "/".to_owned()
            } else if let Ok(bytes) = trees.read_at(tree.index, "/mountpoint", 0, 100).await {
                String::from_utf8(bytes).unwrap()
            } else {
                continue;
            };
            let mount = MountPoint {
                path,
                device: tree.device,
                options: String::new(),
            };
            findings.add_mount(mount).map_err(told)?;
        }
        Ok(())
    }
}

pub type Fixing = Pin<Box<dyn Future<Output = Answer<()>> + Send>>;

/// A fixer that is a closure.
pub struct Closure {
    manifest: Manifest,
    fix: Box<dyn Fn(FixerGuest) -> Fixing + Send + Sync>,
}
plugin!(Closure);

#[async_trait]
impl Fixer for Closure {
    async fn fix(&self, _: Call, guest: FixerGuest) -> Result<(), CallError> {
        let done = (self.fix)(guest).await;
        done.map_err(|error| returned(&self.manifest.id, "fix", error))
    }
}

pub fn fixer<F>(id: &str, fix: impl Fn(FixerGuest) -> F + Send + Sync + 'static) -> Arc<dyn Fixer>
where
    F: Future<Output = Answer<()>> + Send + 'static,
{
    Arc::new(Closure {
        manifest: manifest(id),
        fix: Box::new(move |guest| Box::pin(fix(guest))),
    })
}

/// A fixer that does `fix` once: it leaves `/done-ID` and does nothing where it is.
pub fn once<F>(id: &str, fix: impl Fn(FixerGuest) -> F + Send + Sync + 'static) -> Arc<dyn Fixer>
where
    F: Future<Output = Answer<()>> + Send + 'static,
{
    let mark = format!("/done-{id}");
    let fix = Arc::new(fix);
    fixer(id, move |guest| {
        let (mark, fix) = (mark.clone(), Arc::clone(&fix));
        async move {
            if guest.view.stat(&mark, false).await.is_ok() {
                return Ok(());
            }
            let edits = Arc::clone(&guest.edits);
            fix(guest).await?;
            edits
                .create(&mark, Vec::new(), attributes(0o600), "it was done")
                .await
        }
    })
}

struct Unlimited;

#[async_trait]
impl SessionSlots for Unlimited {
    async fn reserve(&self, count: u32) -> Result<Vec<SessionSlot>, CallError> {
        Ok((0..count).map(|_| SessionSlot::unlimited()).collect())
    }
}

struct Silent;

impl Observer for Silent {
    fn stage(&self, _: Stage) {}
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, _: &str, _: Level, _: &str, _: &[(String, String)]) {}
}

/// A machine in a folder of its own.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub request: Request,
}

impl Bench {
    pub fn new(disks: &[State], filesystem: JsonTrees, fixers: Vec<Arc<dyn Fixer>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..disks.len())
            .map(|number| folder.path().join(format!("vm{number}.img")))
            .collect();
        for (disk, file) in disks.iter().zip(&files) {
            disk.disk(file);
        }
        let request = Request {
            sources: vec![files[0].clone()],
            named: vec![files[0].clone()],
            target: Target {
                format: "raw".to_owned(),
                compression: None,
                disk_bus: "virtio-blk".to_owned(),
                nic_model: "virtio-net".to_owned(),
            },
            plugins: PluginSet {
                sources: vec![Arc::new(Folder {
                    manifest: manifest("folder"),
                })],
                filesystems: vec![Arc::new(filesystem)],
                inspectors: vec![Arc::new(OsFile {
                    manifest: manifest("os-file"),
                })],
                fixers,
                sessions: Arc::new(Unlimited),
            },
            settings: BTreeMap::new(),
            time: NOW,
            observer: Arc::new(Silent),
            cancel: CancelFlag::new(),
            scratch: folder.path().to_owned(),
        };
        Self { folder, request }
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }
}

/// A small guest with a bit of everything.
pub fn guest() -> State {
    let mut state = State::new()
        .file("/os", "test")
        .directory("/etc")
        .directory("/boot")
        .file("/etc/fstab", "one\ntwo\n")
        .name("/etc/fstab", "/etc/fstab.twin")
        .file("/etc/other", "other")
        .link_to("/etc/absolute", "/etc/fstab")
        .link_to("/etc/relative", "../etc/fstab")
        .link_to("/etc/above", "../../../../etc/fstab")
        .link_to("/etc/loop", "loop")
        .link_to("/etc/dangling", "/nowhere")
        .link_to("/conf", "etc");
    let other = state.at_mut("/etc/other").unwrap();
    other
        .xattrs
        .insert("user.note".to_owned(), b"kept".to_vec());
    state
}

/// What `/boot` holds when it is a file system of its own.
pub fn boot() -> State {
    State::new()
        .file("/mountpoint", "/boot")
        .file("/kernel", "vmlinuz")
        .link_to("/up", "../etc/fstab")
}
