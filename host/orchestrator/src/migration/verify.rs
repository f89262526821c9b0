//! Is the rehearsed disk what was planned, all of it and nothing else?
//!
//! A fresh read-only session walks the result beside the session that the plan was made
//! on. Every name and inode must be the same, but for those that edits touched, and those
//! must be as planned: kind, mode, owner, size, links, content, target, attributes. The
//! metadata of all is compared, the content of what was planned. Times of touched inodes
//! and of directories whose entries changed may differ; last-read times are not compared.

use super::open::Opened;
use super::rehearse::reopen;
use super::request::Request;
use crate::MigrateError;
use crate::guest::edits::SELINUX;
use crate::guest::model::{CHUNK, MOST_ENTRIES, Model, NodeId, bad_listing, join, list_all};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::FileTree;
use cofferdam_contract::types::{Error, FileKind, Metadata};
use cofferdam_disk::Image;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Most differences that an error shows.
const MOST_SHOWN: usize = 20;
/// Deepest directory that a walk enters: deeper than any path of 4,096 bytes that a
/// person made, so that it is hostile.
const DEEPEST: usize = 1024;
/// Most bytes of all paths of a file system, each counted with what else the host keeps of
/// it: above any real guest, and what the host's memory can hold.
const MOST_WALKED: usize = 4 << 30;
/// What a path costs the host beside its bytes.
const PATH_COST: usize = 256;

/// Opens a fresh read-only session of each file system on the result, and compares.
/// Returns the sessions, for the fixers to run on.
///
/// # Errors
/// [`MigrateError::ResultDiffers`], and what plugins say.
pub async fn verify(
    request: &Request,
    opened: &Opened,
    model: &mut Model,
    result: &[Arc<dyn Image>],
) -> Result<Vec<Arc<dyn FileTree>>, MigrateError> {
    let mut sessions = Vec::new();
    let mut differences = Vec::new();
    for (mounted, tree) in opened.mounted.iter().zip(0_u32..) {
        let session = reopen(request, mounted, &opened.devices, result, false).await?;
        let before = walk(mounted.session.as_ref()).await?;
        let after = walk(session.as_ref()).await?;
        let mut comparison = Comparison {
            model,
            tree,
            session: session.as_ref(),
            differences: &mut differences,
            found: HashMap::new(),
            owners: HashMap::new(),
        };
        comparison.compare(&before, &after).await?;
        sessions.push(session);
    }
    if differences.is_empty() {
        return Ok(sessions);
    }
    let more = differences.len().saturating_sub(MOST_SHOWN);
    differences.truncate(MOST_SHOWN);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    Err(MigrateError::ResultDiffers { differences })
}

type Walked = BTreeMap<String, Metadata>;

/// Every path of a file system with its metadata.
async fn walk(session: &dyn FileTree) -> Result<Walked, CallError> {
    let mut walked = Walked::new();
    let mut ahead = vec![("/".to_owned(), 0)];
    let mut bytes = 0_usize;
    let root = session.stat("/").await?;
    // A directory has one name: a second one is a loop, or makes the walk endless.
    let mut directories = HashSet::from([root.inode]);
    walked.insert("/".to_owned(), root);
    while let Some((directory, depth)) = ahead.pop() {
        for entry in list_all(session, &directory).await? {
            let path = join(&directory, &entry.name);
            let metadata = session.stat(&path).await?;
            if metadata.kind == FileKind::Directory {
                if !directories.insert(metadata.inode) {
                    return Err(bad_listing(&path, "it has another name".to_owned()));
                }
                if depth >= DEEPEST {
                    let reason = format!("it is deeper than {DEEPEST} directories");
                    return Err(bad_listing(&path, reason));
                }
                ahead.push((path.clone(), depth + 1));
            }
            bytes = bytes.saturating_add(path.len() + PATH_COST);
            walked.insert(path, metadata);
            if walked.len() > MOST_ENTRIES || bytes > MOST_WALKED {
                let reason = format!(
                    "the file system has more than {MOST_ENTRIES} entries or {} MiB of paths",
                    MOST_WALKED >> 20
                );
                return Err(bad_listing(&directory, reason));
            }
        }
    }
    Ok(walked)
}

