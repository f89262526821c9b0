//! Components of each kind behind the traits of the contract: what reaches the services,
//! what comes back, and what is refused on the way.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "../../runtime/tests/guest/mod.rs"]
mod guest;

use async_trait::async_trait;
use cofferdam_capabilities::{LoadedPlugins, load_plugins, runtime};
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, FileTree, SessionSlot};
use cofferdam_contract::services::{Devices, Machine, SourceFolder};
use cofferdam_contract::types::{
    DeviceInfo, Error, ErrorCode, Extent, ExtentKind, Nic, Severity, SourceFile,
};
use cofferdam_runtime::{Options, PluginFolder, embed_manifest};
use guest::{TestRun, all_but, alone, component, manifest};
use std::sync::{Arc, Mutex};

/// A file system of which only the given functions do not trap.
fn filesystem(imports: &str, given: &[(&str, &str)]) -> Vec<u8> {
    component("filesystem", imports, &guest::filesystem(given))
}

/// A device of 8 MiB whose bytes are their offset, low byte.
#[derive(Default)]
struct Counting {
    written: Mutex<Vec<(u64, usize)>>,
}

const DEVICE_SIZE: u64 = 8 << 20;

#[async_trait]
impl Devices for Counting {
    fn count(&self) -> u32 {
        1
    }
    fn info(&self, device: u32) -> Result<DeviceInfo, Error> {
        if device > 0 {
            return Err(Error::not_found("no such device"));
        }
        Ok(DeviceInfo {
            size: DEVICE_SIZE,
            block_size: 512,
            read_only: true,
        })
    }
    async fn read_at(&self, _: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        assert!(length <= 4 << 20, "the capability refuses more");
        Ok((offset..offset + u64::from(length))
            .map(|at| at.to_le_bytes()[0])
            .collect())
    }
    async fn write_at(&self, _: u32, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.written.lock().unwrap().push((offset, bytes.len()));
        Ok(())
    }
    async fn flush(&self, _: u32) -> Result<(), Error> {
        Ok(())
    }
    async fn extents(&self, _: u32, offset: u64, length: u64) -> Result<Vec<Extent>, Error> {
        Ok(vec![Extent {
            offset,
            length,
            kind: ExtentKind::Data,
        }])
    }
}

fn call() -> Call {
    Call {
        context: Arc::new(TestRun::default()),
        settings: "{\"a\":1}".to_owned(),
    }
}

struct Loaded {
    plugins: LoadedPlugins,
    _folder: tempfile::TempDir,
}

fn load(components: &[(&str, Vec<u8>)]) -> Loaded {
    load_with(components, &all_but(&[]))
}

fn load_with(components: &[(&str, Vec<u8>)], limits: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    for (id, component) in components {
        let bytes = embed_manifest(component, &manifest(id, limits)).unwrap();
        std::fs::write(folder.path().join(format!("{id}.wasm")), bytes).unwrap();
    }
    let scan = PluginFolder::scan(&[folder.path().to_owned()]);
    let runtime = runtime(&Options::uncached()).unwrap();
    let plugins = load_plugins(&runtime, scan, &Granted::nothing()).unwrap();
    assert!(plugins.refused.is_empty(), "{:?}", plugins.refused);
    Loaded {
        plugins,
        _folder: folder,
    }
}

async fn open(component: Vec<u8>) -> (Loaded, Box<dyn FileTree>) {
    let loaded = load(&[("fs", component)]);
    let tree = loaded.plugins.set.filesystems[0]
        .open(
            call(),
            Arc::new(Counting::default()),
            SessionSlot::unlimited(),
        )
        .await
        .unwrap();
    (loaded, tree)
}

#[track_caller]
fn assert_nonsense<T: std::fmt::Debug>(result: Result<T, CallError>, expected: &str) {
    match result {
        Err(CallError::Nonsense { callee, reason }) => {
            assert_eq!(callee.plugin, "fs");
            assert!(reason.contains(expected), "{reason}");
        }
        other => panic!("expected nonsense about {expected}, got {other:?}"),
    }
}

const PUT: &str = "(import \"cofferdam:reply/reply@0.1.0\" \"put\" (func $put (param i32 i32)))";

const READ: &str = "(import \"cofferdam:disk/devices@0.1.0\" \"read-at\"
    (func $read (param i32 i64 i32 i32)))";

/// Reads the device at the offset asked for and puts what it got; an error of the device
/// becomes that of the call.
const READ_THROUGH: &str = "
    (call $read (i32.const 0) (local.get 2) (local.get 3) (i32.const 64))
    (if (i32.load8_u (i32.const 64))
        (then (return (i32.const 64))))
    (call $put (i32.load (i32.const 68)) (i32.load (i32.const 72)))
    (i32.const 0)";

