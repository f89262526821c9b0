//! Small guests in WebAssembly text, and what is needed to run them.

#![allow(
    dead_code,
    reason = "each test program uses the part of this module that it needs"
)]

use cofferdam_contract::bindings::exports::cofferdam::plugin::fixing::GuestIndices;
use cofferdam_contract::failure::{CallError, Limit};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::limits::{LimitObserver, Limits};
use cofferdam_contract::manifest::Manifest;
use cofferdam_contract::services::Context;
use cofferdam_contract::types::{Error, Level, Timestamp};
use cofferdam_runtime::{
    Capability, Extensions, Options, PluginCode, PluginFile, Runtime, State, embed_manifest,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use wasmtime::component::{Instance, Linker};
use wit_parser::Resolve;

/// What the core function of `fix` is exported as.
pub const FIX: &str = "cofferdam:plugin/fixing@0.1.0#fix";

/// The interface that the tests' host functions stand behind.
pub const CONTEXT: &str = "cofferdam:runtime/context@0.1.0";

/// WASI interfaces in the form that a standard library imports them.
const WASI: &str = r"
    package wasi:clocks@0.2.6;
    interface wall-clock {
        record datetime { seconds: u64, nanoseconds: u32 }
        now: func() -> datetime;
    }
    interface monotonic-clock {
        use wasi:io/poll@0.2.6.{pollable};
        subscribe-duration: func(nanoseconds: u64) -> pollable;
    }
";

const WASI_IO: &str = r"
    package wasi:io@0.2.6;
    interface poll { resource pollable; }
";

const WASI_RANDOM: &str = r"
    package wasi:random@0.2.6;
    interface random { get-random-u64: func() -> u64; }
";

const WASI_ENVIRONMENT: &str = r"
    package wasi:cli@0.2.6;
    interface environment { get-environment: func() -> list<tuple<string, string>>; }
";

const WASI_HTTP: &str = r"
    package wasi:http@0.2.6;
    interface outgoing { send: func(); }
";

const UNKNOWN: &str = r"
    package cofferdam:tea@0.1.0;
    interface pot { pour: func(); }
";

/// Worlds with more imports than a component may have; it takes those that its core
/// module names.
const WORLD: &str = r"
    package test:guests;
    world fixer {
        include cofferdam:plugin/fixer@0.1.0;
        import cofferdam:disk/devices@0.1.0;
        import cofferdam:tool/tool@0.1.0;
        import cofferdam:tea/pot@0.1.0;
        import wasi:clocks/wall-clock@0.2.6;
        import wasi:clocks/monotonic-clock@0.2.6;
        import wasi:random/random@0.2.6;
        import wasi:cli/environment@0.2.6;
        import wasi:http/outgoing@0.2.6;
    }
    world inspector {
        include cofferdam:plugin/inspector@0.1.0;
        include cofferdam:plugin/fixer@0.1.0;
    }
    world filesystem {
        include cofferdam:plugin/filesystem@0.1.0;
    }
    world step {
        include cofferdam:plugin/workflow-step@0.1.0;
    }
    world source {
        include cofferdam:plugin/disk-source@0.1.0;
    }
    world nothing {
        export other: func();
    }
";

fn resolve() -> Resolve {
    // Tests of several crates share this module, and lie at different depths.
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let wit = above
        .map(|folder| folder.join("wit"))
        .find(|wit| wit.join("plugin").is_dir())
        .unwrap();
    let mut resolve = Resolve::default();
    for package in [
        "types", "runtime", "reply", "disk", "guest", "tool", "plugin",
    ] {
        resolve.push_path(wit.join(package)).unwrap();
    }
    for text in [
        WASI_IO,
        WASI,
        WASI_RANDOM,
        WASI_ENVIRONMENT,
        WASI_HTTP,
        UNKNOWN,
        WORLD,
    ] {
        resolve.push_str("test.wit", text).unwrap();
    }
    resolve
}

/// A component of a world of this module, from a core module with one page of memory
/// (unless it has its own), `cabi_realloc` and the given fields.
pub fn component(world: &str, imports: &str, fields: &str) -> Vec<u8> {
    component_with_memory(world, imports, "(memory (export \"memory\") 2)", fields)
}

pub fn component_with_memory(world: &str, imports: &str, memory: &str, fields: &str) -> Vec<u8> {
    let text = format!(
        "(module {imports} {memory}
            (global $next (mut i32) (i32.const 65536))
            (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
                (global.get $next)
                (global.set $next (i32.add (global.get $next)
                    (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8)))))
            {fields})"
    );
    let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let resolve = resolve();
    let (world, _) = resolve
        .worlds
        .iter()
        .find(|(_, found)| {
            let package = found.package.map(|id| &resolve.packages[id].name);
            found.name == world && package.is_some_and(|name| name.namespace == "test")
        })
        .unwrap();
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )
    .unwrap();
    wit_component::ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

