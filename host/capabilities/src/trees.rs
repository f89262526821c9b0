//! `cofferdam:guest/trees`: the file systems found, before anything is known of mounts.

use crate::arguments::{self, MOST_BYTES, MOST_DEVICE_BYTES, MOST_ENTRIES};
use crate::host::{Host, capability};
use cofferdam_contract::bindings::cofferdam::guest::trees;
use cofferdam_contract::services::Trees;
use cofferdam_contract::types::{BlockDevice, Error, Metadata, Page, Tree};

capability!(
    TreesCapability,
    "cofferdam:guest/trees@0.1.0",
    cofferdam_contract::bindings::cofferdam::guest::trees
);

async fn read_device(
    trees: &dyn Trees,
    device: u32,
    offset: u64,
    length: u32,
) -> Result<Vec<u8>, Error> {
    arguments::length(length as usize, MOST_DEVICE_BYTES as usize)?;
    trees.read_device(device, offset, length).await
}

async fn stat(trees: &dyn Trees, tree: u32, path: &str, follow: bool) -> Result<Metadata, Error> {
    arguments::path(path)?;
    trees.stat(tree, path, follow).await
}

async fn list_directory(
    trees: &dyn Trees,
    tree: u32,
    path: &str,
    cursor: &str,
    limit: u32,
) -> Result<Page, Error> {
    arguments::path(path)?;
    trees
        .list_directory(tree, path, cursor, limit.clamp(1, MOST_ENTRIES))
        .await
}

async fn read_at(
    trees: &dyn Trees,
    tree: u32,
    path: &str,
    offset: u64,
    length: u32,
) -> Result<Vec<u8>, Error> {
    arguments::path(path)?;
    arguments::length(length as usize, MOST_BYTES as usize)?;
    trees.read_at(tree, path, offset, length).await
}

async fn read_link(trees: &dyn Trees, tree: u32, path: &str) -> Result<String, Error> {
    arguments::path(path)?;
    trees.read_link(tree, path).await
}

impl trees::Host for Host<'_> {
    async fn devices(&mut self) -> wasmtime::Result<Vec<BlockDevice>> {
        Ok(self.service::<dyn Trees>()?.devices())
    }

    async fn read_device(
        &mut self,
        device: u32,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let trees = self.service::<dyn Trees>()?;
        Ok(read_device(&*trees, device, offset, length).await)
    }

    async fn list(&mut self) -> wasmtime::Result<Vec<Tree>> {
        Ok(self.service::<dyn Trees>()?.list())
    }

    async fn stat(
        &mut self,
        tree: u32,
        path: String,
        follow: bool,
    ) -> wasmtime::Result<Result<Metadata, Error>> {
        let trees = self.service::<dyn Trees>()?;
        Ok(stat(&*trees, tree, &path, follow).await)
    }

    async fn list_directory(
        &mut self,
        tree: u32,
        path: String,
        cursor: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Page, Error>> {
        let trees = self.service::<dyn Trees>()?;
        Ok(list_directory(&*trees, tree, &path, &cursor, limit).await)
    }

    async fn read_at(
        &mut self,
        tree: u32,
        path: String,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let trees = self.service::<dyn Trees>()?;
        Ok(read_at(&*trees, tree, &path, offset, length).await)
    }

    async fn read_link(
        &mut self,
        tree: u32,
        path: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        let trees = self.service::<dyn Trees>()?;
        Ok(read_link(&*trees, tree, &path).await)
    }
}
