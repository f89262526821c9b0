//! What attacks before anything of it runs: files, manifests, what is slow to compile, and the
//! cache of compiled code.

use crate::attack::{Ended, Ground, Watcher, install};
use crate::cases::{Case, Class, Expected, From};
use crate::component::of_fields;
use crate::neighbour::Neighbour;
use crate::siege::ALONE;
use cofferdam_capabilities::{load_plugins, runtime};
use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::Kind;
use cofferdam_runtime::cache::Cache;
use cofferdam_runtime::compiler::Compiler;
use cofferdam_runtime::{LoadError, MAX_COMPONENT_BYTES, Options, PluginFile, PluginFolder};
use cofferdam_tests::binary;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything that is refused may take to be refused.
const PATIENCE: Duration = Duration::from_secs(120);

const FIX: &str = "(func (export \"cofferdam:plugin/fixing@0.1.0#fix\") (result i32)";

/// A fixer that does nothing, with more in its module.
fn idle_fixer(more: &str) -> Vec<u8> {
    of_fields(Kind::Fixer, &format!("{FIX} (i32.const 1024))\n{more}"))
}

/// Unsigned LEB128.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// The component with any bytes for a manifest.
fn with_manifest(component: &[u8], manifest: &[u8]) -> Vec<u8> {
    let name = b"cofferdam:manifest";
    let mut section = leb(name.len());
    section.extend_from_slice(name);
    section.extend_from_slice(manifest);
    [component, &[0], &leb(section.len()), &section].concat()
}

/// Looks at a file, which must not take for ever.
async fn look(path: &Path) -> Result<PluginFile, LoadError> {
    let path = path.to_owned();
    let looking = tokio::task::spawn_blocking(move || PluginFile::read(&path));
    let looked = tokio::time::timeout(PATIENCE, looking).await;
    looked
        .unwrap_or_else(|_| panic!("looking at the file takes for ever"))
        .unwrap()
}

const HEAD: &str = "id = \"x\"\nversion = \"0.1.0\"\nsummary = \"s\"\n";

/// A schema whose `$ref`s double what is to be checked with each level.
fn doubling(levels: usize) -> String {
    let mut text = format!("{HEAD}[settings]\ntype = \"object\"\n\"$ref\" = \"#/$defs/d0\"\n");
    for level in 0..levels {
        let next = level + 1;
        text.push_str(&format!(
            "[[settings.\"$defs\".d{level}.allOf]]\n\"$ref\" = \"#/$defs/d{next}\"\n\
             [[settings.\"$defs\".d{level}.allOf]]\n\"$ref\" = \"#/$defs/d{next}\"\n"
        ));
    }
    text.push_str(&format!(
        "[settings.\"$defs\".d{levels}]\ntype = \"object\"\n"
    ));
    text
}

