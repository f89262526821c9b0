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
use crate::guest::model::{CHUNK, Model, NodeId, join, list_all};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::FileTree;
use cofferdam_contract::types::{Error, FileKind, Metadata};
use cofferdam_disk::Image;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most differences that an error shows.
const MOST_SHOWN: usize = 20;
/// Deepest directory that a walk enters: deeper is a loop or hostile.
const DEEPEST: usize = 256;

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
    walked.insert("/".to_owned(), session.stat("/").await?);
    while let Some((directory, depth)) = ahead.pop() {
        for entry in list_all(session, &directory).await? {
            let path = join(&directory, &entry.name);
            let metadata = session.stat(&path).await?;
            if metadata.kind == FileKind::Directory && depth < DEEPEST {
                ahead.push((path.clone(), depth + 1));
            }
            walked.insert(path, metadata);
        }
    }
    Ok(walked)
}

struct Comparison<'a> {
    model: &'a mut Model,
    tree: u32,
    session: &'a dyn FileTree,
    differences: &'a mut Vec<String>,
}

impl Comparison<'_> {
    async fn compare(&mut self, before: &Walked, after: &Walked) -> Result<(), MigrateError> {
        let touched = self.model.touched();
        let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for path in paths {
            let (old, new) = (before.get(path), after.get(path));
            let known = old
                .and_then(|old| touched.get(&(self.tree, old.inode)))
                .copied();
            match (old, new) {
                (Some(old), Some(new)) if old.inode == new.inode => match known {
                    Some(node) => self.as_planned(path, node, new).await?,
                    None => self.unchanged(path, old, new),
                },
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
            FileKind::Regular if planned.content.is_some() || planned.base.is_none() => {
                self.content_as_planned(path, id, found.size).await?;
            }
            FileKind::Symlink if planned.target.is_some() => {
                let target = self.session.read_link(path).await?;
                if Some(&target) != planned.target.as_ref() {
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
