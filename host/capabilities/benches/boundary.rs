//! What device reads cost through the boundary, beside bare wasmtime and memcpy. What calls
//! cost is in the bench `runtime` of the tests.
//!
//! Every figure is the median of five rounds in which the ways are taken in turn. Bare
//! wasmtime is the same engine configuration and the same component with a linker that
//! has the bare function behind it: no limits, no services, no checks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring program ends at the first thing that is wrong"
)]

#[path = "../../runtime/tests/guest/mod.rs"]
mod guest;

use async_trait::async_trait;
use cofferdam_capabilities::{load_plugins, runtime};
use cofferdam_contract::bindings::exports::cofferdam::plugin::file_tree;
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, Filesystem, SessionSlot};
use cofferdam_contract::services::Devices;
use cofferdam_contract::types::{DeviceInfo, Error, Extent};
use cofferdam_runtime::engine::{Allocation, PoolSize, build_with};
use cofferdam_runtime::{Options, PluginFolder, embed_manifest};
use guest::{TestRun, all_but, component, manifest};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store, StoreContextMut};

const ROUNDS: usize = 5;
const DEVICE: usize = 64 << 20;

/// A device in memory.
struct Ram(Arc<Vec<u8>>);

fn slice(bytes: &[u8], offset: u64, length: u32) -> Vec<u8> {
    let start = usize::try_from(offset).unwrap();
    bytes[start..start + length as usize].to_vec()
}

#[async_trait]
impl Devices for Ram {
    fn count(&self) -> u32 {
        1
    }
    fn info(&self, _: u32) -> Result<DeviceInfo, Error> {
        Ok(DeviceInfo {
            size: self.0.len() as u64,
            block_size: 512,
            read_only: true,
        })
    }
    async fn read_at(&self, _: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        Ok(slice(&self.0, offset, length))
    }
    async fn write_at(&self, _: u32, _: u64, _: &[u8]) -> Result<(), Error> {
        Err(Error::invalid("not written here"))
    }
    async fn flush(&self, _: u32) -> Result<(), Error> {
        Ok(())
    }
    async fn extents(&self, _: u32, _: u64, _: u64) -> Result<Vec<Extent>, Error> {
        Ok(Vec::new())
    }
}

/// A file system whose `truncate` reads the whole device in blocks of the given size.
fn reader() -> Vec<u8> {
    let imports = "(import \"cofferdam:disk/devices@0.1.0\" \"read-at\"
        (func $read (param i32 i64 i32 i32)))";
    let body = format!(
        "(local $at i64)
         (if (i32.lt_u (memory.size) (i32.const 64))
            (then (drop (memory.grow (i32.const 64)))))
         (loop $again
            (global.set $next (i32.const 65536))
            (call $read (i32.const 0) (local.get $at) (i32.wrap_i64 (local.get 2)) (i32.const 64))
            (if (i32.load8_u (i32.const 64)) (then unreachable))
            (local.set $at (i64.add (local.get $at) (local.get 2)))
            (br_if $again (i64.lt_u (local.get $at) (i64.const {DEVICE}))))
         (global.set $next (i32.const 65536))
         (i32.const 0)"
    );
    let text = guest::filesystem(&[("truncate", &body)]);
    component("filesystem", imports, &text)
}

fn median(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort();
    rounds[rounds.len() / 2]
}

/// A bare engine that interrupts nothing.
fn bare_engine() -> Engine {
    build_with(PoolSize { instances: 4 }, Allocation::Pool).unwrap()
}

async fn bare_reads(bytes: &[u8], device: Arc<Vec<u8>>, blocks: &[u64]) -> Vec<Vec<Duration>> {
    let engine = bare_engine();
    let component = Component::new(&engine, bytes).unwrap();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .instance("cofferdam:disk/devices@0.1.0")
        .unwrap()
        .func_wrap_async(
            "read-at",
            move |_: StoreContextMut<'_, ()>, (_, offset, length): (u32, u64, u32)| {
                let read = Ok::<Vec<u8>, Error>(slice(&device, offset, length));
                Box::new(async move { Ok((read,)) })
            },
        )
        .unwrap();
    let pre = linker.instantiate_pre(&component).unwrap();
    let exports = file_tree::GuestIndices::new(&pre).unwrap();
    let mut store = Store::new(&engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    let instance = pre.instantiate_async(&mut store).await.unwrap();
    let guest = exports.load(&mut store, &instance).unwrap();
    let mut times = vec![Vec::new(); blocks.len()];
    for _ in 0..=ROUNDS {
        for (block, times) in blocks.iter().zip(&mut times) {
            let start = Instant::now();
            guest
                .call_truncate(&mut store, "/f", *block)
                .await
                .unwrap()
                .unwrap();
            times.push(start.elapsed());
        }
    }
    times
}

async fn our_reads(bytes: &[u8], device: Arc<Vec<u8>>, blocks: &[u64]) -> Vec<Vec<Duration>> {
    let folder = tempfile::tempdir().unwrap();
    let embedded = embed_manifest(bytes, &manifest("reader", &all_but(&[]))).unwrap();
    std::fs::write(folder.path().join("reader.wasm"), embedded).unwrap();
    let runtime = runtime(&Options::uncached()).unwrap();
    let scan = PluginFolder::scan(&[folder.path().to_owned()]);
    let plugins = load_plugins(&runtime, scan, &Granted::nothing()).unwrap();
    let filesystem: &dyn Filesystem = &*plugins.set.filesystems[0];
    let call = Call {
        context: Arc::new(TestRun::default()),
        settings: "{}".to_owned(),
    };
    let slot = SessionSlot::unlimited();
    let tree = filesystem
        .open(call, Arc::new(Ram(device)), slot)
        .await
        .unwrap();
    let mut times = vec![Vec::new(); blocks.len()];
    for _ in 0..=ROUNDS {
        for (block, times) in blocks.iter().zip(&mut times) {
            let start = Instant::now();
            tree.truncate("/f", *block).await.unwrap();
            times.push(start.elapsed());
        }
    }
    times
}

fn memcpy(device: &[u8], block: u64) -> Duration {
    let mut to = vec![0_u8; usize::try_from(block).unwrap()];
    let start = Instant::now();
    for chunk in device.chunks_exact(to.len()) {
        to.copy_from_slice(chunk);
        std::hint::black_box(&mut to);
    }
    start.elapsed()
}

async fn device_reads() {
    let bytes = reader();
    let device: Arc<Vec<u8>> = Arc::new((0..DEVICE).map(|at| at.to_le_bytes()[0]).collect());
    let blocks = [4 << 10, 64 << 10, 1 << 20];
    let bare = bare_reads(&bytes, Arc::clone(&device), &blocks).await;
    let ours = our_reads(&bytes, Arc::clone(&device), &blocks).await;
    println!("device reads, 64 MiB in memory (GiB/s; ours as a share of the others)");
    for ((block, bare), ours) in blocks.iter().zip(bare).zip(ours) {
        let copies = (0..=ROUNDS).map(|_| memcpy(&device, *block)).collect();
        let speed = |times| DEVICE as f64 / f64::from(1 << 30) / median(times).as_secs_f64();
        let (copy, bare, ours) = (speed(copies), speed(bare), speed(ours));
        println!(
            "  {:>4} KiB  memcpy {copy:>6.2}  bare {bare:>6.2}  ours {ours:>6.2}  {:>3.0} % of memcpy, {:>3.0} % of bare",
            block >> 10,
            ours / copy * 100.0,
            ours / bare * 100.0
        );
    }
}

fn main() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    tokio.block_on(device_reads());
}
