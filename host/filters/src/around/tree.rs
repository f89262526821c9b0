//! A filter in front of each function of a file system's session.

use super::{Calling, Guard};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::FileTree;
use cofferdam_contract::services::Context;
use cofferdam_contract::types::{Attributes, Identity, Metadata, MountReport, Page, Space};
use std::sync::Arc;

pub(super) struct WrappedTree {
    pub(super) inner: Box<dyn FileTree>,
    pub(super) plugin: String,
    pub(super) context: Arc<dyn Context>,
    pub(super) guard: Arc<Guard>,
}

impl WrappedTree {
    fn calling(&self, function: &'static str, sent: usize) -> Calling<'_> {
        Calling {
            plugin: &self.plugin,
            function,
            context: self.context.as_ref(),
            sent: sent as u64,
        }
    }
}

/// Calls a function of the session with the filter around it.
macro_rules! through {
    ($tree:ident, $name:literal, $sent:expr, $function:ident($($argument:expr),*)) => {{
        let inner = $tree.inner.$function($($argument),*);
        $tree.guard.through($tree.calling($name, $sent), inner).await
    }};
}

#[async_trait]
impl FileTree for WrappedTree {
    async fn probe(&self) -> Result<Option<Identity>, CallError> {
        through!(self, "probe", 0, probe())
    }

    async fn mount(&self, writable: bool) -> Result<MountReport, CallError> {
        through!(self, "mount", 0, mount(writable))
    }

    async fn stat(&self, path: &str) -> Result<Metadata, CallError> {
        through!(self, "stat", path.len(), stat(path))
    }

    async fn list_directory(
        &self,
        path: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, CallError> {
        through!(
            self,
            "list-directory",
            path.len(),
            list_directory(path, cursor, limit)
        )
    }

    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, CallError> {
        through!(self, "read-at", path.len(), read_at(path, offset, length))
    }

    async fn read_link(&self, path: &str) -> Result<String, CallError> {
        through!(self, "read-link", path.len(), read_link(path))
    }

    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, CallError> {
        through!(self, "list-xattrs", path.len(), list_xattrs(path))
    }

    async fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>, CallError> {
        through!(self, "get-xattr", path.len(), get_xattr(path, name))
    }

    async fn free_space(&self) -> Result<Space, CallError> {
        through!(self, "free-space", 0, free_space())
    }

    async fn create(&self, path: &str, attributes: &Attributes) -> Result<(), CallError> {
        through!(self, "create", path.len(), create(path, attributes))
    }

    async fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), CallError> {
        let sent = path.len() + bytes.len();
        through!(self, "write-at", sent, write_at(path, offset, bytes))
    }

    async fn truncate(&self, path: &str, size: u64) -> Result<(), CallError> {
        through!(self, "truncate", path.len(), truncate(path, size))
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), CallError> {
        through!(self, "rename", from.len() + to.len(), rename(from, to))
    }

    async fn link(&self, existing: &str, path: &str) -> Result<(), CallError> {
        let sent = existing.len() + path.len();
        through!(self, "link", sent, link(existing, path))
    }

    async fn symlink(
        &self,
        path: &str,
        target: &str,
        attributes: &Attributes,
    ) -> Result<(), CallError> {
        let sent = path.len() + target.len();
        through!(self, "symlink", sent, symlink(path, target, attributes))
    }

    async fn make_directory(&self, path: &str, attributes: &Attributes) -> Result<(), CallError> {
        through!(
            self,
            "make-directory",
            path.len(),
            make_directory(path, attributes)
        )
    }

    async fn remove(&self, path: &str) -> Result<(), CallError> {
        through!(self, "remove", path.len(), remove(path))
    }

    async fn set_attributes(
        &self,
        path: &str,
        mode: u32,
        owner: u32,
        group: u32,
    ) -> Result<(), CallError> {
        through!(
            self,
            "set-attributes",
            path.len(),
            set_attributes(path, mode, owner, group)
        )
    }

    async fn set_xattr(
        &self,
        path: &str,
        name: &str,
        value: Option<&[u8]>,
    ) -> Result<(), CallError> {
        let sent = path.len() + name.len() + value.map_or(0, <[u8]>::len);
        through!(self, "set-xattr", sent, set_xattr(path, name, value))
    }

    async fn commit(&self) -> Result<(), CallError> {
        through!(self, "commit", 0, commit())
    }
}
