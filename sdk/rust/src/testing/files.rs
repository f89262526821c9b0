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

/// Extended attributes, and changing the tree as the contract's `edits` describe it.
impl MemoryFiles {
    /// Names of the extended attributes; links are not followed.
    pub fn list_xattrs(&self, path: &str) -> Result<Vec<String>> {
        let inode = self.inode(&self.resolve(path, false)?)?;
        Ok(inode.xattrs.keys().cloned().collect())
    }

    /// One extended attribute; links are not followed.
    pub fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>> {
        let inode = self.inode(&self.resolve(path, false)?)?;
        let value = inode.xattrs.get(name).cloned();
        value.ok_or_else(|| Error::not_found(format!("{path} has no attribute {name}")))
    }

    /// Replaces a regular file's content, following a link.
    pub fn write(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.content(path)?;
        let resolved = self.resolve(path, true)?;
        self.inode_mut(&resolved)?.content = content.to_vec();
        Ok(())
    }

    /// A new regular file.
    pub fn create(&mut self, path: &str, content: &[u8], attributes: &Attributes) -> Result<()> {
        self.make(path, FileKind::Regular, content, attributes)
    }

    /// A new directory.
    pub fn make_directory(&mut self, path: &str, attributes: &Attributes) -> Result<()> {
        self.make(path, FileKind::Directory, b"", attributes)
    }

