//! The services of a call, seen from the side: as they are while everything is written down,
//! or out of a recording.

use crate::record::Tape;
use crate::recording::{
    Ask, Block, ContextAsk, EditsAsk, FindingsAsk, HttpAsk, SecretsAsk, ToolAsk, TreesAsk, ViewAsk,
};
use crate::replay::Script;
use async_trait::async_trait;
use cofferdam_contract::services::{
    Context, Edits, Findings, Outbound, OutboundRequest, Secrets, Tools, Trees, View,
};
use cofferdam_contract::types::{
    Attributes, BlockDevice, Error, Kernel, Level, Metadata, MountPoint, OperatingSystem, Page,
    Severity, Space, Timestamp, ToolOutcome, ToolRequest, Tree,
};
use std::net::IpAddr;
use std::sync::Arc;

/// A service of a call.
pub(crate) enum Side<S: ?Sized> {
    /// The real one; what crosses is written down.
    Live { service: Arc<S>, tape: Arc<Tape> },
    /// What was written down.
    Recorded(Arc<Script>),
}

impl<S: ?Sized> Side<S> {
    pub(crate) fn live(service: Arc<S>, tape: &Arc<Tape>) -> Arc<Self> {
        Arc::new(Self::Live {
            service,
            tape: Arc::clone(tape),
        })
    }

    pub(crate) fn recorded(script: &Arc<Script>) -> Arc<Self> {
        Arc::new(Self::Recorded(Arc::clone(script)))
    }
}

/// One function of a service: asked of the real one and written down, or answered.
macro_rules! cross {
    ($side:expr, $ask:expr, $live:ident => $call:expr) => {
        match $side {
            Side::Live {
                service: $live,
                tape,
            } => {
                let place = tape.asked(Ask::from($ask));
                let result = $call;
                tape.answered(place, &result);
                result
            }
            Side::Recorded(script) => script.answer(&Ask::from($ask)),
        }
    };
}

#[async_trait]
impl View for Side<dyn View> {
    async fn stat(&self, path: &str, follow: bool) -> Result<Metadata, Error> {
        let ask = ViewAsk::Stat {
            path: path.to_owned(),
            follow,
        };
        cross!(self, ask, view => view.stat(path, follow).await)
    }

    async fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page, Error> {
        let ask = ViewAsk::ListDirectory {
            path: path.to_owned(),
            cursor: cursor.to_owned(),
            limit,
        };
        cross!(self, ask, view => view.list_directory(path, cursor, limit).await)
    }

    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let ask = ViewAsk::ReadAt {
            path: path.to_owned(),
            offset,
            length,
        };
        cross!(self, ask, view => view.read_at(path, offset, length).await)
    }

    async fn read_link(&self, path: &str) -> Result<String, Error> {
        let ask = ViewAsk::ReadLink {
            path: path.to_owned(),
        };
        cross!(self, ask, view => view.read_link(path).await)
    }

    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, Error> {
        let ask = ViewAsk::ListXattrs {
            path: path.to_owned(),
        };
        cross!(self, ask, view => view.list_xattrs(path).await)
    }

    async fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>, Error> {
        let ask = ViewAsk::GetXattr {
            path: path.to_owned(),
            name: name.to_owned(),
        };
        cross!(self, ask, view => view.get_xattr(path, name).await)
    }

    async fn free_space(&self, path: &str) -> Result<Space, Error> {
        let ask = ViewAsk::FreeSpace {
            path: path.to_owned(),
        };
        cross!(self, ask, view => view.free_space(path).await)
    }
}

#[async_trait]
impl Edits for Side<dyn Edits> {
    async fn write(&self, path: &str, content: Vec<u8>, reason: &str) -> Result<(), Error> {
        let ask = EditsAsk::Write {
            path: path.to_owned(),
            content: Block::new(&content),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.write(path, content, reason).await)
    }