/// A fixer whose `fix` has this body; it leaves a pointer to a `result` (0 where the
/// memory is zero: ok).
pub fn fixer(imports: &str, body: &str) -> Vec<u8> {
    component(
        "fixer",
        imports,
        &format!("(func (export \"{FIX}\") (result i32) {body} (i32.const 0))"),
    )
}

/// Prefix of a file system's core functions.
const TREE: &str = "cofferdam:plugin/file-tree@0.1.0#";

/// Every function of a file system with its core signature, all of them trapping but
/// those given.
pub fn filesystem(given: &[(&str, &str)]) -> String {
    let signatures = [
        ("probe", "(result i32)"),
        ("mount", "(param i32) (result i32)"),
        ("stat", "(param i32 i32) (result i32)"),
        ("list-directory", "(param i32 i32 i32 i32 i32) (result i32)"),
        ("read-at", "(param i32 i32 i64 i32) (result i32)"),
        ("read-link", "(param i32 i32) (result i32)"),
        ("list-xattrs", "(param i32 i32) (result i32)"),
        ("get-xattr", "(param i32 i32 i32 i32) (result i32)"),
        ("free-space", "(result i32)"),
        (
            "create",
            "(param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)",
        ),
        ("write-at", "(param i32 i32 i64 i32 i32) (result i32)"),
        ("truncate", "(param i32 i32 i64) (result i32)"),
        ("rename", "(param i32 i32 i32 i32) (result i32)"),
        ("link", "(param i32 i32 i32 i32) (result i32)"),
        (
            "symlink",
            "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)",
        ),
        (
            "make-directory",
            "(param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)",
        ),
        ("remove", "(param i32 i32) (result i32)"),
        ("set-attributes", "(param i32 i32 i32 i32 i32) (result i32)"),
        (
            "set-xattr",
            "(param i32 i32 i32 i32 i32 i32 i32) (result i32)",
        ),
        ("commit", "(result i32)"),
    ];
    let functions: Vec<String> = signatures
        .iter()
        .map(|(name, signature)| {
            let body = given
                .iter()
                .find(|(given, _)| given == name)
                .map_or("(unreachable)", |(_, body)| body);
            format!("(func (export \"{TREE}{name}\") {signature} {body})")
        })
        .collect();
    functions.join("\n")
}

/// A step whose functions have these bodies; those not given are ok, `execute` with `{}`.
pub fn step(imports: &str, data: &str, given: &[(&str, &str)]) -> Vec<u8> {
    component(
        "step",
        imports,
        &format!("{data}\n{}", step_functions(given)),
    )
}

