//! A file system that is a component: one instance, one session.

use super::nonsense::{self, Check, Listing};
use super::{ComponentPlugin, callee, extensions, mistyped, provide, returned};
use crate::reply;
use async_trait::async_trait;
use cofferdam_contract::bindings::exports::cofferdam::plugin::file_tree::{Guest, GuestIndices};
use cofferdam_contract::failure::CallError;
use cofferdam_contract::kinds::{Call, FileTree, Filesystem, SessionSlot};
use cofferdam_contract::services::Devices;
use cofferdam_contract::types::{Attributes, Error, Identity, Metadata, MountReport, Page, Space};
use cofferdam_runtime::{GuestFuture, PluginCode, Session, State};
use std::sync::Arc;
use tokio::sync::Mutex;
use wasmtime::Store;

#[async_trait]
impl Filesystem for ComponentPlugin<GuestIndices> {
    async fn open(
        &self,
        call: Call,
        devices: Arc<dyn Devices>,
        slot: SessionSlot,
    ) -> Result<Box<dyn FileTree>, CallError> {
        let exports = self.exports().await?;
        let mut given = extensions(&call);
        provide(&mut given, devices);
        let code = Arc::clone(&self.code);
        let session =
            Session::start(Arc::clone(&code), call.context, given, Box::new(slot)).await?;
        Ok(Box::new(Tree {
            code,
            exports,
            mounted: Mutex::new(Mounted {
                session,
                guest: None,
                listing: Listing::default(),
            }),
        }))
    }
}

/// A session.
struct Tree {
    code: Arc<PluginCode>,
    exports: GuestIndices,
    mounted: Mutex<Mounted>,
}

struct Mounted {
    session: Session,
    /// The instance's functions, once they are looked up.
    guest: Option<Guest>,
    listing: Listing,
}