#[tokio::test]
async fn a_file_system_reads_its_device_and_answers_through_reply() {
    let imports = format!("{PUT} {READ}");
    let (_loaded, tree) = open(filesystem(&imports, &[("read-at", READ_THROUGH)])).await;
    assert_eq!(tree.read_at("/f", 254, 4).await.unwrap(), [254, 255, 0, 1]);
    assert_eq!(tree.read_at("/f", 9, 1).await.unwrap(), [9]);
    let beyond = tree.read_at("/f", DEVICE_SIZE - 1, 2).await.unwrap_err();
    let error = beyond.returned().unwrap();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("beyond the end"), "{error:?}");
    let much = tree.read_at("/f", 0, (4 << 20) + 1).await.unwrap_err();
    assert_eq!(much.returned().unwrap().code, ErrorCode::Limit);
    // An error record is an answer: the session goes on.
    assert_eq!(tree.read_at("/f", 1, 1).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_read_only_device_is_not_written() {
    let write = "(import \"cofferdam:disk/devices@0.1.0\" \"write-at\"
        (func $write (param i32 i64 i32 i32 i32)))";
    let body =
        "(call $write (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 8) (i32.const 64))
        (i32.const 64)";
    let (_loaded, tree) = open(filesystem(write, &[("commit", body)])).await;
    let error = tree.commit().await.unwrap_err();
    assert_eq!(error.returned().unwrap().code, ErrorCode::Denied);
}

#[tokio::test]
async fn a_reply_longer_than_asked_ends_the_session() {
    let body = "(call $put (i32.const 0) (i32.const 5)) (i32.const 0)";
    let (_loaded, tree) = open(filesystem(PUT, &[("read-at", body)])).await;
    assert_eq!(tree.read_at("/f", 0, 5).await.unwrap().len(), 5);
    assert_nonsense(tree.read_at("/f", 0, 4).await, "was asked for 4");
    assert!(
        tree.read_at("/f", 0, 5).await.is_err(),
        "the session is over"
    );
}

#[tokio::test]
async fn a_reply_outside_a_read_is_refused() {
    let body = "(call $put (i32.const 0) (i32.const 1)) (i32.const 0)";
    let (_loaded, tree) = open(filesystem(PUT, &[("commit", body)])).await;
    assert_nonsense(tree.commit().await, "was asked for 0");
}

#[tokio::test]
async fn nonsense_in_results_is_found() {
    // result<metadata, error> at 256: the payload begins at 264; mode is 12 bytes into it.
    let stat = "(i32.store (i32.const 276) (i32.const 0x81a4)) (i32.const 256)";
    // result<page, error>: list pointer and length at 4 and 8, `next` tag at 12.
    let list = "(i32.store (i32.const 268) (i32.const 1))
        (i32.store (i32.const 272) (i32.const 300))
        (i32.store (i32.const 276) (i32.const 1))
        (i32.const 256)";
    // result<string, error>: an empty string.
    let link = "(i32.const 256)";
    let functions = [
        ("stat", stat),
        ("list-directory", list),
        ("read-link", link),
    ];
    let (_loaded, tree) = open(filesystem("", &functions)).await;
    assert_nonsense(tree.stat("/f").await, "mode 0o100644");
    // A wrong answer that was caught does not end the instance.
    assert_nonsense(tree.read_link("/f").await, "link target");
    assert_nonsense(tree.list_directory("/", "", 10).await, "empty page");
}

#[tokio::test]
async fn text_that_is_none_is_the_plugins_fault() {
    let link = "(i32.store8 (i32.const 300) (i32.const 0xff))
        (i32.store (i32.const 260) (i32.const 300))
        (i32.store (i32.const 264) (i32.const 1))
        (i32.const 256)";
    let (_loaded, tree) = open(filesystem("", &[("read-link", link)])).await;
    let error = tree.read_link("/l").await.unwrap_err();
    assert!(matches!(error, CallError::Trapped { .. }), "{error}");
}

#[derive(Default)]
struct Found(Mutex<Vec<String>>);

impl Found {
    fn record(&self, what: String) -> Result<(), Error> {
        self.0.lock().unwrap().push(what);
        Ok(())
    }
}

impl Machine for Found {
    fn add_disk(&self, name: &str, format: &str) -> Result<(), Error> {
        self.record(format!("disk {name} {format}"))
    }
    fn set_name(&self, name: &str) -> Result<(), Error> {
        self.record(format!("name {name}"))
    }
    fn set_firmware(&self, firmware: &str) -> Result<(), Error> {
        self.record(firmware.to_owned())
    }
    fn set_memory(&self, mebibytes: u32) -> Result<(), Error> {
        self.record(mebibytes.to_string())
    }
    fn add_nic(&self, nic: Nic) -> Result<(), Error> {
        self.record(nic.mac)
    }
    fn note(&self, _: Severity, message: &str) -> Result<(), Error> {
        self.record(message.to_owned())
    }
}

struct NoFolder;

#[async_trait]
impl SourceFolder for NoFolder {
    async fn list(&self) -> Result<Vec<SourceFile>, Error> {
        Ok(Vec::new())
    }
    async fn stat(&self, name: &str) -> Result<SourceFile, Error> {
        Err(Error::not_found(name))
    }
    async fn read_at(&self, name: &str, _: u64, _: u32) -> Result<Vec<u8>, Error> {
        Err(Error::not_found(name))
    }
}

