//! A POSIX tree in memory: names, inodes, links, owners, extended attributes.

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    path::Path,
};

use crate::{
    error::{Error, Result},
    path,
    tree::FileTree,
    types::{Attributes, Entry, FileKind, Metadata, Page, Timestamp},
};

/// How many links one path may follow (Linux's `MAXSYMLINKS`).
const LINKS: usize = 40;
/// The extended attribute of an SELinux label.
const LABEL: &str = "security.selinux";
const ROOT: u64 = 2;

#[derive(Clone, Debug)]
struct Inode {
    kind: FileKind,
    mode: u32,
    owner: u32,
    group: u32,
    /// The content of a file, the target of a link.
    content: Vec<u8>,
    xattrs: BTreeMap<String, Vec<u8>>,
}

impl Inode {
    fn new(kind: FileKind, content: &[u8], attributes: &Attributes) -> Self {
        let label = attributes.label.as_ref();
        Self {
            kind,
            mode: attributes.mode,
            owner: attributes.owner,
            group: attributes.group,
            content: content.to_vec(),
            xattrs: label
                .map(|label| (LABEL.to_string(), label.clone().into_bytes()))
                .into_iter()
                .collect(),
        }
    }
}

/// A tree of files in memory. Paths are the contract's (escaped); the methods that a test
/// sets a tree up with make missing directories.
#[derive(Clone, Debug)]
pub struct MemoryFiles {
    /// From path to inode number; `/` is there always.
    names: BTreeMap<String, u64>,
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    /// Every time of every inode.
    pub time: Timestamp,
}

impl Default for MemoryFiles {
    fn default() -> Self {
        let root = Inode::new(FileKind::Directory, b"", &Attributes::root(0o755));
        Self {
            names: BTreeMap::from([("/".to_string(), ROOT)]),
            inodes: BTreeMap::from([(ROOT, root)]),
            next: 11,
            time: Timestamp::default(),
        }
    }
}

fn missing(path: &str) -> Error {
    Error::not_found(format!("{path} does not exist"))
}

fn wrong_kind(path: &str, wanted: &str) -> Error {
    Error::invalid(format!("{path} is no {wanted}"))
}

/// Setting a tree up.
impl MemoryFiles {
    /// A tree with nothing but its root.
    pub fn new() -> Self {
        Self::default()
    }

    /// The files below a folder of this machine: links and the executable bit are taken
    /// over, everything else is root's (directories 0755, files 0644 or 0755).
    pub fn from_directory(directory: &Path) -> io::Result<Self> {
        let mut files = Self::new();
        files.add_directory_from(directory, "/")?;
        Ok(files)
    }

    fn add_directory_from(&mut self, directory: &Path, at: &str) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let inside = path::join(at, &path::escape(name.as_encoded_bytes()));
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.put(&inside, FileKind::Directory, b"", 0o755);
                self.add_directory_from(&entry.path(), &inside)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                let target = path::escape(target.as_os_str().as_encoded_bytes());
                self.put(&inside, FileKind::Symlink, target.as_bytes(), 0o777);
            } else {
                let mode = if executable(&entry.metadata()?) {
                    0o755
                } else {
                    0o644
                };
                self.put(&inside, FileKind::Regular, &fs::read(entry.path())?, mode);
            }
        }
        Ok(())
    }

    /// Puts an inode at a path, whatever is there, making its directories.
    fn put(&mut self, path: &str, kind: FileKind, content: &[u8], mode: u32) {
        let parent = path::parent(path);
        if !self.names.contains_key(parent) {
            self.put(parent, FileKind::Directory, b"", 0o755);
        }
        self.insert(path, Inode::new(kind, content, &Attributes::root(mode)));
    }

    fn insert(&mut self, path: &str, inode: Inode) {
        self.inodes.insert(self.next, inode);
        self.names.insert(path.to_string(), self.next);
        self.next += 1;
    }

    /// A regular file of root's, 0644.
    pub fn add_file(&mut self, path: &str, content: &[u8]) -> &mut Self {
        self.put(path, FileKind::Regular, content, 0o644);
        self
    }

    /// A directory of root's, 0755.
    pub fn add_directory(&mut self, path: &str) -> &mut Self {
        if !self.names.contains_key(path) {
            self.put(path, FileKind::Directory, b"", 0o755);
        }
        self
    }

    /// A symbolic link.
    pub fn add_symlink(&mut self, path: &str, target: &str) -> &mut Self {
        self.put(path, FileKind::Symlink, target.as_bytes(), 0o777);
        self
    }

    /// The whole content of a file, links followed.
    pub fn content(&self, path: &str) -> Result<&[u8]> {
        let resolved = self.resolve(path, true)?;
        let inode = self.inode(&resolved)?;
        match inode.kind {
            FileKind::Regular => Ok(&inode.content),
            _ => Err(wrong_kind(path, "regular file")),
        }
    }

    /// Every path, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }
}

#[cfg(unix)]
fn executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn executable(_: &fs::Metadata) -> bool {
    false
}

