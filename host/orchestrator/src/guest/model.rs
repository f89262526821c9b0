//! The guest's inodes and directory entries, copy-on-write over the mounted file systems.
//!
//! A [`Node`] is an inode that somebody looked at. Nodes of the file systems are known
//! by their number there, so that two names of one file are one node. Directory entries
//! that edits changed are kept in their directory's node and win over the file system's.
//! Reads of what nobody touched go to the file system, under the path at which the node
//! was first met: the file systems themselves never change while a model lives.

use super::content::{BaseFile, Content, Piece};
use cofferdam_contract::failure::{CallError, Callee};
use cofferdam_contract::kinds::FileTree;
use cofferdam_contract::types::{
    Entry, Error, ErrorCode, FileKind, Metadata, Page, Space, Timestamp,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Number of a node in its model.
pub type NodeId = usize;

/// Most entries taken from a file system in one call.
const PAGE: u32 = 4096;
/// Most bytes read from a file system in one call: what the contract allows.
pub(crate) const CHUNK: u32 = 4 << 20;
/// Most entries of a directory, and of a whole file system where it is walked: above any
/// real guest, and what the host's memory can hold.
pub(crate) const MOST_ENTRIES: usize = 10_000_000;
/// Most bytes of a directory's names, each counted with what else the host keeps of it.
const MOST_LISTED: usize = 256 << 20;
/// What a name costs the host beside its bytes.
const ENTRY_COST: usize = 64;
/// Inode numbers of planned files start here, far above those of real file systems.
const FIRST_PLANNED_INODE: u64 = 1 << 62;

/// A mounted file system's place in the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path; `/` for the root.
    pub path: String,
    /// Number of the file system in the model's list.
    pub tree: u32,
}

/// An inode.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Its file system.
    pub tree: u32,
    /// Where the unedited guest has it; none for a planned one.
    pub base: Option<String>,
    /// Its metadata, edits included.
    pub metadata: Metadata,
    /// Its content, where an edit changed it.
    pub content: Option<Content>,
    /// Its target, for a planned link.
    pub target: Option<String>,
    /// Extended attributes that edits set or removed.
    pub xattrs: BTreeMap<String, Option<Vec<u8>>>,
    /// Entries that edits added, replaced or removed.
    pub entries: BTreeMap<String, Option<NodeId>>,
    /// Whether an edit changed the inode itself (not only the entries).
    pub touched: bool,
}

/// The guest with the edits planned so far.
pub struct Model {
    trees: Vec<Arc<dyn FileTree>>,
    nodes: Vec<Node>,
    by_inode: HashMap<(u32, u64), NodeId>,
    listings: HashMap<NodeId, Arc<Vec<Entry>>>,
    mounted: HashMap<NodeId, NodeId>,
    roots: Vec<NodeId>,
    root: NodeId,
    next_inode: u64,
    now: Timestamp,
    fault: Option<CallError>,
}

impl Model {
    /// Composes the file systems. `mounts` must hold `/`; a mount whose path is not a
    /// directory of what is mounted before it is returned beside the model, with the reason.
    ///
    /// # Errors
    /// [`CallError`] where a file system cannot say what its root is.
    pub async fn compose(
        trees: Vec<Arc<dyn FileTree>>,
        mounts: &[Mount],
        now: Timestamp,
    ) -> Result<(Self, Vec<(Mount, String)>), CallError> {
        let mut model = Self {
            trees,
            nodes: Vec::new(),
            by_inode: HashMap::new(),
            listings: HashMap::new(),
            mounted: HashMap::new(),
            roots: Vec::new(),
            root: 0,
            next_inode: FIRST_PLANNED_INODE,
            now,
            fault: None,
        };
        for tree in 0..u32::try_from(model.trees.len()).unwrap_or(u32::MAX) {
            let metadata = model.session(tree)?.stat("/").await?;
            let root = model.meet(tree, "/", metadata);
            model.roots.push(root);
        }
        let mut sorted: Vec<&Mount> = mounts.iter().collect();
        sorted.sort_by_key(|mount| (mount.path.matches('/').count(), mount.path.clone()));
        let mut refused = Vec::new();
        for mount in sorted {
            let Some(tree_root) = model.tree_root(mount.tree) else {
                continue;
            };
            if mount.path == "/" {
                model.root = tree_root;
                continue;
            }
            match model.resolve(&mount.path, true).await {
                Ok(place) => match place.node {
                    Some(node) if model.is_directory(node) => {
                        model.mounted.insert(node, tree_root);
                    }
                    Some(_) => refused.push((mount.clone(), "it is not a directory".to_owned())),
                    None => refused.push((mount.clone(), "it does not exist".to_owned())),
                },
                Err(error) => refused.push((mount.clone(), error.message)),
            }
        }
        match model.fault.take() {
            Some(fault) => Err(fault),
            None => Ok((model, refused)),
        }
    }

