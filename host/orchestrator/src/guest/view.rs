//! The services that a fixer is given: the guest with all edits so far, and the recorder.

use super::edits::{Edit, Recorded};
use super::model::{CHUNK, Model};
use super::note::{Note, Notes};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::services::{Edits, View};
use cofferdam_contract::types::{Attributes, Error, ErrorCode, Metadata, Page, Severity, Space};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;

/// Most edits that one plan holds: far above any real guest, far below what would
/// exhaust the host.
const MOST_EDITS: usize = 10_000;
/// Most new bytes that fixers hand over for one plan; they stay in memory until its end.
const MOST_CARRIED: u64 = 1 << 30;

/// A guest, the edits planned on it, and what plugins had to say.
pub struct Planned {
    /// The guest.
    pub model: Mutex<Model>,
    /// The edits in order.
    pub edits: Mutex<Vec<Edit>>,
    /// Remarks.
    pub notes: Arc<Notes>,
    carried: AtomicU64,
}

impl Planned {
    /// No edits yet.
    pub fn new(model: Model, notes: Arc<Notes>) -> Self {
        Self {
            model: Mutex::new(model),
            edits: Mutex::new(Vec::new()),
            notes,
            carried: AtomicU64::new(0),
        }
    }

    /// The services for one fixer.
    pub fn for_fixer(self: &Arc<Self>, fixer: &str) -> Arc<FixerView> {
        Arc::new(FixerView {
            planned: Arc::clone(self),
            fixer: fixer.to_owned(),
        })
    }

    /// The failure of a file system that a plugin's call ran into.
    pub async fn take_fault(&self) -> Option<CallError> {
        self.model.lock().await.take_fault()
    }
}

/// [`View`] and [`Edits`] of one fixer.
pub struct FixerView {
    planned: Arc<Planned>,
    fixer: String,
}

impl FixerView {
    /// Asks for room for one more edit of so many bytes. It comes before the edit: one that
    /// shows in the model and is not recorded would make a difference that nobody planned.
    async fn admit(&self, bytes: usize) -> Result<(), Error> {
        let limit = |message: String| Err(Error::new(ErrorCode::Limit, message));
        if self.planned.edits.lock().await.len() >= MOST_EDITS {
            return limit(format!("a plan holds at most {MOST_EDITS} edits"));
        }
        let bytes = bytes as u64;
        if self.planned.carried.fetch_add(bytes, Ordering::SeqCst) + bytes > MOST_CARRIED {
            return limit(format!(
                "the edits of a plan carry at most {MOST_CARRIED} bytes"
            ));
        }
        Ok(())
    }

    async fn record(&self, reason: &str, recorded: Option<Recorded>) -> Result<(), Error> {
        let Some(recorded) = recorded else {
            return Ok(());
        };
        let mut edits = self.planned.edits.lock().await;
        edits.push(Edit {
            fixer: self.fixer.clone(),
            reason: reason.to_owned(),
            path: recorded.place.path,
            tree: recorded.tree,
            tree_path: recorded.place.tree_path,
            operation: recorded.operation,
            before: recorded.before,
            after: recorded.after,
        });
        Ok(())
    }
}

#[async_trait]
impl View for FixerView {
    async fn stat(&self, path: &str, follow: bool) -> Result<Metadata, Error> {
        let mut model = self.planned.model.lock().await;
        let id = model.resolve(path, follow).await?.existing()?;
        Ok(model.node(id)?.metadata)
    }

    async fn list_directory(&self, path: &str, cursor: &str, limit: u32) -> Result<Page, Error> {
        let mut model = self.planned.model.lock().await;
        let id = model.resolve(path, true).await?.existing()?;
        model.page(id, cursor, limit).await
    }

    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let mut model = self.planned.model.lock().await;
        let id = model.resolve(path, true).await?.existing()?;
        let content = model.content(id)?;
        model
            .read(&content, offset, u64::from(length.min(CHUNK)))
            .await
    }

    async fn read_link(&self, path: &str) -> Result<String, Error> {
        let mut model = self.planned.model.lock().await;
        let id = model.resolve(path, false).await?.existing()?;
        model.target(id).await
    }

    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, Error> {
        let mut model = self.planned.model.lock().await;
        let id = model.resolve(path, false).await?.existing()?;
        model.xattr_names(id).await
    }

    async fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>, Error> {
        let mut model = self.planned.model.lock().await;
        let id = model.resolve(path, false).await?.existing()?;
        model.xattr(id, name).await
    }

    async fn free_space(&self, path: &str) -> Result<Space, Error> {
        let mut model = self.planned.model.lock().await;
        let id = model.resolve(path, true).await?.existing()?;
        let tree = model.node(id)?.tree;
        model.free_space(tree).await
    }
}

