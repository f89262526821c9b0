//! `cofferdam:guest/view`: the guest as one tree, with the edits planned so far.

use crate::arguments::{self, MOST_BYTES, MOST_ENTRIES};
use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::guest::view;
use cofferdam_contract::services::View;
use cofferdam_contract::types::{Error, Metadata, Page, Space};
use std::sync::Arc;

capability!(
    ViewCapability,
    "cofferdam:guest/view@0.1.0",
    cofferdam_contract::bindings::cofferdam::guest::view
);

impl Host<'_> {
    /// The view, where the path is one.
    fn view_at(&self, path: &str) -> wasmtime::Result<Result<Arc<dyn View>, Error>> {
        let view = self.service::<dyn View>()?;
        Ok(arguments::path(path).map(|()| view))
    }
}

/// Calls a function of the view at a checked path.
macro_rules! at_path {
    ($host:ident, $path:ident, $function:ident($($argument:expr),*)) => {
        match $host.view_at(&$path)? {
            Ok(view) => Ok(view.$function(&$path $(, $argument)*).await),
            Err(error) => Ok(Err(error)),
        }
    };
}

impl view::Host for Host<'_> {
    async fn stat(
        &mut self,
        path: String,
        follow: bool,
    ) -> wasmtime::Result<Result<Metadata, Error>> {
        at_path!(self, path, stat(follow))
    }

    async fn list_directory(
        &mut self,
        path: String,
        cursor: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Page, Error>> {
        let limit = limit.clamp(1, MOST_ENTRIES);
        at_path!(self, path, list_directory(&cursor, limit))
    }

    async fn read_at(
        &mut self,
        path: String,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        if let Err(error) = arguments::length(length as usize, MOST_BYTES as usize) {
            return Ok(Err(error));
        }
        at_path!(self, path, read_at(offset, length))
    }

    async fn read_link(&mut self, path: String) -> wasmtime::Result<Result<String, Error>> {
        at_path!(self, path, read_link())
    }

    async fn list_xattrs(&mut self, path: String) -> wasmtime::Result<Result<Vec<String>, Error>> {
        at_path!(self, path, list_xattrs())
    }

    async fn get_xattr(
        &mut self,
        path: String,
        name: String,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        at_path!(self, path, get_xattr(&name))
    }

    async fn free_space(&mut self, path: String) -> wasmtime::Result<Result<Space, Error>> {
        at_path!(self, path, free_space())
    }
}