    /// The failure of a file system that a plugin's call ran into, if one did. The plugin
    /// itself was told an ordinary error; the run must end with this one.
    pub fn take_fault(&mut self) -> Option<CallError> {
        self.fault.take()
    }

    /// The time that planned inodes get.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    pub(crate) fn tree_root(&self, tree: u32) -> Option<NodeId> {
        self.roots.get(tree as usize).copied()
    }

    /// Whether the node is the root of a file system.
    pub(crate) fn is_tree_root(&self, node: NodeId) -> bool {
        self.roots.contains(&node)
    }

    pub(crate) fn node(&self, id: NodeId) -> Result<&Node, Error> {
        self.nodes.get(id).ok_or_else(no_node)
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Error> {
        self.nodes.get_mut(id).ok_or_else(no_node)
    }

    /// The names that edits put into a directory.
    pub(crate) fn planned_names(&self, directory: NodeId) -> Vec<String> {
        let entries = self.nodes.get(directory).map(|node| &node.entries);
        let entries = entries.into_iter().flatten();
        entries
            .filter(|(_, child)| child.is_some())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Nodes of the unedited guest that edits changed, as (file system, inode).
    pub(crate) fn touched(&self) -> HashMap<(u32, u64), NodeId> {
        self.by_inode
            .iter()
            .filter(|(_, id)| self.nodes.get(**id).is_some_and(|node| node.touched))
            .map(|(key, id)| (*key, *id))
            .collect()
    }

    /// The node of an inode of a file system, where somebody looked at it.
    pub(crate) fn known(&self, tree: u32, inode: u64) -> Option<NodeId> {
        self.by_inode.get(&(tree, inode)).copied()
    }

    pub(crate) fn is_directory(&self, id: NodeId) -> bool {
        self.nodes
            .get(id)
            .is_some_and(|node| node.metadata.kind == FileKind::Directory)
    }

    fn session(&self, tree: u32) -> Result<Arc<dyn FileTree>, CallError> {
        self.trees
            .get(tree as usize)
            .cloned()
            .ok_or_else(|| CallError::Host {
                callee: Callee {
                    plugin: "cofferdam".to_owned(),
                    call: "mount".to_owned(),
                },
                reason: format!("there is no file system number {tree}"),
            })
    }

    /// Turns a file system's failure into what the asking plugin is told, and keeps what
    /// is not the file system's ordinary answer for the run.
    fn told(&mut self, failure: CallError) -> Error {
        if failure.returned().is_none() || failure.code() == ErrorCode::Corrupt {
            self.fault.get_or_insert_with(|| failure.clone());
        }
        failure.into()
    }

    fn meet(&mut self, tree: u32, path: &str, metadata: Metadata) -> NodeId {
        if let Some(known) = self.by_inode.get(&(tree, metadata.inode)) {
            return *known;
        }
        let id = self.nodes.len();
        self.by_inode.insert((tree, metadata.inode), id);
        self.nodes.push(Node {
            tree,
            base: Some(path.to_owned()),
            metadata,
            content: None,
            target: None,
            xattrs: BTreeMap::new(),
            entries: BTreeMap::new(),
            touched: false,
        });
        id
    }

    /// A planned inode. It has no name yet.
    pub(crate) fn plan_node(&mut self, tree: u32, kind: FileKind, mode: u32) -> NodeId {
        let id = self.nodes.len();
        let inode = self.next_inode;
        self.next_inode += 1;
        self.nodes.push(Node {
            tree,
            base: None,
            metadata: Metadata {
                inode,
                kind,
                mode,
                links: 1,
                owner: 0,
                group: 0,
                size: 0,
                device: None,
                accessed: self.now,
                modified: self.now,
                changed: self.now,
            },
            content: None,
            target: None,
            xattrs: BTreeMap::new(),
            entries: BTreeMap::new(),
            touched: true,
        });
        id
    }

    /// The node that a directory has under `name`, not crossing into mounts.
    pub(crate) async fn child_in_tree(
        &mut self,
        directory: NodeId,
        name: &str,
    ) -> Result<Option<NodeId>, Error> {
        let node = self.node(directory)?;
        if let Some(planned) = node.entries.get(name) {
            return Ok(*planned);
        }
        let Some(base) = node.base.clone() else {
            return Ok(None);
        };
        let (tree, path) = (node.tree, join(&base, name));
        let session = match self.session(tree) {
            Ok(session) => session,
            Err(failure) => return Err(self.told(failure)),
        };
        match session.stat(&path).await {
            Ok(metadata) => Ok(Some(self.meet(tree, &path, metadata))),
            Err(failure) if failure.code() == ErrorCode::NotFound => Ok(None),
            Err(failure) => Err(self.told(failure)),
        }
    }

    /// The node that a directory has under `name`; of a mount point, what is mounted there.
    pub(crate) async fn child(
        &mut self,
        directory: NodeId,
        name: &str,
    ) -> Result<Option<NodeId>, Error> {
        let child = self.child_in_tree(directory, name).await?;
        Ok(child.map(|id| self.mounted.get(&id).copied().unwrap_or(id)))
    }

    /// All entries of a directory, by name, edits included.
    pub(crate) async fn entries(&mut self, directory: NodeId) -> Result<Vec<Entry>, Error> {
        self.entries_after(directory, "", usize::MAX).await
    }

    /// Up to `most` entries of a directory, by name, edits included, from the first name
    /// behind `cursor`.
    async fn entries_after(
        &mut self,
        directory: NodeId,
        cursor: &str,
        most: usize,
    ) -> Result<Vec<Entry>, Error> {
        let base = self.base_listing(directory).await?;
        let node = self.node(directory)?;
        if node.metadata.kind != FileKind::Directory {
            return Err(Error::invalid("it is not a directory"));
        }
        let behind = |name: &str| cursor.is_empty() || name > cursor;
        let start = base.partition_point(|entry| !behind(&entry.name));
        let unplanned = base.get(start..).unwrap_or_default().iter();
        let mut unplanned = unplanned
            .filter(|entry| !node.entries.contains_key(&entry.name))
            .peekable();
        let planned = node.entries.iter().filter(|(name, _)| behind(name));
        let mut planned = planned
            .filter_map(|(name, id)| Some((name, self.nodes.get((*id)?)?)))
            .peekable();
        let mut found = Vec::new();
        while found.len() < most {
            let planned_first = match (unplanned.peek(), planned.peek()) {
                (Some(entry), Some((name, _))) => **name < entry.name,
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (None, None) => break,
            };
            if planned_first {
                found.extend(planned.next().map(|(name, child)| Entry {
                    name: name.clone(),
                    kind: child.metadata.kind,
                    inode: child.metadata.inode,
                }));
            } else {
                found.extend(unplanned.next().cloned());
            }
        }
        Ok(found)
    }

    /// What the file system has in a directory, by name.
    async fn base_listing(&mut self, directory: NodeId) -> Result<Arc<Vec<Entry>>, Error> {
        if let Some(listing) = self.listings.get(&directory) {
            return Ok(Arc::clone(listing));
        }
        let node = self.node(directory)?;
        let Some(path) = node.base.clone() else {
            return Ok(Arc::new(Vec::new()));
        };
        let session = match self.session(node.tree) {
            Ok(session) => session,
            Err(failure) => return Err(self.told(failure)),
        };
        match list_all(session.as_ref(), &path).await {
            Ok(mut entries) => {
                // Not on a thread that guests share: a directory may have millions.
                let sorting = move || {
                    entries.sort_by(|a, b| a.name.cmp(&b.name));
                    entries.dedup_by(|a, b| a.name == b.name);
                    entries
                };
                let sorted = tokio::task::spawn_blocking(sorting).await;
                let entries = Arc::new(sorted.map_err(|error| host_error(&error))?);
                self.listings.insert(directory, Arc::clone(&entries));
                Ok(entries)
            }
            Err(failure) => Err(self.told(failure)),
        }
    }

    /// One page of [`Model::entries`]; the cursor is the last name of the page before.
    pub(crate) async fn page(
        &mut self,
        directory: NodeId,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, Error> {
        let limit = limit.clamp(1, PAGE) as usize;
        let mut entries = self.entries_after(directory, cursor, limit + 1).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let last = entries.last().filter(|_| more);
        let next = last.map(|entry| entry.name.clone());
        Ok(Page { entries, next })
    }

    /// A link's target.
    pub(crate) async fn target(&mut self, id: NodeId) -> Result<String, Error> {
        let node = self.node(id)?;
        if let Some(target) = &node.target {
            return Ok(target.clone());
        }
        if node.metadata.kind != FileKind::Symlink {
            return Err(Error::invalid("it is not a symbolic link"));
        }
        let (tree, path) = (node.tree, node.base.clone().unwrap_or_default());
        let answer = match self.session(tree) {
            Ok(session) => session.read_link(&path).await,
            Err(failure) => Err(failure),
        };
        answer.map_err(|failure| self.told(failure))
    }

    /// A regular file's content as pieces.
    pub(crate) fn content(&self, id: NodeId) -> Result<Content, Error> {
        let node = self.node(id)?;
        if node.metadata.kind != FileKind::Regular {
            return Err(Error::invalid("it is not a regular file"));
        }
        if let Some(content) = &node.content {
            return Ok(content.clone());
        }
        Ok(node.base.as_ref().map_or_else(Content::default, |path| {
            Content::of_base(
                BaseFile {
                    tree: node.tree,
                    path: path.clone(),
                },
                node.metadata.size,
            )
        }))
    }

    /// Up to `length` bytes of `content` from `offset`.
    pub(crate) async fn read(
        &mut self,
        content: &Content,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for piece in content.range(offset, length) {
            match piece {
                Piece::New(new) => bytes.extend_from_slice(&new),
                Piece::Base {
                    file,
                    offset,
                    length,
                } => {
                    let session = match self.session(file.tree) {
                        Ok(session) => session,
                        Err(failure) => return Err(self.told(failure)),
                    };
                    let mut done = 0;
                    while done < length {
                        let wanted = u32::try_from(length - done).unwrap_or(CHUNK).min(CHUNK);
                        let read = match session.read_at(&file.path, offset + done, wanted).await {
                            Ok(read) => read,
                            Err(failure) => return Err(self.told(failure)),
                        };
                        if read.is_empty() {
                            return Err(Error::new(
                                ErrorCode::Corrupt,
                                format!("{} ends before its size", file.path),
                            ));
                        }
                        done += read.len() as u64;
                        bytes.extend_from_slice(&read);
                    }
                }
            }
        }
        Ok(bytes)
    }

    /// Sha256 of `content`, lower-case hexadecimal.
    pub(crate) async fn digest(&mut self, content: &Content) -> Result<String, Error> {
        let mut hasher = Sha256::new();
        let mut offset = 0;
        while offset < content.len() {
            let bytes = self.read(content, offset, u64::from(CHUNK)).await?;
            if bytes.is_empty() {
                break;
            }
            offset += bytes.len() as u64;
            hasher.update(&bytes);
        }
        Ok(hex::encode(hasher.finalize()))
    }

    /// Names of a node's extended attributes, sorted.
    pub(crate) async fn xattr_names(&mut self, id: NodeId) -> Result<Vec<String>, Error> {
        let node = self.node(id)?;
        let (tree, base) = (node.tree, node.base.clone());
        let mut names: std::collections::BTreeSet<String> = match base {
            None => std::collections::BTreeSet::new(),
            Some(path) => {
                let answer = match self.session(tree) {
                    Ok(session) => session.list_xattrs(&path).await,
                    Err(failure) => Err(failure),
                };
                answer
                    .map_err(|failure| self.told(failure))?
                    .into_iter()
                    .collect()
            }
        };
        for (name, value) in &self.node(id)?.xattrs {
            if value.is_some() {
                names.insert(name.clone());
            } else {
                names.remove(name);
            }
        }
        Ok(names.into_iter().collect())
    }

    /// One extended attribute.
    pub(crate) async fn xattr(&mut self, id: NodeId, name: &str) -> Result<Vec<u8>, Error> {
        let node = self.node(id)?;
        let missing = || Error::not_found(format!("there is no extended attribute {name}"));
        if let Some(planned) = node.xattrs.get(name) {
            return planned.clone().ok_or_else(missing);
        }
        let Some(path) = node.base.clone() else {
            return Err(missing());
        };
        let answer = match self.session(node.tree) {
            Ok(session) => session.get_xattr(&path, name).await,
            Err(failure) => Err(failure),
        };
        answer.map_err(|failure| self.told(failure))
    }

    /// Room in a file system before any edit.
    pub(crate) async fn free_space(&mut self, tree: u32) -> Result<Space, Error> {
        let answer = match self.session(tree) {
            Ok(session) => session.free_space().await,
            Err(failure) => Err(failure),
        };
        answer.map_err(|failure| self.told(failure))
    }
}

/// All entries of a file system's directory.
///
/// # Errors
/// What the session says; [`CallError::Nonsense`] for a listing that does not move on or
/// holds what is no name, so that nothing of a directory can be hidden or without end.
pub(crate) async fn list_all(session: &dyn FileTree, path: &str) -> Result<Vec<Entry>, CallError> {
    let mut entries = Vec::new();
    let mut bytes = 0_usize;
    let mut cursor = String::new();
    loop {
        // A file system that answers at once must not keep the thread from others.
        tokio::task::yield_now().await;
        let page = session.list_directory(path, &cursor, PAGE).await?;
        let nothing = page.entries.is_empty();
        for entry in &page.entries {
            let name = entry.name.as_str();
            if ["", ".", ".."].contains(&name) || name.contains('/') || name.contains('\0') {
                return Err(bad_listing(path, format!("{:?} is no name", entry.name)));
            }
            bytes = bytes.saturating_add(entry.name.len() + ENTRY_COST);
        }
        if bytes > MOST_LISTED {
            let reason = format!("listing it takes more than {} MiB", MOST_LISTED >> 20);
            return Err(bad_listing(path, reason));
        }
        entries.extend(page.entries);
        if entries.len() > MOST_ENTRIES {
            let reason = format!("it has more than {MOST_ENTRIES} entries");
            return Err(bad_listing(path, reason));
        }
        match page.next {
            None => return Ok(entries),
            Some(next) if next == cursor || nothing => {
                return Err(bad_listing(path, "its pages do not move on".to_owned()));
            }
            Some(next) => cursor = next,
        }
    }
}

/// A file system's listing of `path` that cannot be believed.
pub(crate) fn bad_listing(path: &str, reason: String) -> CallError {
    CallError::Nonsense {
        callee: Callee {
            plugin: "filesystem".to_owned(),
            call: "list-directory".to_owned(),
        },
        reason: format!("directory {path}: {reason}"),
    }
}

/// `name` in the directory `path`.
pub(crate) fn join(path: &str, name: &str) -> String {
    if path == "/" {
        format!("/{name}")
    } else {
        format!("{path}/{name}")
    }
}

fn host_error(error: &tokio::task::JoinError) -> Error {
    Error::new(ErrorCode::Other, format!("the host failed: {error}"))
}

fn no_node() -> Error {
    Error::new(ErrorCode::Other, "the host lost track of a file")
}