impl Tree {
    /// Calls a function of the session and gives what it returned and whatever `after`
    /// takes from the instance's state.
    async fn call<R, F>(&self, name: &str, run: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(Guest, &'a mut Store<State>) -> GuestFuture<'a, Result<R, Error>>
            + Send
            + 'static,
    {
        let mut mounted = self.mounted.lock().await;
        let mounted = &mut *mounted;
        let exports = self.exports.clone();
        let known = mounted.guest.take();
        let (guest, result) = mounted
            .session
            .call(name, move |store, instance| {
                Box::pin(async move {
                    let guest = match known {
                        Some(guest) => guest,
                        None => exports.load(&mut *store, instance).map_err(mistyped)?,
                    };
                    let result = run(guest.clone(), store).await?;
                    Ok((guest, result))
                })
            })
            .await?;
        mounted.guest = Some(guest);
        returned(|| callee(&self.code, name), result)
    }

    fn sensible(&self, name: &str, check: Check) -> Result<(), CallError> {
        check.map_err(|reason| CallError::Nonsense {
            callee: callee(&self.code, name),
            reason,
        })
    }
}

/// Calls an exported function with owned arguments.
macro_rules! call {
    ($tree:ident, $name:literal, $function:ident($($argument:expr),*)) => {
        $tree
            .call($name, move |guest, store| {
                Box::pin(async move { guest.$function(store $(, $argument)*).await })
            })
            .await
    };
}

#[async_trait]
impl FileTree for Tree {
    async fn probe(&self) -> Result<Option<Identity>, CallError> {
        let found = call!(self, "probe", call_probe())?;
        if let Some(identity) = &found {
            self.sensible("probe", nonsense::identity(identity))?;
        }
        Ok(found)
    }

    async fn mount(&self, writable: bool) -> Result<MountReport, CallError> {
        let report = call!(self, "mount", call_mount(writable))?;
        self.sensible("mount", nonsense::report(&report))?;
        Ok(report)
    }

    async fn stat(&self, path: &str) -> Result<Metadata, CallError> {
        let path = path.to_owned();
        let metadata = call!(self, "stat", call_stat(&path))?;
        self.sensible("stat", nonsense::metadata(&metadata))?;
        Ok(metadata)
    }

    async fn list_directory(
        &self,
        path: &str,
        cursor: &str,
        limit: u32,
    ) -> Result<Page, CallError> {
        let (asked, from) = (path.to_owned(), cursor.to_owned());
        let page = call!(
            self,
            "list-directory",
            call_list_directory(&asked, &from, limit)
        )?;
        let mut mounted = self.mounted.lock().await;
        let check = mounted.listing.page(path, cursor, limit, &page);
        self.sensible("list-directory", check)?;
        Ok(page)
    }

    async fn read_at(&self, path: &str, offset: u64, length: u32) -> Result<Vec<u8>, CallError> {
        let path = path.to_owned();
        self.call("read-at", move |guest, store| {
            Box::pin(async move {
                reply::ask(store.data_mut(), length as usize);
                let result = guest
                    .call_read_at(&mut *store, &path, offset, length)
                    .await?;
                let bytes = reply::take(store.data_mut());
                Ok(result.map(|()| bytes))
            })
        })
        .await
    }

    async fn read_link(&self, path: &str) -> Result<String, CallError> {
        let path = path.to_owned();
        let target = call!(self, "read-link", call_read_link(&path))?;
        self.sensible("read-link", nonsense::target(&target))?;
        Ok(target)
    }

    async fn list_xattrs(&self, path: &str) -> Result<Vec<String>, CallError> {
        let path = path.to_owned();
        let names = call!(self, "list-xattrs", call_list_xattrs(&path))?;
        self.sensible("list-xattrs", nonsense::xattr_names(&names))?;
        Ok(names)
    }

    async fn get_xattr(&self, path: &str, name: &str) -> Result<Vec<u8>, CallError> {
        let (path, name) = (path.to_owned(), name.to_owned());
        let value = call!(self, "get-xattr", call_get_xattr(&path, &name))?;
        self.sensible("get-xattr", nonsense::xattr(&value))?;
        Ok(value)
    }

    async fn free_space(&self) -> Result<Space, CallError> {
        let space = call!(self, "free-space", call_free_space())?;
        self.sensible("free-space", nonsense::space(&space))?;
        Ok(space)
    }

    async fn create(&self, path: &str, attributes: &Attributes) -> Result<(), CallError> {
        let (path, attributes) = (path.to_owned(), attributes.clone());
        call!(self, "create", call_create(&path, &attributes))
    }

    async fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), CallError> {
        let (path, bytes) = (path.to_owned(), bytes.to_owned());
        call!(self, "write-at", call_write_at(&path, offset, &bytes))
    }

    async fn truncate(&self, path: &str, size: u64) -> Result<(), CallError> {
        let path = path.to_owned();
        call!(self, "truncate", call_truncate(&path, size))
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), CallError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        call!(self, "rename", call_rename(&from, &to))
    }

    async fn link(&self, existing: &str, path: &str) -> Result<(), CallError> {
        let (existing, path) = (existing.to_owned(), path.to_owned());
        call!(self, "link", call_link(&existing, &path))
    }

    async fn symlink(
        &self,
        path: &str,
        target: &str,
        attributes: &Attributes,
    ) -> Result<(), CallError> {
        let (path, target) = (path.to_owned(), target.to_owned());
        let attributes = attributes.clone();
        call!(self, "symlink", call_symlink(&path, &target, &attributes))
    }

    async fn make_directory(&self, path: &str, attributes: &Attributes) -> Result<(), CallError> {
        let (path, attributes) = (path.to_owned(), attributes.clone());
        call!(
            self,
            "make-directory",
            call_make_directory(&path, &attributes)
        )
    }

    async fn remove(&self, path: &str) -> Result<(), CallError> {
        let path = path.to_owned();
        call!(self, "remove", call_remove(&path))
    }

    async fn set_attributes(
        &self,
        path: &str,
        mode: u32,
        owner: u32,
        group: u32,
    ) -> Result<(), CallError> {
        let path = path.to_owned();
        call!(
            self,
            "set-attributes",
            call_set_attributes(&path, mode, owner, group)
        )
    }

    async fn set_xattr(
        &self,
        path: &str,
        name: &str,
        value: Option<&[u8]>,
    ) -> Result<(), CallError> {
        let (path, name) = (path.to_owned(), name.to_owned());
        let value = value.map(<[u8]>::to_vec);
        call!(
            self,
            "set-xattr",
            call_set_xattr(&path, &name, value.as_deref())
        )
    }

    async fn commit(&self) -> Result<(), CallError> {
        call!(self, "commit", call_commit())
    }
}