/// The functions of [`step`], for a module of its own.
pub fn step_functions(given: &[(&str, &str)]) -> String {
    let functions = [
        ("validate", "(param i32 i32) (result i32)", "(i32.const 0)"),
        ("plan", "(param i32 i32) (result i32)", "(unreachable)"),
        (
            "execute",
            "(param i32 i32) (result i32)",
            // result<string, error>: tag, then pointer and length.
            "(i32.store (i32.const 260) (i32.const 300))
             (i32.store (i32.const 264) (i32.const 2))
             (i32.store16 (i32.const 300) (i32.const 0x7d7b))
             (i32.const 256)",
        ),
        (
            "compensate",
            "(param i32 i32 i32 i32 i32) (result i32)",
            "(i32.const 0)",
        ),
    ];
    let functions: Vec<String> = functions
        .iter()
        .map(|(name, signature, otherwise)| {
            let body = given.iter().find(|(given, _)| given == name);
            let body = body.map_or(*otherwise, |(_, body)| body);
            format!("(func (export \"cofferdam:plugin/step@0.1.0#{name}\") {signature} {body})")
        })
        .collect();
    functions.join("\n")
}

/// The import of `cancelled`, which tests give a meaning of their own, as `$host`.
pub fn import_cancelled() -> String {
    format!("(import \"{CONTEXT}\" \"cancelled\" (func $host (result i32)))")
}

/// The import of `progress`.
pub fn import_progress() -> String {
    format!("(import \"{CONTEXT}\" \"progress\" (func $progress (param i64 i64 i32 i32)))")
}

/// Requires that this limit ended this call of the plugin `guest`.
#[track_caller]
pub fn assert_limit<T: std::fmt::Debug>(
    result: Result<T, CallError>,
    expected: Limit,
    call: &str,
    allowed: &str,
) {
    match result {
        Err(CallError::Limit {
            callee,
            limit,
            allowed: said,
        }) => {
            assert_eq!((limit, callee.call.as_str()), (expected, call));
            assert_eq!(callee.plugin, "guest");
            assert_eq!(said, allowed);
        }
        other => panic!("expected the {expected} limit, got {other:?}"),
    }
}

/// A manifest with these limits.
pub fn manifest(id: &str, limits: &str) -> Manifest {
    Manifest::parse(&format!(
        "id = \"{id}\"\nversion = \"0.1.0\"\nsummary = \"a test guest\"\n[limits]\n{limits}\n"
    ))
    .unwrap()
}

/// A manifest that asks for capabilities, limits generous.
pub fn wanting(id: &str, capabilities: &[&str]) -> Manifest {
    let tables: Vec<String> = capabilities
        .iter()
        .map(|name| {
            format!(
                "[[capabilities]]\nname = \"{name}\"\nwhy = \"to test it\"\n\
                 [capabilities.grant.echo]\nprogram = \"echo\"\n"
            )
        })
        .collect();
    Manifest::parse(&format!(
        "id = \"{id}\"\nversion = \"0.1.0\"\nsummary = \"a test guest\"\n\
         {}\n[limits]\n{}\n",
        tables.join(""),
        all_but(&[])
    ))
    .unwrap()
}

/// Plenty of everything.
pub const GENEROUS: [(&str, u32); 3] = [
    ("memory-mib", 256),
    ("cpu-ms", 300_000),
    ("wall-ms", 600_000),
];

/// All limits generous but these.
pub fn all_but(tight: &[(&str, u32)]) -> String {
    let mut limits: std::collections::BTreeMap<&str, u32> = GENEROUS.into_iter().collect();
    limits.extend(tight.iter().copied());
    let lines: Vec<String> = limits
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    lines.join("\n")
}

/// All limits at their ceilings but these.
pub fn alone(tight: &[(&str, u32)]) -> String {
    let lines: Vec<String> = Limits::CEILING
        .rows()
        .iter()
        .map(|row| {
            let value = tight.iter().find(|(key, _)| *key == row.key);
            format!(
                "{} = {}",
                row.key,
                value.map_or(row.most, |(_, value)| *value)
            )
        })
        .collect();
    lines.join("\n")
}

/// The limits that plugins reached, in order.
#[derive(Debug, Default)]
pub struct Reached(Mutex<Vec<(String, Limit)>>);

impl LimitObserver for Reached {
    fn limit_reached(&self, plugin: &str, limit: Limit) {
        self.0.lock().unwrap().push((plugin.to_owned(), limit));
    }
}

impl Reached {
    /// All of them, by plugin.
    pub fn all(&self) -> Vec<(String, Limit)> {
        self.0.lock().unwrap().clone()
    }

