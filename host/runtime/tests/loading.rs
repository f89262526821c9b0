//! What is recognised, what is refused and why, and how compiled code is kept.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

mod guest;

use cofferdam_contract::grants::Granted;
use cofferdam_contract::kinds::Kind;
use cofferdam_runtime::cache::Cache;
use cofferdam_runtime::{
    LoadError, MAX_COMPONENT_BYTES, Options, PluginCode, PluginFile, PluginFolder, embed_manifest,
    inspect,
};
use guest::{Bench, CONTEXT, FIX, all_but, component, fixer, manifest, wanting};
use std::sync::Arc;

fn with_manifest(component: &[u8]) -> Vec<u8> {
    embed_manifest(component, &manifest("guest", "")).unwrap()
}

fn custom_section(mut component: Vec<u8>, content: &[u8]) -> Vec<u8> {
    let name = b"cofferdam:manifest";
    component.push(0);
    component.push(u8::try_from(1 + name.len() + content.len()).unwrap());
    component.push(u8::try_from(name.len()).unwrap());
    component.extend_from_slice(name);
    component.extend_from_slice(content);
    component
}

const NOT_OK: &str = "(func (export \"cofferdam:plugin/inspection@0.1.0#inspect\") (result i32)
    (i32.const 0))";

#[test]
fn an_inspection_says_kind_digest_size_and_imports() {
    let imports = format!(
        "(import \"{CONTEXT}\" \"cancelled\" (func (result i32)))
         (import \"wasi:random/random@0.2.6\" \"get-random-u64\" (func (result i64)))"
    );
    let bytes = with_manifest(&fixer(&imports, ""));
    let inspection = inspect(&bytes).unwrap();
    assert_eq!(inspection.kind, Kind::Fixer);
    assert_eq!(inspection.manifest, manifest("guest", ""));
    assert_eq!(inspection.size, bytes.len() as u64);
    assert_eq!(inspection.digest.len(), 64);
    assert_eq!(inspection.imports, [CONTEXT], "types are no capability");
    assert_eq!(inspection.wasi, ["wasi:random/random@0.2.6"]);
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    let good = with_manifest(&fixer("", ""));
    let import = |name: &str, function: &str| {
        with_manifest(&fixer(
            &format!("(import \"{name}\" \"{function}\" (func))"),
            "",
        ))
    };
    let devices = "(import \"cofferdam:disk/devices@0.1.0\" \"count\" (func (result i32)))";
    let two_worlds = component(
        "inspector",
        "",
        &format!("{NOT_OK} (func (export \"{FIX}\") (result i32) (i32.const 0))"),
    );
    let nothing = component("nothing", "", "(func (export \"other\"))");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "not a WebAssembly component"),
        (
            "text",
            b"#!/bin/sh\necho hello\n".to_vec(),
            "not a WebAssembly component",
        ),
        (
            "module",
            b"\0asm\x01\0\0\0".to_vec(),
            "a core WebAssembly module",
        ),
        (
            "cut short",
            good[..good.len() - 3].to_vec(),
            "not a WebAssembly component",
        ),
        (
            "no world",
            with_manifest(&nothing),
            "it exports other, and a plugin exports one of",
        ),
        (
            "two worlds",
            with_manifest(&two_worlds),
            "a plugin is of one kind",
        ),
        ("no manifest", fixer("", ""), "has no manifest"),
        (
            "two manifests",
            custom_section(good.clone(), b"x"),
            "has 2 manifests",
        ),
        (
            "bad manifest",
            custom_section(fixer("", ""), b"id = 3"),
            "the manifest cannot be read",
        ),
        (
            "binary manifest",
            custom_section(fixer("", ""), b"\xff"),
            "not UTF-8",
        ),
        (
            "another kind's import",
            with_manifest(&fixer(devices, "")),
            "a fixer may not have",
        ),
        (
            "unknown import",
            import("cofferdam:tea/pot@0.1.0", "pour"),
            "does not offer",
        ),
        (
            "http",
            import("wasi:http/outgoing@0.2.6", "send"),
            "does not offer",
        ),
    ];
    for (what, bytes, expected) in cases {
        let reason = inspect(&bytes).unwrap_err().to_string();
        assert!(reason.contains(expected), "{what}: {reason}");
    }
}