    /// A new symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str, attributes: &Attributes) -> Result<()> {
        self.make(path, FileKind::Symlink, target.as_bytes(), attributes)
    }

    fn make(
        &mut self,
        path: &str,
        kind: FileKind,
        content: &[u8],
        attributes: &Attributes,
    ) -> Result<()> {
        let resolved = self.vacant(path)?;
        self.insert(&resolved, Inode::new(kind, content, attributes));
        Ok(())
    }

    /// A new file like another, links not followed.
    pub fn copy(&mut self, from: &str, to: &str) -> Result<()> {
        let inode = self.inode(&self.resolve(from, false)?)?.clone();
        if inode.kind != FileKind::Regular {
            return Err(wrong_kind(from, "regular file"));
        }
        let resolved = self.vacant(to)?;
        self.insert(&resolved, inode);
        Ok(())
    }

    /// One more name for a regular file.
    pub fn link(&mut self, existing: &str, path: &str) -> Result<()> {
        let from = self.resolve(existing, false)?;
        if self.inode(&from)?.kind != FileKind::Regular {
            return Err(wrong_kind(existing, "regular file"));
        }
        let number = self.names.get(&from).copied();
        let number = number.ok_or_else(|| missing(existing))?;
        let resolved = self.vacant(path)?;
        self.names.insert(resolved, number);
        Ok(())
    }

    /// A new name, with everything below; a file at the new name is replaced.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let source = self.resolve(from, false)?;
        let moved = self.inode(&source)?.kind;
        let target = self.resolve(to, false)?;
        if source == target {
            return Ok(());
        }
        if source == "/" || target.starts_with(&path::join(&source, "")) {
            return Err(Error::invalid(format!("{from} cannot move into itself")));
        }
        match self.inode(&target).map(|inode| inode.kind) {
            Ok(FileKind::Directory) => {
                return Err(Error::exists(format!("{to} is a directory")));
            }
            Ok(_) if moved == FileKind::Directory => {
                return Err(Error::exists(format!("{to} exists already")));
            }
            Ok(_) => self.unname(&target),
            Err(_) => {
                self.vacant(to)?;
            }
        }
        let below = path::join(&source, "");
        let inside = |name: &String| *name == source || name.starts_with(&below);
        let names: Vec<String> = self
            .names
            .keys()
            .filter(|name| inside(name))
            .cloned()
            .collect();
        for name in names {
            if let Some(number) = self.names.remove(&name) {
                let rest = name.get(source.len()..).unwrap_or_default();
                self.names.insert(format!("{target}{rest}"), number);
            }
        }
        Ok(())
    }

    /// Removes a file, a link, or an empty directory.
    pub fn remove(&mut self, path: &str) -> Result<()> {
        let resolved = self.resolve(path, false)?;
        let kind = self.inode(&resolved)?.kind;
        if resolved == "/"
            || (kind == FileKind::Directory && self.children(&resolved).next().is_some())
        {
            return Err(Error::conflict(format!("{path} is not empty")));
        }
        self.unname(&resolved);
        Ok(())
    }

    fn unname(&mut self, resolved: &str) {
        if let Some(number) = self.names.remove(resolved)
            && !self.names.values().any(|other| *other == number)
        {
            self.inodes.remove(&number);
        }
    }

    /// Permission bits; links are not followed.
    pub fn set_mode(&mut self, path: &str, mode: u32) -> Result<()> {
        if mode > 0o7777 {
            return Err(Error::invalid(format!("{mode:o} is no permission mode")));
        }
        let resolved = self.resolve(path, false)?;
        self.inode_mut(&resolved)?.mode = mode;
        Ok(())
    }

    /// Owner and group; links are not followed.
    pub fn set_owner(&mut self, path: &str, owner: u32, group: u32) -> Result<()> {
        let resolved = self.resolve(path, false)?;
        let inode = self.inode_mut(&resolved)?;
        (inode.owner, inode.group) = (owner, group);
        Ok(())
    }

    /// An extended attribute; none removes it. Links are not followed.
    pub fn set_xattr(&mut self, path: &str, name: &str, value: Option<&[u8]>) -> Result<()> {
        let resolved = self.resolve(path, false)?;
        let xattrs = &mut self.inode_mut(&resolved)?.xattrs;
        match value {
            Some(value) => {
                xattrs.insert(name.to_string(), value.to_vec());
                Ok(())
            }
            None => xattrs
                .remove(name)
                .map(|_| ())
                .ok_or_else(|| Error::not_found(format!("{path} has no attribute {name}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn tree() -> MemoryFiles {
        let mut files = MemoryFiles::new();
        files
            .add_file("/etc/fstab", b"rows")
            .add_directory("/usr/lib")
            .add_file("/usr/lib/os-release", b"ID=debian")
            .add_symlink("/etc/os-release", "../usr/lib/os-release")
            .add_symlink("/lib", "usr/lib")
            .add_symlink("/escape", "../../../../etc/fstab")
            .add_symlink("/loop", "loop")
            .add_symlink("/dangling", "/nowhere/x");
        files
    }

    fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
        result.unwrap_err().code
    }

    #[test]
    fn links_resolve_inside() {
        let files = tree();
        let read = |path| files.read_to_string(path, 100);
        assert_eq!(read("/etc/os-release").unwrap(), "ID=debian");
        assert_eq!(read("/lib/os-release").unwrap(), "ID=debian");
        assert_eq!(read("/escape").unwrap(), "rows");
        assert_eq!(files.read_link("/lib").unwrap(), "usr/lib");
        assert_eq!(code(read("/loop")), ErrorCode::Invalid);
        assert_eq!(code(read("/dangling")), ErrorCode::NotFound);
        assert_eq!(code(read("/etc/fstab/x")), ErrorCode::NotFound);
        assert_eq!(code(read("/etc")), ErrorCode::Invalid);
        assert_eq!(code(read("etc/fstab")), ErrorCode::Invalid);
        assert_eq!(code(files.read("/etc/fstab", 3)), ErrorCode::Limit);
        assert!(!files.exists("/dangling").unwrap());
        assert!(files.is_directory("/lib").unwrap());
        assert!(!files.is_file("/lib").unwrap());
    }

    #[test]
    fn directories_list_page_by_page_and_walk_in_order() {
        let mut files = MemoryFiles::new();
        for name in ["b", "a", "c", "a/x", "a-1"] {
            files.add_file(&format!("/d/{name}"), b"");
        }
        let first = files.list_directory("/d", "", 2).unwrap();
        let names = |page: &Page| -> Vec<String> {
            page.entries
                .iter()
                .map(|entry| entry.name.clone())
                .collect()
        };
        assert_eq!(names(&first), ["a", "a-1"]);
        let second = files.list_directory("/d", &first.next.unwrap(), 2).unwrap();
        assert_eq!(names(&second), ["b", "c"]);
        assert_eq!(second.next, None);

        let tree = tree();
        let walked: Vec<String> = tree
            .walk("/", 100)
            .unwrap()
            .into_iter()
            .map(|(path, _)| path)
            .filter(|path| path.starts_with("/usr"))
            .collect();
        assert_eq!(walked, ["/usr", "/usr/lib", "/usr/lib/os-release"]);
        assert_eq!(code(tree.walk("/", 3)), ErrorCode::Limit);
    }

    #[test]
    fn names_and_inodes_are_different_things() {
        let mut files = tree();
        files.link("/etc/fstab", "/etc/second").unwrap();
        assert_eq!(files.stat("/etc/fstab", false).unwrap().links, 2);
        files.write("/etc/second", b"new").unwrap();
        assert_eq!(files.content("/etc/fstab").unwrap(), b"new");
        files.remove("/etc/fstab").unwrap();
        assert_eq!(files.content("/etc/second").unwrap(), b"new");
        files.copy("/etc/second", "/etc/third").unwrap();
        files.write("/etc/third", b"3").unwrap();
        assert_eq!(files.content("/etc/second").unwrap(), b"new");
    }

    #[test]
    fn rename_moves_what_is_below_and_replaces_files_only() {
        let mut files = tree();
        files.rename("/usr", "/opt").unwrap();
        assert_eq!(files.content("/opt/lib/os-release").unwrap(), b"ID=debian");
        assert!(!files.exists("/usr/lib").unwrap());
        files.add_file("/etc/other", b"other");
        files.rename("/etc/other", "/etc/fstab").unwrap();
        assert_eq!(files.content("/etc/fstab").unwrap(), b"other");
        assert_eq!(code(files.rename("/etc/fstab", "/opt")), ErrorCode::Exists);
        assert_eq!(code(files.rename("/opt", "/opt/lib/x")), ErrorCode::Invalid);
        assert_eq!(code(files.rename("/nowhere", "/x")), ErrorCode::NotFound);
    }

    #[test]
    fn what_cannot_be_changed_says_why() {
        let mut files = tree();
        let root = Attributes::root(0o644);
        assert_eq!(
            code(files.create("/etc/fstab", b"", &root)),
            ErrorCode::Exists
        );
        assert_eq!(code(files.create("/no/x", b"", &root)), ErrorCode::NotFound);
        assert_eq!(code(files.write("/etc", b"")), ErrorCode::Invalid);
        assert_eq!(code(files.write("/etc/no", b"")), ErrorCode::NotFound);
        assert_eq!(code(files.remove("/etc")), ErrorCode::Conflict);
        assert_eq!(code(files.remove("/")), ErrorCode::Conflict);
        assert_eq!(code(files.set_mode("/etc", 0o10000)), ErrorCode::Invalid);
        assert_eq!(
            code(files.set_xattr("/etc", "user.x", None)),
            ErrorCode::NotFound
        );
        files.write("/escape", b"through the link").unwrap();
        assert_eq!(files.content("/etc/fstab").unwrap(), b"through the link");
    }
}