#[tokio::test]
async fn a_manifest_that_attacks_whoever_reads_it_is_refused() {
    let _beside_others = ALONE.read().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = |schema: &str| format!("{HEAD}[settings]\ntype = \"object\"\n{schema}\n");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no text", vec![0xff, 0xfe, 0x00]),
        ("nothing", Vec::new()),
        ("an id that leads out", HEAD.replace("\"x\"", "\"../../etc/x\"").into()),
        ("an id with a control character", HEAD.replace("\"x\"", "\"x\\u001b[2J\"").into()),
        ("a key nobody knows", format!("{HEAD}trusted = true\n").into()),
        ("64 MiB of memory too much", format!("{HEAD}[limits]\nmemory-mib = 65536\n").into()),
        ("no limit at all", format!("{HEAD}[limits]\ncpu-ms = 0\n").into()),
        ("a schema at an address", settings(&format!("\"$ref\" = \"http://127.0.0.1:{port}/schema\"")).into()),
        ("a schema in a file", settings("\"$ref\" = \"file:///etc/passwd\"").into()),
        ("a schema that is itself", settings("\"$ref\" = \"#\"").into()),
        ("a schema that doubles", doubling(40).into()),
        ("a pattern that backtracks", settings("properties.p = { type = \"string\", pattern = \"^(?=(a+)+$)(a|aa)+$\\\\1\", default = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\" }").into()),
        ("a pattern that is huge", settings("properties.p = { type = \"string\", pattern = \"(((a{999}){999}){999}){999}\" }").into()),
        ("arrays in arrays", format!("{HEAD}[settings]\nx = {}{}\n", "[".repeat(100_000), "]".repeat(100_000)).into()),
        ("keys in keys", format!("{HEAD}[settings]\n{} = 1\n", vec!["a"; 100_000].join(".")).into()),
        ("tables in tables", format!("{HEAD}[settings.{}]\n", vec!["a"; 100_000].join(".")).into()),
        ("a summary of 20 MiB", format!("id = \"x\"\nversion = \"0.1.0\"\nsummary = \"{}\"\n", "s".repeat(20 << 20)).into()),
    ];
    let component = idle_fixer("");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wasm");
    for (what, manifest) in cases {
        std::fs::write(&path, with_manifest(&component, &manifest)).unwrap();
        let refused = match look(&path).await {
            Ok(file) => panic!("{what} was taken: {:?}", file.inspection.manifest.id),
            Err(error) => error.to_string(),
        };
        assert!(
            refused.len() < 8 << 10,
            "{what}: {} bytes of error",
            refused.len()
        );
    }
    assert!(listener.accept().is_err(), "somebody asked for a schema");
    std::fs::write(&path, with_manifest(&component, HEAD.as_bytes())).unwrap();
    look(&path).await.unwrap();
}

#[tokio::test]
async fn a_manifest_that_lies_about_what_is_wanted_is_found_out() {
    let _beside_others = ALONE.read().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wasm");
    let tool = of_fields(
        Kind::WorkflowStep,
        &crate::component::text("step-tool", &[]),
    );
    let wants = |name: &str| {
        format!("{HEAD}[[capabilities]]\nname = \"{name}\"\nwhy = \"w\"\ngrant.x.program = \"x\"\n")
    };
    let cases = [
        (
            "imports what it does not say",
            tool.clone(),
            HEAD.to_owned(),
            "cofferdam:tool/tool",
        ),
        (
            "says another than it imports",
            tool,
            wants("cofferdam:runtime/secrets"),
            "cofferdam:tool/tool",
        ),
        (
            "wants what its kind never has",
            idle_fixer(""),
            wants("cofferdam:tool/tool"),
            "cofferdam:tool/tool",
        ),
        (
            "wants what nobody offers",
            idle_fixer(""),
            wants("cofferdam:tea/pot"),
            "cofferdam:tea/pot",
        ),
    ];
    for (what, component, manifest, named) in cases {
        std::fs::write(&path, with_manifest(&component, manifest.as_bytes())).unwrap();
        let error = look(&path).await.expect_err(what).to_string();
        assert!(error.contains(named), "{what}: {error}");
    }
    let twice = with_manifest(
        &with_manifest(&idle_fixer(""), HEAD.as_bytes()),
        HEAD.replace("\"x\"", "\"y\"").as_bytes(),
    );
    std::fs::write(&path, twice).unwrap();
    let error = look(&path).await.unwrap_err();
    assert!(matches!(error, LoadError::SeveralManifests(2)), "{error}");
}

#[tokio::test]
async fn a_file_that_changes_after_it_was_looked_at_is_not_run() {
    let _beside_others = ALONE.read().await;
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), "x", &idle_fixer(""), &[]);
    let runtime = runtime(&Options::uncached()).unwrap();
    let scan = PluginFolder::scan(&[folder.path().to_owned()]);
    let loaded = load_plugins(&runtime, scan, &Granted::nothing()).unwrap();
    install(
        folder.path(),
        "x",
        &idle_fixer("(global i32 (i32.const 7))"),
        &[],
    );
    let error = loaded.code["x"].load().await.err().unwrap();
    assert!(matches!(error, LoadError::Changed { .. }), "{error}");
}

/// A case with a component of its own.
fn made(expected: Expected) -> Case {
    Case {
        name: "made",
        class: Class::Memory,
        kind: Kind::Fixer,
        from: From::Text("loop-tight", &[]),
        limits: &[],
        input: "",
        expected,
    }
}

