//! What a plugin's author and operator are told where something is wrong: each message names the
//! file and what to do. The whole texts are in `author_messages/`;
//! `COFFERDAM_UPDATE_MESSAGES=1` writes them. Look at the difference before you keep it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "hostile/component.rs"]
#[allow(dead_code, reason = "the attacks use more of it")]
mod component;

use cofferdam_contract::kinds::Kind;
use cofferdam_contract::manifest::Manifest;
use cofferdam_runtime::embed_manifest;
use cofferdam_tests::{cofferdam, run, workspace};
use std::fs;
use std::path::Path;

const MANIFEST: &str = "id = \"p\"\nversion = \"0.1.0\"\nsummary = \"A test\"\n";

/// A fixer that does nothing, with more fields before it.
fn fixer(more: &str) -> Vec<u8> {
    let fix = "(func (export \"cofferdam:plugin/fixing@0.1.0#fix\") (result i32) (i32.const 1024))";
    component::of_fields(Kind::Fixer, &format!("{more}\n{fix}"))
}

fn step(more: &str) -> Vec<u8> {
    component::of_fields(Kind::WorkflowStep, more)
}

const TOOL: &str = r#"(import "cofferdam:tool/tool@0.1.0" "keep"
    (func $keep (param i32 i32 i32 i32 i32)))
(func (export "cofferdam:plugin/step@0.1.0#validate") (param i32 i32) (result i32)
  (if (i32.eq (local.get 1) (i32.const -1))
    (then (call $keep (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64))))
  (i32.const 1024))"#;

const WANTS_TOOL: &str = "[[capabilities]]\nname = \"cofferdam:tool/tool\"\n\
    why = \"to ask for the date\"\n[capabilities.grant.date]\nprogram = \"date\"\n";

/// Something that is wrong: its name, the command, and what is in the folder that it is typed in.
struct Wrong {
    name: &'static str,
    command: &'static [&'static str],
    files: Vec<(&'static str, Vec<u8>)>,
}

fn wrong(
    name: &'static str,
    command: &'static [&'static str],
    files: Vec<(&'static str, Vec<u8>)>,
) -> Wrong {
    Wrong {
        name,
        command,
        files,
    }
}

fn with_manifest(component: &[u8], more: &str) -> Vec<u8> {
    let manifest = Manifest::parse(&format!("{MANIFEST}{more}")).unwrap();
    embed_manifest(component, &manifest).unwrap()
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn all() -> Vec<Wrong> {
    let inspect: &[&str] = &["plugin", "inspect", "p.wasm"];
    let build: &[&str] = &["plugin", "build", "p"];
    let unknown = r#"(import "cofferdam:tea/pot@0.1.0" "pour" (func $pour))"#;
    let devices = r#"(import "cofferdam:disk/devices@0.1.0" "count" (func $count (result i32)))"#;
    let settings = "[settings]\ntype = \"object\"\nadditionalProperties = false\n\
        [settings.properties.mode]\ntype = \"string\"\ndefault = 7\n";
    vec![
        wrong("no-manifest", inspect, vec![("p.wasm", fixer(""))]),
        wrong("no-component", inspect, vec![("p.wasm", text("no wasm"))]),
        wrong(
            "unknown-import",
            inspect,
            vec![("p.wasm", with_manifest(&fixer(unknown), ""))],
        ),
        wrong(
            "foreign-import",
            inspect,
            vec![("p.wasm", with_manifest(&fixer(devices), ""))],
        ),
        wrong(
            "undeclared-capability",
            inspect,
            vec![("p.wasm", with_manifest(&step(TOOL), ""))],
        ),
        wrong(
            "not-granted",
            &["plugin", "install", "p.wasm"],
            vec![("p.wasm", with_manifest(&step(TOOL), WANTS_TOOL))],
        ),
        wrong("build-no-manifest", build, vec![("p/Cargo.toml", text(""))]),
        wrong(
            "build-misspelt-key",
            build,
            vec![(
                "p/plugin.toml",
                text(&format!("{MANIFEST}sumary = \"x\"\n")),
            )],
        ),
        wrong(
            "build-default-of-a-setting",
            build,
            vec![("p/plugin.toml", text(&format!("{MANIFEST}{settings}")))],
        ),
        wrong(
            "build-tools-missing",
            build,
            vec![(
                "p/plugin.toml",
                text(&format!(
                    "{MANIFEST}[build]\ncommand = [\"no-such-tool\"]\n"
                )),
            )],
        ),
        wrong(
            "build-unknown-world",
            build,
            vec![(
                "p/plugin.toml",
                text(&format!(
                    "{MANIFEST}[build]\nlanguage = \"rust\"\nworld = \"fixr\"\n"
                )),
            )],
        ),
        wrong(
            "setting-of-the-wrong-type",
            &[
                "migrate",
                "disk.raw",
                "--plan",
                "a.plan",
                "--set",
                "fstab.mode=7",
            ],
            vec![("disk.raw", vec![0; 4096])],
        ),
        wrong(
            "unknown-setting",
            &[
                "migrate",
                "disk.raw",
                "--plan",
                "a.plan",
                "--set",
                "fstab.mood=all",
            ],
            vec![("disk.raw", vec![0; 4096])],
        ),
    ]
}

/// What was said, with what differs from machine to machine replaced.
fn said(folder: &Path, wrong: &Wrong) -> String {
    for (name, content) in &wrong.files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let ran = run(&mut cofferdam(folder, wrong.command));
    assert_ne!(ran.code, Some(0), "{}: {}", wrong.name, ran.stdout);
    let text = ran.stderr.replace(&folder.display().to_string(), "FOLDER");
    format!("$ cofferdam {}\n{text}", wrong.command.join(" "))
}

#[test]
fn each_message_names_the_file_and_the_remedy() {
    let update = std::env::var("COFFERDAM_UPDATE_MESSAGES").is_ok_and(|value| value == "1");
    let golden = workspace().join("tests/tests/author_messages");
    let mut different = Vec::new();
    let wrongs = all();
    for wrong in &wrongs {
        let folder = tempfile::tempdir().unwrap();
        let found = said(folder.path(), wrong);
        let path = golden.join(format!("{}.txt", wrong.name));
        if update {
            fs::write(&path, &found).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if found != expected {
            different.push(format!("{}:\n{found}instead of\n{expected}", wrong.name));
        }
    }
    assert!(
        different.is_empty(),
        "{}\nrun this test with COFFERDAM_UPDATE_MESSAGES=1 and look at the difference",
        different.join("\n")
    );
    let kept = fs::read_dir(&golden).unwrap().count();
    assert_eq!(kept, wrongs.len(), "a text that nothing says any more");
}
