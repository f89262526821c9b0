//! A session of a file system with its calls watched.

use super::{CallWatch, Callable, Pass};
use async_trait::async_trait;
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::FileTree;
use cofferdam_contract::types::{Attributes, Identity, Metadata, MountReport, Page, Space};
use std::sync::Arc;

/// A session that is watched: it counts as one call until it is dropped.
pub(super) struct WatchedTree {
    pub(super) inner: Box<dyn FileTree>,
    pub(super) who: Arc<Callable>,
    pub(super) watch: Arc<CallWatch>,
    pub(super) run: String,
    pub(super) _pass: Pass,
}

impl WatchedTree {
    fn seen<T>(&self, result: Result<T, CallError>) -> Result<T, CallError> {
        self.watch.ended(&self.who, &self.run, &result);
        result
    }
}

/// The trait's functions, each handed on and its end looked at.
macro_rules! hand_on {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)+) => {
        #[async_trait]
        impl FileTree for WatchedTree {
            $(async fn $name(&self, $($argument: $kind),*) -> Result<$result, CallError> {
                let result = self.inner.$name($($argument),*).await;
                self.seen(result)
            })+
        }
    };
}

hand_on! {
    fn probe() -> Option<Identity>;
    fn mount(writable: bool) -> MountReport;
    fn stat(path: &str) -> Metadata;
    fn list_directory(path: &str, cursor: &str, limit: u32) -> Page;
    fn read_at(path: &str, offset: u64, length: u32) -> Vec<u8>;
    fn read_link(path: &str) -> String;
    fn list_xattrs(path: &str) -> Vec<String>;
    fn get_xattr(path: &str, name: &str) -> Vec<u8>;
    fn free_space() -> Space;
    fn create(path: &str, attributes: &Attributes) -> ();
    fn write_at(path: &str, offset: u64, bytes: &[u8]) -> ();
    fn truncate(path: &str, size: u64) -> ();
    fn rename(from: &str, to: &str) -> ();
    fn link(existing: &str, path: &str) -> ();
    fn symlink(path: &str, target: &str, attributes: &Attributes) -> ();
    fn make_directory(path: &str, attributes: &Attributes) -> ();
    fn remove(path: &str) -> ();
    fn set_attributes(path: &str, mode: u32, owner: u32, group: u32) -> ();
    fn set_xattr(path: &str, name: &str, value: Option<&[u8]>) -> ();
    fn commit() -> ();
}