/// Loads a component as the product does, with a compiler that is a process of its own, and
/// runs it where that is possible, beside a neighbour.
async fn load_beside_neighbour(what: &str, component: &[u8]) -> Ended {
    let options = Options {
        compiler: Compiler::program(binary()),
        ..Options::uncached()
    };
    let ground = Ground::new(&options);
    let neighbour = Neighbour::begin(&ground).await;
    let attack = ground.take(component);
    let watcher = Arc::new(Watcher::default());
    let case = made(Expected::Harmless);
    let running = ground.run(&case, &attack, &watcher);
    let ended = tokio::time::timeout(PATIENCE, running).await;
    let ended = ended.unwrap_or_else(|_| panic!("{what}: it is not done"));
    // The neighbour is served to its end, whatever is going on.
    while neighbour.noticed().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    neighbour.end();
    ended
}

#[tokio::test]
async fn a_component_of_50_mebibytes_is_loaded_and_a_larger_one_than_that_is_refused_unread() {
    let _beside_others = ALONE.read().await;
    let large = idle_fixer(&format!("(data \"{}\")", "A".repeat(50 << 20)));
    let ended = load_beside_neighbour("50 MiB", &large).await;
    assert!(matches!(ended, Ended::Well), "{ended:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.wasm");
    let huge = std::fs::File::create(&path).unwrap();
    huge.set_len(1 << 40).unwrap();
    let error = look(&path).await.unwrap_err();
    match error {
        LoadError::TooLarge { most, .. } => assert_eq!(most, MAX_COMPONENT_BYTES),
        other => panic!("{other}"),
    }
}

/// Modules that take long to compile for their size.
fn slow_modules() -> Vec<(&'static str, String)> {
    let many: String = (0..30_000)
        .map(|number| format!("(func (result i32) (i32.const {number}))\n"))
        .collect();
    let nested = format!(
        "(func {} {})",
        "block ".repeat(20_000),
        "end ".repeat(20_000)
    );
    let locals = format!("(func (local {}))", "i64 ".repeat(49_000));
    // Every value is needed at the end: nothing fits into registers.
    let live: String = (0..2_000)
        .map(|number| format!("(local.set {number} (i64.mul (local.get {number}) (i64.load (i32.const {number}))))\n"))
        .chain((1..2_000).map(|number| format!("(local.set 0 (i64.xor (local.get 0) (local.get {number})))\n")))
        .collect();
    let live = format!(
        "(func (result i64) (local {})\n{live}(local.get 0))",
        "i64 ".repeat(2_000)
    );
    let targets = "0 ".repeat(2_000);
    let tables: String = (0..50)
        .map(|_| format!("(func (param i32) (block (br_table {targets} (local.get 0))))\n"))
        .collect();
    vec![
        ("30,000 functions", many),
        ("20,000 blocks in each other", nested),
        ("49,000 locals", locals),
        ("2,000 values at once", live),
        ("50 jumps with 2,000 targets", tables),
    ]
}

#[tokio::test]
async fn a_component_that_is_slow_to_compile_keeps_nobody_else_waiting() {
    let _beside_others = ALONE.read().await;
    for (what, more) in slow_modules() {
        let ended = load_beside_neighbour(what, &idle_fixer(&more)).await;
        match &ended {
            Ended::Well => {}
            // Refused while it was compiled, for what it takes or for what it is.
            Ended::Failed(error) => assert_eq!(error.callee().call, "load", "{what}: {error}"),
            _ => panic!("{what}: {ended:?}"),
        }
    }
}

#[tokio::test]
async fn types_that_double_are_refused_when_they_are_compiled() {
    let _beside_others = ALONE.read().await;
    let mut text = "(component (type $t0 (tuple u8 u8))\n".to_owned();
    for level in 1..60 {
        let before = level - 1;
        text.push_str(&format!("(type $t{level} (tuple $t{before} $t{before}))\n"));
    }
    text.push_str("(instance $i)(export \"cofferdam:plugin/fixing@0.1.0\" (instance $i)))");
    let component = wat::parse_str(&text).unwrap();
    let ended = load_beside_neighbour("types", &component).await;
    match &ended {
        Ended::Failed(error) => {
            assert_eq!(error.callee().call, "load", "{error}");
            assert!(error.to_string().contains("type size"), "{error}");
        }
        _ => panic!("{ended:?}"),
    }
}