#[test]
fn a_pure_kind_may_want_no_capability() {
    let wanting = wanting("guest", &["cofferdam:tool/tool"]);
    let bytes = embed_manifest(&fixer("", ""), &wanting).unwrap();
    assert!(matches!(
        inspect(&bytes),
        Err(LoadError::ForbiddenCapability { .. })
    ));
}

#[test]
fn every_prefix_of_a_component_is_refused_without_a_panic() {
    let good = with_manifest(&fixer("", ""));
    for length in 0..good.len() {
        assert!(inspect(&good[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn embedding_replaces_the_manifest_and_nothing_else() {
    let bare = fixer("", "");
    let once = embed_manifest(&bare, &manifest("first", "")).unwrap();
    assert!(once.starts_with(&bare));
    let twice = embed_manifest(&once, &manifest("second", "")).unwrap();
    assert_eq!(
        twice,
        embed_manifest(&bare, &manifest("second", "")).unwrap()
    );
    assert_eq!(inspect(&twice).unwrap().manifest.id, "second");
    for bad in [b"\0asm\x01\0\0\0".as_slice(), b"", b"hello"] {
        assert!(embed_manifest(bad, &manifest("x", "")).is_err());
    }
}

#[test]
fn a_folder_gives_what_is_good_and_says_what_is_not() {
    let bench = Bench::new(&[]);
    bench.write("good", "", &fixer("", ""));
    bench.write("b", "", &fixer("", "(unreachable)"));
    let folder = bench.folder.path();
    // The same content twice is one plugin, another content under its id is a quarrel.
    let copy = std::fs::read(folder.join("good.wasm")).unwrap();
    std::fs::write(folder.join("good-again.wasm"), copy).unwrap();
    let other = embed_manifest(&fixer("", "(drop (i32.const 1))"), &manifest("b", "")).unwrap();
    std::fs::write(folder.join("other-b.wasm"), other).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(folder.join("pipe.wasm"))
        .status();
    assert!(pipe.unwrap().success());
    std::fs::write(folder.join("broken.wasm"), b"\0asm").unwrap();
    std::fs::write(folder.join("README.md"), b"not looked at").unwrap();
    let huge = std::fs::File::create(folder.join("huge.wasm")).unwrap();
    huge.set_len(MAX_COMPONENT_BYTES + 1).unwrap();
    let missing = folder.join("missing");
    let scan = PluginFolder::scan(&[folder.to_owned(), missing.clone(), folder.to_owned()]);
    let ids: Vec<&str> = scan
        .plugins
        .iter()
        .map(|file| file.inspection.manifest.id.as_str())
        .collect();
    assert_eq!(ids, ["good"]);
    let refused: Vec<(String, String)> = scan
        .refused
        .iter()
        .map(|file| {
            let name = file
                .path
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            (name, file.reason.to_string())
        })
        .collect();
    let expected = [
        ("b.wasm", "other-b.wasm"),
        ("broken.wasm", "not a WebAssembly component"),
        ("huge.wasm", "at most"),
        ("missing", "cannot be read"),
        ("other-b.wasm", "its id `b` is also that of"),
        ("pipe.wasm", "not a regular file"),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:?}");
    for ((name, reason), (expected_name, expected_reason)) in refused.iter().zip(expected) {
        assert_eq!(name, expected_name);
        assert!(reason.contains(expected_reason), "{name}: {reason}");
    }
}

#[tokio::test]
async fn a_component_with_invalid_code_is_listed_and_does_not_compile() {
    let mut bytes = fixer("", "(drop (i32.add (i32.const 77) (i32.const 78)))");
    // `i32.const 77` becomes `i64.const 77`: well-formed, and ill-typed.
    let at = bytes
        .windows(3)
        .position(|window| window == [0x41, 0xcd, 0x00])
        .unwrap();
    bytes[at] = 0x42;
    let bench = Bench::new(&[]);
    let code = bench.code("guest", "", &bytes);
    let error = code.load().await.err().unwrap();
    assert!(matches!(error, LoadError::Compile(_)), "{error}");
    let error = code.load().await.err().unwrap().to_string();
    assert!(error.starts_with("does not compile"), "{error}");
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_listed_is_refused() {
    let bench = Bench::new(&[]);
    let path = bench.write("guest", "", &fixer("", ""));
    let file = PluginFile::read(&path).unwrap();
    bench.write("guest", "", &fixer("", "(unreachable)"));
    let code = Arc::new(PluginCode::new(
        Arc::clone(&bench.runtime),
        file,
        &Granted::nothing(),
    ));
    let error = code.load().await.err().unwrap();
    assert!(matches!(error, LoadError::Changed { .. }), "{error}");
}

fn cached(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[tokio::test]
async fn compiled_code_is_kept_and_damage_is_mended() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("components");
    let options = Options {
        cache: Cache::open(&folder),
        ..Options::uncached()
    };
    let first = Bench::with(&options, &[]);
    let code = first.code("guest", &all_but(&[]), &fixer("", ""));
    first.fix(&code).await.unwrap().unwrap();
    let files = cached(&folder);
    let [kept] = files.as_slice() else {
        panic!("{files:?}");
    };
    let good = std::fs::read(kept).unwrap();
    let damages: [Vec<u8>; 4] = [
        good[..good.len() / 2].to_vec(),
        Vec::new(),
        b"#!/bin/sh\n".repeat(20),
        good.iter().map(|byte| byte ^ 0x55).collect(),
    ];
    for damaged in damages {
        std::fs::write(kept, damaged).unwrap();
        let again = Bench::with(&options, &[]);
        let code = again.code("guest", &all_but(&[]), &fixer("", ""));
        again.fix(&code).await.unwrap().unwrap();
        assert_eq!(cached(&folder).len(), 1);
        assert_eq!(std::fs::read(kept).unwrap().len(), good.len(), "mended");
    }
}

#[tokio::test]
async fn a_file_of_this_host_under_another_name_is_not_run() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("components");
    let options = Options {
        cache: Cache::open(&folder),
        ..Options::uncached()
    };
    let bench = Bench::with(&options, &[]);
    let traps = bench.code("traps", "", &fixer("", "(unreachable)"));
    traps.load().await.unwrap();
    let of_traps = cached(&folder).pop().unwrap();
    let fine = bench.code("fine", "", &fixer("", ""));
    fine.load().await.unwrap();
    let of_fine = cached(&folder)
        .into_iter()
        .find(|path| *path != of_traps)
        .unwrap();
    let good = std::fs::read(&of_fine).unwrap();
    std::fs::copy(&of_traps, &of_fine).unwrap();
    let again = Bench::with(&options, &[]);
    let fine = again.code("fine", "", &fixer("", ""));
    again.fix(&fine).await.unwrap().unwrap();
    assert_eq!(std::fs::read(&of_fine).unwrap().len(), good.len());
    assert_ne!(
        std::fs::read(&of_fine).unwrap(),
        std::fs::read(&of_traps).unwrap(),
        "replaced"
    );
}

#[tokio::test]
async fn a_file_of_another_host_is_not_run() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let folders = homes.each_ref().map(|home| home.path().join("components"));
    let options = folders.each_ref().map(|folder| Options {
        cache: Cache::open(folder),
        ..Options::uncached()
    });
    // The same component; what its own host made of it stands for what an attacker made.
    let component = fixer("", "");
    for options in &options {
        let bench = Bench::with(options, &[]);
        bench.code("guest", "", &component).load().await.unwrap();
    }
    let [planted, kept] = folders
        .each_ref()
        .map(|folder| cached(folder).pop().unwrap());
    std::fs::copy(&planted, &kept).unwrap();
    let bench = Bench::with(&options[1], &[]);
    bench.code("guest", "", &component).load().await.unwrap();
    assert_ne!(
        std::fs::read(&kept).unwrap(),
        std::fs::read(&planted).unwrap(),
        "made again under this host's key"
    );
}