    /// Which limits `guest` reached, each once; nobody else reached any.
    pub fn by_guest(&self) -> Vec<Limit> {
        let mut limits = Vec::new();
        for (plugin, limit) in self.0.lock().unwrap().iter() {
            assert_eq!(plugin, "guest");
            if !limits.contains(limit) {
                limits.push(*limit);
            }
        }
        limits
    }
}

/// A run that records log lines.
#[derive(Default)]
pub struct TestRun {
    pub cancelled: AtomicBool,
    pub logged: Mutex<Vec<String>>,
}

/// 2026-01-01T00:00:00Z.
pub const PLAN_TIME: Timestamp = Timestamp {
    seconds: 1_767_225_600,
    nanoseconds: 7,
};

impl Context for TestRun {
    fn run_id(&self) -> String {
        "test".to_owned()
    }
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
    fn now(&self) -> Timestamp {
        PLAN_TIME
    }
    fn progress(&self, _: &str, _: u64, _: u64, _: &str) {}
    fn log(&self, plugin: &str, level: Level, message: &str, _: &[(String, String)]) {
        let line = format!("{plugin} {level:?} {message}");
        self.logged.lock().unwrap().push(line);
    }
}

/// Host functions of a test, behind [`CONTEXT`].
pub struct TestHost<F>(pub F);

impl<F> Capability for TestHost<F>
where
    F: Fn(&mut wasmtime::component::LinkerInstance<'_, State>) -> wasmtime::Result<()>
        + Send
        + Sync,
{
    fn interface(&self) -> &'static str {
        CONTEXT
    }
    fn add_to_linker(&self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        (self.0)(&mut linker.instance(CONTEXT)?)
    }
}

/// A runtime and a folder for plugin files.
pub struct Bench {
    pub runtime: Arc<Runtime>,
    pub folder: tempfile::TempDir,
    pub run: Arc<TestRun>,
    pub reached: Arc<Reached>,
}

impl Bench {
    pub fn new(capabilities: &[&dyn Capability]) -> Self {
        Self::with(&Options::uncached(), capabilities)
    }

    pub fn with(options: &Options, capabilities: &[&dyn Capability]) -> Self {
        let reached = Arc::new(Reached::default());
        let options = Options {
            observer: Arc::clone(&reached) as _,
            ..options.clone()
        };
        Self {
            runtime: Runtime::new(&options, capabilities).unwrap(),
            reached,
            folder: tempfile::tempdir().unwrap(),
            run: Arc::default(),
        }
    }

    pub fn write(&self, id: &str, limits: &str, component: &[u8]) -> PathBuf {
        let path = self.folder.path().join(format!("{id}.wasm"));
        let bytes = embed_manifest(component, &manifest(id, limits)).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn code(&self, id: &str, limits: &str, component: &[u8]) -> Arc<PluginCode> {
        let file = PluginFile::read(&self.write(id, limits, component)).unwrap();
        let granted = Granted::nothing();
        Arc::new(PluginCode::new(Arc::clone(&self.runtime), file, &granted))
    }

    /// Calls `fix` of a fresh instance.
    pub async fn fix(&self, code: &Arc<PluginCode>) -> Result<Result<(), Error>, CallError> {
        fix(code, Arc::clone(&self.run) as Arc<dyn Context>).await
    }
}

pub async fn fix(
    code: &Arc<PluginCode>,
    run: Arc<dyn Context>,
) -> Result<Result<(), Error>, CallError> {
    let exports = GuestIndices::new(code.load().await.unwrap()).unwrap();
    code.call_once("fix", run, Extensions::default(), move |store, instance| {
        call_fix(exports, store, instance)
    })
    .await
}

pub fn call_fix<'a>(
    exports: GuestIndices,
    store: &'a mut wasmtime::Store<State>,
    instance: &'a Instance,
) -> cofferdam_runtime::GuestFuture<'a, Result<(), Error>> {
    Box::pin(async move { exports.load(&mut *store, instance)?.call_fix(store).await })
}
