//! Plugins that misbehave among the product's own, and disks that misbehave under them: the
//! migration ends in an error that names plugin, call and limit, and leaves nothing.

use crate::attack::{Watcher, install};
use crate::component;
use crate::siege::ALONE;
use async_trait::async_trait;
use cofferdam_capabilities::{load_plugins, runtime};
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, FileTree, Filesystem, Kind, Plugin, SessionSlot};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::Devices;
use cofferdam_contract::types::{
    Attributes, DeviceInfo, Error, ErrorCode, Extent, Identity, Metadata, MountReport, Page, Space,
};
use cofferdam_disk::CancelFlag;
use cofferdam_fixtures::{Format, Variant};
use cofferdam_orchestrator::MigrateError;
use cofferdam_orchestrator::migration::{Request, Target, plan};
use cofferdam_runtime::{Options, PluginFolder};
use cofferdam_tests::{Job, link_plugins, listing, plugins, run, tool};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A component, and the limits of its manifest that are not generous.
type Hostile<'a> = (&'a [u8], &'a [(&'a str, u32)]);

/// A request with the product's plugins, and the fixer `hostile` where there is one.
fn request(job: &Job, hostile: Option<Hostile<'_>>) -> Request {
    let folder = job.path("plugins");
    link_plugins(&folder, &[]);
    if let Some((component, limits)) = hostile {
        install(&folder, "hostile", component, limits);
    }
    let scratch = job.path("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let runtime = runtime(&Options::with_default_cache()).unwrap();
    let loaded =
        load_plugins(&runtime, PluginFolder::scan(&[folder]), &Granted::nothing()).unwrap();
    assert!(loaded.refused.is_empty(), "{:?}", loaded.refused);
    Request {
        sources: vec![job.source.clone()],
        named: vec![job.source.clone()],
        target: Target {
            format: "qcow2".to_owned(),
            compression: None,
            disk_bus: "virtio-blk".to_owned(),
            nic_model: "virtio-net".to_owned(),
        },
        plugins: loaded.set,
        settings: std::collections::BTreeMap::default(),
        time: crate::attack::NOW,
        observer: Arc::new(Watcher::default()),
        cancel: CancelFlag::new(),
        scratch,
    }
}

/// Plans, which must fail, and must leave nothing.
async fn failure(job: &Job, request: Request) -> MigrateError {
    let error = match plan(&request).await {
        Ok(_) => panic!("the plan was made"),
        Err(error) => error,
    };
    drop(request);
    job.source_is_untouched();
    assert_eq!(listing(&job.path("scratch")), [""; 0]);
    error
}

fn guest_disk(test: &str, variant: Variant) -> Option<Job> {
    Job::new(test, variant, Format::Raw)
}

#[track_caller]
fn assert_names_the_call(error: &MigrateError) {
    let text = error.to_string();
    assert!(text.contains("plugin hostile, call fix"), "{text}");
}

/// A fixer whose `fix` has this body, and answers ok where that ends.
fn fixer(body: &str) -> Vec<u8> {
    let export = "cofferdam:plugin/fixing@0.1.0#fix";
    component::of_fields(
        Kind::Fixer,
        &format!("(func (export \"{export}\") (result i32) {body} (i32.const 1024))"),
    )
}

#[tokio::test]
async fn a_fixer_that_traps_loops_or_eats_memory_is_named_with_its_limit() {
    let _beside_others = ALONE.read().await;
    let test = "a_fixer_that_traps_loops_or_eats_memory_is_named_with_its_limit";
    let grow = "(block $refused (loop $more
        (br_if $refused (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
        (br $more))) (unreachable)";
    let cases: [(&str, (&str, u32), Option<Limit>); 3] = [
        ("(unreachable)", ("memory-mib", 16), None),
        (
            "(loop $again (br $again))",
            ("cpu-ms", 100),
            Some(Limit::Cpu),
        ),
        (grow, ("memory-mib", 16), Some(Limit::Memory)),
    ];
    for (body, tight, expected) in cases {
        let Some(job) = guest_disk(test, Variant::Bootable) else {
            return;
        };
        let component = fixer(body);
        let error = failure(&job, request(&job, Some((&component, &[tight])))).await;
        assert_names_the_call(&error);
        match (&error, expected) {
            (MigrateError::Plugin(CallError::Trapped { .. }), None) => {}
            (MigrateError::Plugin(CallError::Limit { limit, .. }), Some(expected)) => {
                assert_eq!(*limit, expected);
            }
            other => panic!("{body}: {other:?}"),
        }
        // The same through the program.
        let ran = run(&mut job.migrate(&["-o", "out", "--yes", "--plugins", "plugins"])).code(1);
        ran.says(&["plugin hostile, call fix"]);
        assert!(!job.path("out").exists());
        job.source_is_untouched();
    }
}

#[tokio::test]
async fn a_fixer_cannot_reach_out_of_the_guest() {
    let _beside_others = ALONE.read().await;
    let test = "a_fixer_cannot_reach_out_of_the_guest";
    for (path, code) in [
        ("/../../../etc/hostname", ErrorCode::Invalid),
        ("/etc/../../etc/hostname", ErrorCode::Invalid),
        ("etc/hostname", ErrorCode::Invalid),
        ("/proc/self/environ", ErrorCode::NotFound),
    ] {
        let Some(job) = guest_disk(test, Variant::Bootable) else {
            return;
        };
        let text = component::text("edit-path", &[("PATH", path)]);
        let component = component::of_fields(Kind::Fixer, &text);
        let error = failure(&job, request(&job, Some((&component, &[])))).await;
        assert_names_the_call(&error);
        match error {
            MigrateError::Plugin(CallError::Returned { error, .. }) => {
                assert_eq!(error.code, code, "{path}: {}", error.message);
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

/// How a file system lies.
#[derive(Clone, Copy)]
enum Lie {
    /// It changes the mode of a file that nobody asked it to touch.
    ExtraMode,
    /// It says that it wrote, and did not.
    LostWrite,
}

/// The real file system, lying.
struct Lying(Arc<dyn Filesystem>, Lie);

impl Plugin for Lying {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }
    fn digest(&self) -> &str {
        self.0.digest()
    }
}

#[async_trait]
impl Filesystem for Lying {
    async fn open(
        &self,
        call: Call,
        devices: Arc<dyn Devices>,
        slot: SessionSlot,
    ) -> Result<Box<dyn FileTree>, CallError> {
        let tree = self.0.open(call, devices, slot).await?;
        Ok(Box::new(LyingTree(tree, self.1)))
    }
}

struct LyingTree(Box<dyn FileTree>, Lie);

/// The functions that it does not lie in.
macro_rules! honest {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        #[async_trait]
        impl FileTree for LyingTree {
            $(async fn $name(&self, $($argument: $kind),*) -> Result<$result, CallError> {
                self.0.$name($($argument),*).await
            })*
            async fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> Result<(), CallError> {
                match self.1 {
                    Lie::LostWrite => Ok(()),
                    Lie::ExtraMode => self.0.write_at(path, offset, bytes).await,
                }
            }
            async fn commit(&self) -> Result<(), CallError> {
                if matches!(self.1, Lie::ExtraMode) {
                    self.0.set_attributes("/etc/passwd", 0o666, 0, 0).await?;
                }
                self.0.commit().await
            }
        }
    };
}

honest! {
    probe() -> Option<Identity>;
    mount(writable: bool) -> MountReport;
    stat(path: &str) -> Metadata;
    list_directory(path: &str, cursor: &str, limit: u32) -> Page;
    read_at(path: &str, offset: u64, length: u32) -> Vec<u8>;
    read_link(path: &str) -> String;
    list_xattrs(path: &str) -> Vec<String>;
    get_xattr(path: &str, name: &str) -> Vec<u8>;
    free_space() -> Space;
    create(path: &str, attributes: &Attributes) -> ();
    truncate(path: &str, size: u64) -> ();
    rename(from: &str, to: &str) -> ();
    link(existing: &str, path: &str) -> ();
    symlink(path: &str, target: &str, attributes: &Attributes) -> ();
    make_directory(path: &str, attributes: &Attributes) -> ();
    remove(path: &str) -> ();
    set_attributes(path: &str, mode: u32, owner: u32, group: u32) -> ();
    set_xattr(path: &str, name: &str, value: Option<&[u8]>) -> ();
}

#[tokio::test]
async fn a_file_system_that_lies_is_found_out() {
    let _beside_others = ALONE.read().await;
    for (lie, path) in [
        (Lie::ExtraMode, "/etc/passwd"),
        (Lie::LostWrite, "/etc/fstab"),
    ] {
        let test = "a_file_system_that_lies_is_found_out";
        let Some(job) = guest_disk(test, Variant::Bootable) else {
            return;
        };
        let mut request = request(&job, None);
        let real = request.plugins.filesystems.remove(0);
        request
            .plugins
            .filesystems
            .insert(0, Arc::new(Lying(real, lie)));
        match failure(&job, request).await {
            MigrateError::ResultDiffers { differences } => {
                let named = differences
                    .iter()
                    .any(|difference| difference.contains(path));
                assert!(named, "{differences:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// How a disk misbehaves under a file system.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It does not.
    None,
    /// Every read fails.
    Errors,
    /// Reads fail after so many.
    DiesAfter(u32),
    /// Reads give fewer bytes than were asked for.
    Short,
    /// Reads give more bytes than were asked for.
    Long,
    /// Every read gives something else.
    Changes,
    /// Every read gives the same byte.
    Filled(u8),
    /// It says that it is larger than it is.
    SaysLarger,
    /// It says that it has no byte.
    SaysEmpty,
    /// Writes succeed and are forgotten.
    Forgets,
}

/// A disk in memory with a fault.
struct Faulty {
    bytes: std::sync::Mutex<Vec<u8>>,
    fault: Fault,
    reads: AtomicU32,
}

#[async_trait]
impl Devices for Faulty {
    fn count(&self) -> u32 {
        1
    }

    fn info(&self, _: u32) -> Result<DeviceInfo, Error> {
        let size = self.bytes.lock().unwrap().len() as u64;
        Ok(DeviceInfo {
            size: match self.fault {
                Fault::SaysLarger => size << 20,
                Fault::SaysEmpty => 0,
                _ => size,
            },
            block_size: 512,
            read_only: false,
        })
    }

    async fn read_at(&self, _: u32, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        let reads = self.reads.fetch_add(1, Ordering::Relaxed);
        let failed = || Err(Error::new(ErrorCode::Other, "the disk does not answer"));
        let bytes = self.bytes.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let found = bytes.get(start..start + length as usize);
        let mut read = match found {
            Some(found) => found.to_vec(),
            None => vec![0; length as usize],
        };
        match self.fault {
            Fault::Errors => return failed(),
            Fault::DiesAfter(most) if reads >= most => return failed(),
            Fault::Short => read.truncate(read.len() / 2),
            Fault::Long => read.resize(read.len() + 4096, 0xff),
            Fault::Changes => {
                for (byte, at) in read.iter_mut().zip(0_u32..) {
                    *byte ^= u8::try_from((at ^ reads.wrapping_mul(0x9e37_79b9)) & 0xff).unwrap();
                }
            }
            Fault::Filled(byte) => read.fill(byte),
            _ => {}
        }
        Ok(read)
    }

    async fn write_at(&self, _: u32, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if !matches!(self.fault, Fault::Forgets) {
            let start = usize::try_from(offset).unwrap();
            self.bytes.lock().unwrap()[start..start + bytes.len()].copy_from_slice(bytes);
        }
        Ok(())
    }

    async fn flush(&self, _: u32) -> Result<(), Error> {
        Ok(())
    }

    async fn extents(&self, _: u32, _: u64, _: u64) -> Result<Vec<Extent>, Error> {
        Ok(Vec::new())
    }
}

/// An ext4 file system with a file, 8 MiB.
fn small_file_system(folder: &Path) -> Vec<u8> {
    let (tree, image) = (folder.join("tree"), folder.join("image"));
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("file"), "content".repeat(10_000)).unwrap();
    std::fs::File::create(&image)
        .unwrap()
        .set_len(8 << 20)
        .unwrap();
    let args: [&OsStr; 6] = [
        "-q".as_ref(),
        "-t".as_ref(),
        "ext4".as_ref(),
        "-d".as_ref(),
        tree.as_ref(),
        image.as_ref(),
    ];
    tool("mke2fs", &args);
    std::fs::read(image).unwrap()
}

/// Reads and writes through a session as a migration does.
async fn use_session(tree: &dyn FileTree) -> Result<Vec<u8>, CallError> {
    if tree.probe().await?.is_none() {
        return Ok(Vec::new());
    }
    tree.mount(true).await?;
    tree.list_directory("/", "", 100).await?;
    let content = tree.read_at("/file", 0, 70_000).await?;
    tree.write_at("/file", 0, b"CONTENT").await?;
    tree.commit().await?;
    Ok(content)
}

#[tokio::test]
async fn a_disk_that_lies_ends_the_session_and_not_the_host() {
    let _beside_others = ALONE.read().await;
    let folder = tempfile::tempdir().unwrap();
    let image = small_file_system(folder.path());
    let runtime = runtime(&Options::with_default_cache()).unwrap();
    let scan = PluginFolder::scan(&[plugins()]);
    let loaded = load_plugins(&runtime, scan, &Granted::nothing()).unwrap();
    let mut filesystems = loaded.set.filesystems.iter();
    let ext4 = filesystems.find(|fs| fs.manifest().id == "ext4").unwrap();
    let faults = [
        Fault::None,
        Fault::Errors,
        Fault::DiesAfter(3),
        Fault::DiesAfter(20),
        Fault::Short,
        Fault::Long,
        Fault::Changes,
        Fault::Filled(0),
        Fault::Filled(0xff),
        Fault::SaysLarger,
        Fault::SaysEmpty,
        Fault::Forgets,
        // And somebody else's disk is none the worse for it.
        Fault::None,
    ];
    for fault in faults {
        let devices = Arc::new(Faulty {
            bytes: std::sync::Mutex::new(image.clone()),
            fault,
            reads: AtomicU32::new(0),
        });
        let call = Call {
            context: Arc::new(Watcher::default()),
            settings: "{}".to_owned(),
        };
        let slot = loaded.set.sessions.reserve(1).await.unwrap().pop().unwrap();
        let tree = ext4.open(call, devices, slot).await.unwrap();
        let ended = use_session(tree.as_ref()).await;
        match (fault, &ended) {
            (Fault::None | Fault::Forgets | Fault::SaysLarger, Ok(content)) => {
                assert_eq!(content.len(), 70_000, "{fault:?}");
            }
            (Fault::Filled(_) | Fault::SaysEmpty | Fault::Changes, Ok(content)) => {
                assert!(content.is_empty(), "{fault:?}: it read a file");
            }
            // A file system may give up in any way but one that blames the host.
            (
                _,
                Err(
                    CallError::Returned { .. }
                    | CallError::Trapped { .. }
                    | CallError::Nonsense { .. }
                    | CallError::Limit { .. },
                ),
            ) if !matches!(fault, Fault::None) => {}
            _ => panic!("{fault:?}: {ended:?}"),
        }
    }
}