struct Comparison<'a> {
    model: &'a mut Model,
    tree: u32,
    session: &'a dyn FileTree,
    differences: &'a mut Vec<String>,
    /// The inode that each planned node was found as, and the other way round: names of
    /// one file must be names of one file, others must not.
    found: HashMap<NodeId, u64>,
    owners: HashMap<u64, NodeId>,
}

impl Comparison<'_> {
    async fn compare(&mut self, before: &Walked, after: &Walked) -> Result<(), MigrateError> {
        let touched = self.model.touched();
        let planned = self.planned_names(before, after).await?;
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).chain(&planned).collect();
        for path in paths {
            let (old, new) = (before.get(path), after.get(path));
            match (old, new) {
                // A touched inode's number may be another file's by now.
                (Some(old), Some(new))
                    if old.inode == new.inode && !touched.contains_key(&(self.tree, old.inode)) =>
                {
                    self.unchanged(path, old, new);
                }
                _ => match self.planned_at(path).await? {
                    None if new.is_none() => {}
                    None => self.differs(path, "exists, and should not"),
                    Some(node) => match new {
                        Some(new) => self.as_planned(path, node, new).await?,
                        None => self.differs(path, "is missing"),
                    },
                },
            }
        }
        Ok(())
    }

    /// Paths that edits put into directories that are there. What is planned in a directory
    /// that is not there is missing with it.
    async fn planned_names(
        &mut self,
        before: &Walked,
        after: &Walked,
    ) -> Result<Vec<String>, MigrateError> {
        let mut paths = Vec::new();
        for (path, new) in after {
            if new.kind != FileKind::Directory {
                continue;
            }
            let node = match before.get(path) {
                // Directories that nobody looked at have no edits.
                Some(old) if old.inode == new.inode => self.model.known(self.tree, old.inode),
                _ => self.planned_at(path).await?,
            };
            for name in node.map_or_else(Vec::new, |node| self.model.planned_names(node)) {
                paths.push(join(path, &name));
            }
        }
        Ok(paths)
    }

    fn differs(&mut self, path: &str, how: impl AsRef<str>) {
        self.differences.push(format!("{path} {}", how.as_ref()));
    }

    /// What the plan has at a path of this file system.
    async fn planned_at(&mut self, path: &str) -> Result<Option<NodeId>, MigrateError> {
        let Some(mut node) = self.model.tree_root(self.tree) else {
            return Ok(None);
        };
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if !self.model.is_directory(node) {
                return Ok(None);
            }
            match self.model.child_in_tree(node, name).await {
                Ok(Some(child)) => node = child,
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.failed(path, &error)),
            }
        }
        Ok(Some(node))
    }

    fn failed(&mut self, path: &str, error: &Error) -> MigrateError {
        match self.model.take_fault() {
            Some(fault) => fault.into(),
            None => MigrateError::Host(format!("comparing {path}: {}", error.message)),
        }
    }

    fn unchanged(&mut self, path: &str, old: &Metadata, new: &Metadata) {
        let entries_edited = self
            .model
            .known(self.tree, old.inode)
            .and_then(|id| self.model.node(id).ok())
            .is_some_and(|node| !node.entries.is_empty());
        let mut old = *old;
        old.accessed = new.accessed;
        if entries_edited {
            (old.modified, old.changed) = (new.modified, new.changed);
            (old.size, old.links) = (new.size, new.links);
        }
        if old != *new {
            self.differs(
                path,
                format!("changed from {old:?} to {new:?}, and nobody planned it"),
            );
        }
    }

    async fn as_planned(
        &mut self,
        path: &str,
        id: NodeId,
        found: &Metadata,
    ) -> Result<(), MigrateError> {
        let planned = match self.model.node(id) {
            Ok(node) => node.clone(),
            Err(error) => return Err(self.failed(path, &error)),
        };
        let wanted = &planned.metadata;
        if planned.base.is_some() && wanted.inode != found.inode {
            self.differs(path, "is another inode than planned");
        } else if *self.found.entry(id).or_insert(found.inode) != found.inode {
            self.differs(path, "is not the file that its other names are");
        } else if *self.owners.entry(found.inode).or_insert(id) != id {
            self.differs(path, "is a name of another file");
        }
        let is_directory = wanted.kind == FileKind::Directory;
        let facts = [
            (
                "kind",
                format!("{:?}", wanted.kind),
                format!("{:?}", found.kind),
            ),
            (
                "mode",
                format!("{:o}", wanted.mode),
                format!("{:o}", found.mode),
            ),
            ("owner", wanted.owner.to_string(), found.owner.to_string()),
            ("group", wanted.group.to_string(), found.group.to_string()),
            (
                "device number",
                format!("{:?}", wanted.device),
                format!("{:?}", found.device),
            ),
        ];
        for (what, wanted, found) in facts {
            if wanted != found {
                self.differs(path, format!("has {what} {found} instead of {wanted}"));
            }
        }
        if !is_directory && (wanted.size, wanted.links) != (found.size, found.links) {
            self.differs(
                path,
                format!(
                    "has {} bytes and {} links instead of {} and {}",
                    found.size, found.links, wanted.size, wanted.links
                ),
            );
            return Ok(());
        }
        match wanted.kind {
            FileKind::Regular if planned.touched => {
                self.content_as_planned(path, id, found.size).await?;
            }
            FileKind::Symlink if planned.touched => {
                let wanted = match self.model.target(id).await {
                    Ok(wanted) => wanted,
                    Err(error) => return Err(self.failed(path, &error)),
                };
                let target = self.session.read_link(path).await?;
                if target != wanted {
                    self.differs(path, format!("leads to {target}, which was not planned"));
                }
            }
            _ => {}
        }
        self.xattrs_as_planned(path, id).await
    }

    async fn content_as_planned(
        &mut self,
        path: &str,
        id: NodeId,
        size: u64,
    ) -> Result<(), MigrateError> {
        let content = match self.model.content(id) {
            Ok(content) => content,
            Err(error) => return Err(self.failed(path, &error)),
        };
        let wanted = match self.model.digest(&content).await {
            Ok(wanted) => wanted,
            Err(error) => return Err(self.failed(path, &error)),
        };
        let mut hasher = Sha256::new();
        let mut offset = 0;
        while offset < size {
            let bytes = self.session.read_at(path, offset, CHUNK).await?;
            if bytes.is_empty() {
                break;
            }
            offset += bytes.len() as u64;
            hasher.update(&bytes);
        }
        if hex::encode(hasher.finalize()) != wanted {
            self.differs(path, "has other content than planned");
        }
        Ok(())
    }

    async fn xattrs_as_planned(&mut self, path: &str, id: NodeId) -> Result<(), MigrateError> {
        let wanted = match self.model.xattr_names(id).await {
            Ok(names) => names,
            Err(error) => return Err(self.failed(path, &error)),
        };
        let mut found = self.session.list_xattrs(path).await?;
        found.sort();
        if wanted != found {
            self.differs(
                path,
                format!("has the extended attributes {found:?} instead of {wanted:?}"),
            );
            return Ok(());
        }
        for name in wanted {
            let planned = match self.model.xattr(id, &name).await {
                Ok(value) => value,
                Err(error) => return Err(self.failed(path, &error)),
            };
            let value = self.session.get_xattr(path, &name).await?;
            if comparable(&name, &planned) != comparable(&name, &value) {
                self.differs(path, format!("has another {name} than planned"));
            }
        }
        Ok(())
    }
}

/// File systems keep SELinux labels with a trailing NUL, the contract gives them without.
fn comparable<'a>(name: &str, value: &'a [u8]) -> &'a [u8] {
    match value {
        [label @ .., 0] if name == SELINUX => label,
        _ => value,
    }
}
