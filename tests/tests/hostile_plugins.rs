//! Plugins that misbehave among the product's own: the migration ends in an error that
//! names plugin, call and limit, and leaves nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "../../host/runtime/tests/guest/mod.rs"]
mod guest;

use async_trait::async_trait;
use cofferdam_capabilities::{load_plugins, runtime};
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::{Call, FileTree, Filesystem, Plugin, SessionSlot};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::Devices;
use cofferdam_contract::types::{
    Attributes, ErrorCode, Identity, Level, Metadata, MountReport, Page, Space, Timestamp,
};
use cofferdam_disk::CancelFlag;
use cofferdam_fixtures::{Format, Variant};
use cofferdam_orchestrator::MigrateError;
use cofferdam_orchestrator::migration::{Request, Target, plan};
use cofferdam_orchestrator::observer::{Observer, Stage};
use cofferdam_runtime::{Options, PluginFolder, embed_manifest};
use cofferdam_tests::{Job, link_plugins, listing, run};
use guest::{all_but, fixer, manifest};
use std::sync::Arc;

struct Silent;

impl Observer for Silent {
    fn stage(&self, _: Stage) {}
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, _: &str, _: Level, _: &str, _: &[(String, String)]) {}
}

/// A component, and the limits of its manifest that are not generous.
type Hostile<'a> = (&'a [u8], &'a [(&'a str, u32)]);

/// A request with the product's plugins, and the fixer `hostile` where there is one.
fn request(job: &Job, hostile: Option<Hostile<'_>>) -> Request {
    let folder = job.path("plugins");
    link_plugins(&folder, &[]);
    if let Some((component, limits)) = hostile {
        let bytes = embed_manifest(component, &manifest("hostile", &all_but(limits))).unwrap();
        std::fs::write(folder.join("hostile.wasm"), bytes).unwrap();
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
        time: Timestamp {
            seconds: 1_767_225_600,
            nanoseconds: 0,
        },
        observer: Arc::new(Silent),
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

#[tokio::test]
async fn a_fixer_that_traps_loops_or_eats_memory_is_named_with_its_limit() {
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
        let component = fixer("", body);
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

const APPEND: &str = "(import \"cofferdam:guest/edits@0.1.0\" \"append\"
    (func $append (param i32 i32 i32 i32 i32 i32 i32)))";

/// A fixer that appends `length` bytes to `path` so many times, and returns the first error.
fn appending(path: &str, length: u32, times: u32) -> Vec<u8> {
    let body = format!(
        "(local $i i32)
        (loop $again
            (call $append (i32.const 1024) (i32.const {}) (i32.const 1024) (i32.const {length})
                (i32.const 1024) (i32.const 1) (i32.const 64))
            (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))",
        path.len()
    );
    let fields = format!(
        "(data (i32.const 1024) \"{path}\")
         (func (export \"{}\") (result i32) {body} (i32.const 0))",
        guest::FIX
    );
    guest::component("fixer", APPEND, &fields)
}

#[tokio::test]
async fn a_fixer_cannot_reach_out_of_the_guest() {
    let test = "a_fixer_cannot_reach_out_of_the_guest";
    for (path, times, code) in [
        ("/../../../etc/hostname", 1, ErrorCode::Invalid),
        ("/etc/../../etc/hostname", 1, ErrorCode::Invalid),
        ("etc/hostname", 1, ErrorCode::Invalid),
        ("/proc/self/environ", 1, ErrorCode::NotFound),
        ("/etc/fstab", 1_000_000, ErrorCode::Limit),
    ] {
        let Some(job) = guest_disk(test, Variant::Bootable) else {
            return;
        };
        let component = appending(path, 1, times);
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