    async fn create(
        &self,
        path: &str,
        content: Vec<u8>,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error> {
        let ask = EditsAsk::Create {
            path: path.to_owned(),
            content: Block::new(&content),
            attributes: attributes.clone(),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.create(path, content, attributes, reason).await)
    }

    async fn append(&self, path: &str, content: Vec<u8>, reason: &str) -> Result<(), Error> {
        let ask = EditsAsk::Append {
            path: path.to_owned(),
            content: Block::new(&content),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.append(path, content, reason).await)
    }

    async fn patch(
        &self,
        path: &str,
        offset: u64,
        content: Vec<u8>,
        reason: &str,
    ) -> Result<(), Error> {
        let ask = EditsAsk::Patch {
            path: path.to_owned(),
            offset,
            content: Block::new(&content),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.patch(path, offset, content, reason).await)
    }

    async fn copy(&self, from: &str, to: &str, reason: &str) -> Result<(), Error> {
        let ask = EditsAsk::Copy {
            from: from.to_owned(),
            to: to.to_owned(),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.copy(from, to, reason).await)
    }

    async fn make_directory(
        &self,
        path: &str,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error> {
        let ask = EditsAsk::MakeDirectory {
            path: path.to_owned(),
            attributes: attributes.clone(),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.make_directory(path, attributes, reason).await)
    }

    async fn rename(&self, from: &str, to: &str, reason: &str) -> Result<(), Error> {
        let ask = EditsAsk::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.rename(from, to, reason).await)
    }

    async fn remove(&self, path: &str, reason: &str) -> Result<(), Error> {
        let ask = EditsAsk::Remove {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.remove(path, reason).await)
    }

    async fn symlink(
        &self,
        path: &str,
        target: &str,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error> {
        let ask = EditsAsk::Symlink {
            path: path.to_owned(),
            target: target.to_owned(),
            attributes: attributes.clone(),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.symlink(path, target, attributes, reason).await)
    }

    async fn link(&self, existing: &str, path: &str, reason: &str) -> Result<(), Error> {
        let ask = EditsAsk::Link {
            existing: existing.to_owned(),
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.link(existing, path, reason).await)
    }

    async fn set_mode(&self, path: &str, mode: u32, reason: &str) -> Result<(), Error> {
        let ask = EditsAsk::SetMode {
            path: path.to_owned(),
            mode,
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.set_mode(path, mode, reason).await)
    }

    async fn set_owner(
        &self,
        path: &str,
        owner: u32,
        group: u32,
        reason: &str,
    ) -> Result<(), Error> {
        let ask = EditsAsk::SetOwner {
            path: path.to_owned(),
            owner,
            group,
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.set_owner(path, owner, group, reason).await)
    }

    async fn set_xattr(
        &self,
        path: &str,
        name: &str,
        value: Option<Vec<u8>>,
        reason: &str,
    ) -> Result<(), Error> {
        let ask = EditsAsk::SetXattr {
            path: path.to_owned(),
            name: name.to_owned(),
            value: value.as_deref().map(Block::new),
            reason: reason.to_owned(),
        };
        cross!(self, ask, edits => edits.set_xattr(path, name, value, reason).await)
    }

    fn note(&self, severity: Severity, message: &str) -> Result<(), Error> {
        let ask = EditsAsk::Note {
            severity,
            message: message.to_owned(),
        };
        cross!(self, ask, edits => edits.note(severity, message))
    }
}

/// Trees, and the lists of them, which are the same for the whole call.
pub(crate) struct SideTrees {
    pub(crate) side: Side<dyn Trees>,
    pub(crate) devices: Vec<BlockDevice>,
    pub(crate) trees: Vec<Tree>,
}

#[async_trait]
impl Trees for SideTrees {
    fn devices(&self) -> Vec<BlockDevice> {
        self.devices.clone()
    }

    fn list(&self) -> Vec<Tree> {
        self.trees.clone()
    }

    async fn read_device(&self, device: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let ask = TreesAsk::ReadDevice {
            device,
            offset,
            length,
        };
        cross!(&self.side, ask, trees => trees.read_device(device, offset, length).await)
    }

    async fn stat(&self, tree: u32, path: &str, follow: bool) -> Result<Metadata, Error> {
        let ask = TreesAsk::Stat {
            tree,
            path: path.to_owned(),
            follow,
        };
        cross!(&self.side, ask, trees => trees.stat(tree, path, follow).await)
    }

    async fn list_directory(
        &self,
        tree: u32,
        path: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, Error> {
        let ask = TreesAsk::ListDirectory {
            tree,
            path: path.to_owned(),
            cursor: cursor.to_owned(),
            limit,
        };
        cross!(&self.side, ask, trees => trees.list_directory(tree, path, cursor, limit).await)
    }

    async fn read_at(
        &self,
        tree: u32,
        path: &str,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, Error> {
        let ask = TreesAsk::ReadAt {
            tree,
            path: path.to_owned(),
            offset,
            length,
        };
        cross!(&self.side, ask, trees => trees.read_at(tree, path, offset, length).await)
    }

    async fn read_link(&self, tree: u32, path: &str) -> Result<String, Error> {
        let ask = TreesAsk::ReadLink {
            tree,
            path: path.to_owned(),
        };
        cross!(&self.side, ask, trees => trees.read_link(tree, path).await)
    }
}

impl Findings for Side<dyn Findings> {
    fn set_operating_system(&self, os: OperatingSystem) -> Result<(), Error> {
        let ask = FindingsAsk::SetOperatingSystem { os: os.clone() };
        cross!(self, ask, findings => findings.set_operating_system(os))
    }

    fn add_mount(&self, mount: MountPoint) -> Result<(), Error> {
        let ask = FindingsAsk::AddMount {
            mount: mount.clone(),
        };
        cross!(self, ask, findings => findings.add_mount(mount))
    }

    fn add_kernel(&self, kernel: Kernel) -> Result<(), Error> {
        let ask = FindingsAsk::AddKernel {
            kernel: kernel.clone(),
        };
        cross!(self, ask, findings => findings.add_kernel(kernel))
    }

    fn identify_device(
        &self,
        device: u32,
        kind: &str,
        uuid: Option<String>,
        label: Option<String>,
    ) -> Result<(), Error> {
        let ask = FindingsAsk::IdentifyDevice {
            device,
            kind: kind.to_owned(),
            uuid: uuid.clone(),
            label: label.clone(),
        };
        cross!(self, ask, findings => findings.identify_device(device, kind, uuid, label))
    }

    fn set_fact(&self, key: &str, value: &str) -> Result<(), Error> {
        let ask = FindingsAsk::SetFact {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        cross!(self, ask, findings => findings.set_fact(key, value))
    }

    fn note(&self, severity: Severity, message: &str) -> Result<(), Error> {
        let ask = FindingsAsk::Note {
            severity,
            message: message.to_owned(),
        };
        cross!(self, ask, findings => findings.note(severity, message))
    }
}

#[async_trait]
impl Tools for Side<dyn Tools> {
    async fn run(&self, request: ToolRequest) -> Result<ToolOutcome, Error> {
        let ask = ToolAsk::Run {
            request: request.clone(),
        };
        cross!(self, ask, tools => tools.run(request).await)
    }

    async fn keep(&self, file: &str, name: &str) -> Result<String, Error> {
        let ask = ToolAsk::Keep {
            file: file.to_owned(),
            name: name.to_owned(),
        };
        cross!(self, ask, tools => tools.keep(file, name).await)
    }
}

#[async_trait]
impl Secrets for Side<dyn Secrets> {
    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        let ask = Ask::from(SecretsAsk::Get {
            name: name.to_owned(),
        });
        match self {
            Self::Live { service, tape } => {
                let place = tape.asked(ask);
                let result = service.get(name).await;
                tape.answered_with_secret(place, name, &result);
                result
            }
            Self::Recorded(script) => script.answer(&ask),
        }
    }
}

/// A recording has the requests, and not what servers answered: a replay ends at the first.
impl Outbound for Side<dyn Outbound> {
    fn request(&self, request: &OutboundRequest) -> Result<(), Error> {
        let ask = HttpAsk::Request {
            method: request.method.clone(),
            scheme: request.scheme.clone(),
            host: request.host.clone(),
            port: request.port,
            path: request.path.clone(),
        };
        let allowed: Result<(), Error> = cross!(self, ask, http => http.request(request));
        if let Self::Recorded(script) = self {
            allowed?;
            return Err(script.leave());
        }
        allowed
    }

    fn address(&self, host: &str, address: IpAddr) -> Result<(), Error> {
        match self {
            Self::Live { service, .. } => service.address(host, address),
            Self::Recorded(script) => Err(script.leave()),
        }
    }
}

/// The context of a call. Whether the run was cancelled is looked at by the runtime too, at
/// each tick: only the moment from which on it was is written down.
pub(crate) struct SideContext {
    pub(crate) side: Side<dyn Context>,
    pub(crate) run: String,
    /// The time, where it stands.
    pub(crate) now: Option<Timestamp>,
}

impl Context for SideContext {
    fn run_id(&self) -> String {
        self.run.clone()
    }

    fn cancelled(&self) -> bool {
        match &self.side {
            Side::Live { service, tape } => {
                let cancelled = service.cancelled();
                if cancelled {
                    tape.cancelled();
                }
                cancelled
            }
            Side::Recorded(script) => script.is_cancelled(),
        }
    }

    fn now(&self) -> Timestamp {
        if let Some(now) = self.now {
            return now;
        }
        let ask = Ask::from(ContextAsk::Now {});
        match &self.side {
            Side::Live { service, tape } => {
                let place = tape.asked(ask);
                let now = service.now();
                tape.answered(place, &Ok(now));
                now
            }
            Side::Recorded(script) => script.answer(&ask).unwrap_or(Timestamp {
                seconds: 0,
                nanoseconds: 0,
            }),
        }
    }

    fn progress(&self, plugin: &str, done: u64, total: u64, unit: &str) {
        if let Side::Live { service, .. } = &self.side {
            service.progress(plugin, done, total, unit);
        }
    }

    fn log(&self, plugin: &str, level: Level, message: &str, fields: &[(String, String)]) {
        if let Side::Live { service, tape } = &self.side {
            let place = tape.asked(Ask::from(ContextAsk::Log {
                level,
                message: message.to_owned(),
                fields: fields.to_vec(),
            }));
            service.log(plugin, level, message, fields);
            tape.answered(place, &Ok(()));
        }
    }
}