/// Adds the disk it is asked about, with its own name as format, and logs in a loop.
fn source() -> Vec<u8> {
    component(
        "source",
        "(import \"cofferdam:disk/machine@0.1.0\" \"add-disk\"
            (func $add (param i32 i32 i32 i32 i32)))
         (import \"cofferdam:runtime/context@0.1.0\" \"log\"
            (func $log (param i32 i32 i32 i32 i32)))",
        "(func (export \"cofferdam:plugin/discovery@0.1.0#discover\") (param i32 i32) (result i32)
            (local $i i32)
            (loop $again
                (call $log (i32.const 1) (local.get 0) (local.get 1) (i32.const 0) (i32.const 0))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 5000))))
            (call $add (local.get 0) (local.get 1) (local.get 0) (local.get 1) (i32.const 64))
            (i32.store8 (i32.const 68) (i32.or (i32.load8_u (i32.const 68))
                (i32.eqz (i32.load8_u (i32.const 64)))))
            (i32.const 64))",
    )
}

#[tokio::test]
async fn a_source_records_what_it_finds_and_floods_no_log() {
    let loaded = load(&[("source", source())]);
    let (run, found) = (Arc::new(TestRun::default()), Arc::new(Found::default()));
    let source = &loaded.plugins.set.sources[0];
    let settings = "{}".to_owned();
    let discover = |name: &'static str| {
        let call = Call {
            context: run.clone(),
            settings: settings.clone(),
        };
        source.discover(call, Arc::new(NoFolder), found.clone(), name)
    };
    assert!(discover("disk.vmdk").await.unwrap());
    assert_eq!(*found.0.lock().unwrap(), ["disk disk.vmdk disk.vmdk"]);
    {
        let logged = run.logged.lock().unwrap();
        assert!(logged.len() < 5_000, "{} lines", logged.len());
        assert!(
            logged[0].contains("source Level::Info disk.vmdk"),
            "{}",
            logged[0]
        );
        assert!(logged.last().unwrap().contains("log lines were dropped"));
    }
    let out = discover("../disk.vmdk").await.unwrap_err();
    assert_eq!(out.returned().unwrap().code, ErrorCode::Denied);
    assert_eq!(found.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_dropped_of_a_log_is_said_with_its_limit() {
    // The name is 4 bytes, a line costs 64 more: 15 fit into 1 KiB.
    for (key, value, lines, said) in [
        (
            "log-kib",
            1,
            15,
            "4985 log lines were dropped: the plugin may log 1 KiB a call (log-bytes)",
        ),
        (
            "log-kib",
            0,
            0,
            "5000 log lines were dropped: the plugin may log 0 KiB a call (log-bytes)",
        ),
        (
            "log-lines-per-second",
            0,
            0,
            "5000 log lines were dropped: the plugin may log 0 lines a second (log-rate)",
        ),
    ] {
        let loaded = load_with(&[("source", source())], &alone(&[(key, value)]));
        let run = Arc::new(TestRun::default());
        let call = Call {
            context: run.clone(),
            settings: "{}".to_owned(),
        };
        let source = &loaded.plugins.set.sources[0];
        let found = Arc::new(Found::default());
        source
            .discover(call, Arc::new(NoFolder), found, "disk")
            .await
            .unwrap();
        let logged = run.logged.lock().unwrap();
        assert_eq!(logged.len(), lines + 1, "{key}");
        assert!(logged.last().unwrap().ends_with(said), "{logged:?}");
    }
}

#[tokio::test]
async fn plugins_of_a_kind_come_in_their_manifests_order() {
    let folder = tempfile::tempdir().unwrap();
    for (id, after) in [("a", vec!["z"]), ("b", vec![]), ("z", vec![])] {
        let mut manifest = manifest(id, "");
        manifest.order.after = after.into_iter().map(str::to_owned).collect();
        let bytes = embed_manifest(&guest::fixer("", ""), &manifest).unwrap();
        std::fs::write(folder.path().join(format!("{id}.wasm")), bytes).unwrap();
    }
    let runtime = runtime(&Options::uncached()).unwrap();
    let scan = PluginFolder::scan(&[folder.path().to_owned()]);
    let plugins = load_plugins(&runtime, scan, &Granted::nothing()).unwrap();
    let ids: Vec<&str> = plugins
        .set
        .fixers
        .iter()
        .map(|fixer| fixer.manifest().id.as_str())
        .collect();
    assert_eq!(ids, ["b", "z", "a"]);
    let code = &plugins.code["a"];
    assert_eq!(
        plugins.set.fixers[2].digest(),
        code.file().inspection.digest
    );
    let most = plugins.set.sessions.reserve(1_000_000).await;
    assert!(matches!(
        most,
        Err(CallError::Limit {
            limit: Limit::Sessions,
            ..
        })
    ));
}