#[async_trait]
impl Edits for FixerView {
    async fn write(&self, path: &str, content: Vec<u8>, reason: &str) -> Result<(), Error> {
        self.admit(content.len()).await?;
        let recorded = self
            .planned
            .model
            .lock()
            .await
            .edit_write(path, content)
            .await?;
        self.record(reason, recorded).await
    }

    async fn create(
        &self,
        path: &str,
        content: Vec<u8>,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error> {
        self.admit(content.len()).await?;
        let mut model = self.planned.model.lock().await;
        let recorded = model.edit_create(path, content, attributes).await?;
        self.record(reason, recorded).await
    }

    async fn append(&self, path: &str, content: Vec<u8>, reason: &str) -> Result<(), Error> {
        self.admit(content.len()).await?;
        let recorded = self
            .planned
            .model
            .lock()
            .await
            .edit_append(path, content)
            .await?;
        self.record(reason, recorded).await
    }

    async fn patch(
        &self,
        path: &str,
        offset: u64,
        content: Vec<u8>,
        reason: &str,
    ) -> Result<(), Error> {
        self.admit(content.len()).await?;
        let mut model = self.planned.model.lock().await;
        let recorded = model.edit_patch(path, offset, content).await?;
        self.record(reason, recorded).await
    }

    async fn copy(&self, from: &str, to: &str, reason: &str) -> Result<(), Error> {
        self.admit(0).await?;
        let recorded = self.planned.model.lock().await.edit_copy(from, to).await?;
        self.record(reason, recorded).await
    }

    async fn make_directory(
        &self,
        path: &str,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error> {
        self.admit(0).await?;
        let mut model = self.planned.model.lock().await;
        let recorded = model.edit_make_directory(path, attributes).await?;
        self.record(reason, recorded).await
    }

    async fn rename(&self, from: &str, to: &str, reason: &str) -> Result<(), Error> {
        self.admit(0).await?;
        let recorded = self
            .planned
            .model
            .lock()
            .await
            .edit_rename(from, to)
            .await?;
        self.record(reason, recorded).await
    }

    async fn remove(&self, path: &str, reason: &str) -> Result<(), Error> {
        self.admit(0).await?;
        let recorded = self.planned.model.lock().await.edit_remove(path).await?;
        self.record(reason, recorded).await
    }

    async fn symlink(
        &self,
        path: &str,
        target: &str,
        attributes: Attributes,
        reason: &str,
    ) -> Result<(), Error> {
        self.admit(0).await?;
        let mut model = self.planned.model.lock().await;
        let recorded = model.edit_symlink(path, target, attributes).await?;
        self.record(reason, recorded).await
    }

    async fn link(&self, existing: &str, path: &str, reason: &str) -> Result<(), Error> {
        self.admit(0).await?;
        let recorded = self
            .planned
            .model
            .lock()
            .await
            .edit_link(existing, path)
            .await?;
        self.record(reason, recorded).await
    }

    async fn set_mode(&self, path: &str, mode: u32, reason: &str) -> Result<(), Error> {
        self.admit(0).await?;
        let mut model = self.planned.model.lock().await;
        let recorded = model.edit_attributes(path, Some(mode), None).await?;
        self.record(reason, recorded).await
    }

    async fn set_owner(
        &self,
        path: &str,
        owner: u32,
        group: u32,
        reason: &str,
    ) -> Result<(), Error> {
        self.admit(0).await?;
        let mut model = self.planned.model.lock().await;
        let recorded = model
            .edit_attributes(path, None, Some((owner, group)))
            .await?;
        self.record(reason, recorded).await
    }

    async fn set_xattr(
        &self,
        path: &str,
        name: &str,
        value: Option<Vec<u8>>,
        reason: &str,
    ) -> Result<(), Error> {
        self.admit(value.as_ref().map_or(0, Vec::len)).await?;
        let mut model = self.planned.model.lock().await;
        let recorded = model.edit_xattr(path, name, value).await?;
        self.record(reason, recorded).await
    }

    fn note(&self, severity: Severity, message: &str) -> Result<(), Error> {
        self.planned.notes.add_of_plugin(Note {
            plugin: self.fixer.clone(),
            severity,
            message: message.to_owned(),
        })
    }
}