#[tokio::test]
async fn an_export_that_is_not_what_its_name_says_is_found_before_it_is_called() {
    let _beside_others = ALONE.read().await;
    let empty = "(component (instance $i)(export \"cofferdam:plugin/fixing@0.1.0\" (instance $i)))";
    let other = "(component
        (core module $m (func (export \"fix\") (param i32) (result i32) (local.get 0)))
        (core instance $m (instantiate $m))
        (func $fix (param \"x\" u32) (result u32) (canon lift (core func $m \"fix\")))
        (instance $i (export \"fix\" (func $fix)))
        (export \"cofferdam:plugin/fixing@0.1.0\" (instance $i)))";
    for text in [empty, other] {
        let ended = load_beside_neighbour(text, &wat::parse_str(text).unwrap()).await;
        match &ended {
            Ended::Failed(cofferdam_contract::failure::CallError::Nonsense { .. }) => {}
            _ => panic!("{ended:?}"),
        }
    }
}

/// Runs the plugins of a folder, each once, over a cache; true where it ended well.
async fn run_cached(folder: &Path, cache: &Path) -> Vec<(String, bool)> {
    let options = Options {
        cache: Cache::open(cache),
        ..Options::uncached()
    };
    let ground = Ground::new(&options);
    let mut ended = Vec::new();
    for file in PluginFolder::scan(&[folder.to_owned()]).plugins {
        let attack = ground.take_file(&file.path);
        let case = made(Expected::Harmless);
        let well = ground.run(&case, &attack, &Arc::default()).await;
        ended.push((file.inspection.digest, matches!(well, Ended::Well)));
    }
    ended
}

/// The cache's file for a digest.
fn cached(cache: &Path, digest: &str) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(cache)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(digest)
        })
        .unwrap()
}

#[tokio::test]
async fn a_cache_file_that_is_cut_or_damaged_is_compiled_again() {
    let _beside_others = ALONE.read().await;
    let (plugins, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = cache.path().join("cache");
    install(plugins.path(), "good", &idle_fixer(""), &[]);
    let ran = run_cached(plugins.path(), &cache).await;
    let [(digest, true)] = ran.as_slice() else {
        panic!("{ran:?}");
    };
    let file = cached(&cache, digest);
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let damaged = [
        Vec::new(),
        whole[..32].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        [whole.as_slice(), b"more"].concat(),
        b"\x7fELF not at all".to_vec(),
        flipped,
    ];
    for bytes in damaged {
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(run_cached(plugins.path(), &cache).await, ran);
        assert_eq!(
            std::fs::read(&file).unwrap().len(),
            whole.len(),
            "it was replaced"
        );
    }
}

#[tokio::test]
async fn a_cache_file_that_was_planted_is_not_run() {
    let _beside_others = ALONE.read().await;
    let (plugins, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (cache, foreign) = (folder.path().join("cache"), folder.path().join("foreign"));
    install(plugins.path(), "good", &idle_fixer(""), &[]);
    let crashing = of_fields(Kind::Fixer, &format!("{FIX} (unreachable))"));
    install(other.path(), "crashing", &crashing, &[]);
    let good = run_cached(plugins.path(), &cache).await;
    let crashes = run_cached(other.path(), &cache).await;
    let foreigner = run_cached(other.path(), &foreign).await;
    assert!(good[0].1 && !crashes[0].1 && !foreigner[0].1);
    let file = cached(&cache, &good[0].0);
    for planted in [
        // Whole, by this host's own key, and of another plugin.
        cached(&cache, &crashes[0].0),
        // Whole, by another host's key.
        cached(&foreign, &foreigner[0].0),
    ] {
        let planted = std::fs::read(planted).unwrap();
        std::fs::write(&file, &planted).unwrap();
        assert_eq!(run_cached(plugins.path(), &cache).await, good);
        assert_ne!(std::fs::read(&file).unwrap(), planted, "it was replaced");
    }
}