/// Resolving.
impl MemoryFiles {
    fn inode(&self, resolved: &str) -> Result<&Inode> {
        let number = self.names.get(resolved).ok_or_else(|| missing(resolved))?;
        self.inodes.get(number).ok_or_else(|| missing(resolved))
    }

    fn inode_mut(&mut self, resolved: &str) -> Result<&mut Inode> {
        let number = self.names.get(resolved).ok_or_else(|| missing(resolved))?;
        self.inodes.get_mut(number).ok_or_else(|| missing(resolved))
    }

    /// The path without links in its middle (and at its end, where `follow`). `..` in a
    /// link's target stops at the root. The last component need not exist.
    pub fn resolve(&self, path: &str, follow: bool) -> Result<String> {
        path::check(path)?;
        let mut waiting: VecDeque<String> = components(path);
        let mut at = String::from("/");
        let mut followed = 0;
        while let Some(name) = waiting.pop_front() {
            if name == ".." {
                at = path::parent(&at).to_string();
                continue;
            }
            let next = path::join(&at, &name);
            match self.inode(&next) {
                Ok(inode) if inode.kind == FileKind::Symlink && (follow || !waiting.is_empty()) => {
                    followed += 1;
                    if followed > LINKS {
                        return Err(Error::invalid(format!(
                            "{path} goes through more than {LINKS} links"
                        )));
                    }
                    let target = String::from_utf8_lossy(&inode.content);
                    if target.starts_with('/') {
                        at = "/".into();
                    }
                    for component in components(&target).into_iter().rev() {
                        waiting.push_front(component);
                    }
                }
                Ok(inode) if inode.kind != FileKind::Directory && !waiting.is_empty() => {
                    return Err(missing(path));
                }
                Err(_) if !waiting.is_empty() => return Err(missing(path)),
                _ => at = next,
            }
        }
        Ok(at)
    }

    /// Where a new name goes: the directory must exist, the name must be free.
    fn vacant(&self, path: &str) -> Result<String> {
        let resolved = self.resolve(path, false)?;
        if self.names.contains_key(&resolved) {
            return Err(Error::exists(format!("{path} exists already")));
        }
        match self.inode(path::parent(&resolved))?.kind {
            FileKind::Directory => Ok(resolved),
            _ => Err(wrong_kind(path::parent(&resolved), "directory")),
        }
    }

    fn children<'a>(&'a self, directory: &str) -> impl Iterator<Item = (&'a str, u64)> {
        let prefix = path::join(directory, "");
        let below = self.names.range(prefix.clone()..);
        let below = below.take_while({
            let prefix = prefix.clone();
            move |(path, _)| path.starts_with(&prefix)
        });
        below.filter_map(move |(path, number)| {
            let name = path.strip_prefix(&prefix)?;
            (!name.is_empty() && !name.contains('/')).then_some((name, *number))
        })
    }
}

fn components(path: &str) -> VecDeque<String> {
    let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
    names.map(str::to_string).collect()
}

impl FileTree for MemoryFiles {
    fn stat(&self, path: &str, follow: bool) -> Result<Metadata> {
        let resolved = self.resolve(path, follow)?;
        let inode = self.inode(&resolved)?;
        let number = self.names.get(&resolved).copied().unwrap_or_default();
        let names = self.names.values().filter(|other| **other == number);
        Ok(Metadata {
            inode: number,
            kind: inode.kind,
            mode: inode.mode,
            links: u32::try_from(names.count()).unwrap_or(u32::MAX),
            owner: inode.owner,
            group: inode.group,
            size: inode.content.len() as u64,
            device: None,
            accessed: self.time,
            modified: self.time,
            changed: self.time,
        })
    }

    fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page> {
        let resolved = self.resolve(path, true)?;
        if self.inode(&resolved)?.kind != FileKind::Directory {
            return Err(wrong_kind(path, "directory"));
        }
        let mut page = Page::default();
        for (name, number) in self.children(&resolved).filter(|(name, _)| *name > cursor) {
            if page.entries.len() >= limit as usize {
                page.next = page.entries.last().map(|entry: &Entry| entry.name.clone());
                break;
            }
            let Some(inode) = self.inodes.get(&number) else {
                continue;
            };
            page.entries.push(Entry {
                name: name.to_string(),
                kind: inode.kind,
                inode: number,
            });
        }
        Ok(page)
    }

    fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>> {
        let content = self.content(path)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.get(start..).unwrap_or_default();
        let end = rest.len().min(length as usize);
        Ok(rest.get(..end).unwrap_or_default().to_vec())
    }

    fn read_link(&self, path: &str) -> Result<String> {
        let resolved = self.resolve(path, false)?;
        let inode = self.inode(&resolved)?;
        match inode.kind {
            FileKind::Symlink => Ok(String::from_utf8_lossy(&inode.content).into_owned()),
            _ => Err(wrong_kind(path, "symbolic link")),
        }
    }
}

mod changes;

#[cfg(test)]
mod tests;
