//! The conformance kit: every plugin of the product passes it, and for each check there is a
//! component that fails it and no other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "hostile/component.rs"]
#[allow(dead_code, reason = "the attacks use more of it")]
mod component;

use cofferdam_conformance::checks::CHECKS;
use cofferdam_conformance::{Outcome, Report, test};
use cofferdam_contract::kinds::Kind;
use cofferdam_contract::manifest::Manifest;
use cofferdam_runtime::{Options, embed_manifest};
use cofferdam_tests::{cofferdam, plugin_sources, plugins, run, workspace};
use std::fs;
use std::path::Path;

/// A manifest without faults, with `more` at its end.
fn manifest(more: &str) -> Manifest {
    let text = format!("id = \"p\"\nversion = \"0.1.0\"\nsummary = \"A test\"\n{more}");
    Manifest::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

async fn report(component: &[u8], manifest: &Manifest, cases: Option<&Path>) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.wasm");
    fs::write(&file, embed_manifest(component, manifest).unwrap()).unwrap();
    test(&file, cases, Options::with_default_cache())
        .await
        .unwrap()
}

fn failed(report: &Report) -> Vec<&'static str> {
    let failed = report.checks.iter().filter(|check| check.failed());
    failed.map(|check| check.name).collect()
}

/// A fixer that reads a file, and is an error where it cannot.
const HONEST: &str = r#"(import "cofferdam:guest/view@0.1.0" "read-at"
    (func $read-at (param i32 i32 i64 i32 i32)))
(data (i32.const 512) "/etc/fstab")
(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
  (call $read-at (i32.const 512) (i32.const 10) (i64.const 0) (i32.const 16) (i32.const 64))
  (if (i32.load8_u (i32.const 64)) (then (return (i32.const 64))))
  (i32.const 1024))"#;

/// A step that gives an empty object, and says so.
const STEP: &str = r#"(data (i32.const 600) "{}")
(func (export "cofferdam:plugin/step@0.1.0#plan") (param i32 i32) (result i32)
  (i32.store (i32.const 708) (i32.const 600))
  (i32.store (i32.const 712) (i32.const 2))
  (i32.const 704))
(func (export "cofferdam:plugin/step@0.1.0#execute") (param i32 i32) (result i32)
  (i32.store (i32.const 516) (i32.const 600))
  (i32.store (i32.const 520) (i32.const 2))
  (i32.const 512))"#;

const WANTS_TOOL: &str = "[[capabilities]]\nname = \"cofferdam:tool/tool\"\nwhy = \"w\"\n\
    grant.x.program = \"x\"\n";

const SETTING: &str = "[settings]\ntype = \"object\"\nadditionalProperties = false\n\
    [settings.properties.a]\ndescription = \"d\"\ndefault = 1\n";

/// A check, the kind of the component that fails it, what its manifest has at its end, and its
/// code: the fields of a core module.
const WRONG: [(&str, Kind, &str, &str); 13] = [
    (
        "manifest",
        Kind::Fixer,
        "[settings]\ntype = \"object\"\n",
        HONEST,
    ),
    ("imports", Kind::WorkflowStep, WANTS_TOOL, STEP),
    (
        "sockets",
        Kind::WorkflowStep,
        "",
        r#"(import "wasi:sockets/tcp-create-socket@0.2.6" "create-tcp-socket"
            (func $tcp (param i32 i32)))
        (func (export "cofferdam:plugin/step@0.1.0#validate") (param i32 i32) (result i32)
          (if (i32.eq (local.get 1) (i32.const -1))
            (then (call $tcp (i32.const 0) (i32.const 64))))
          (i32.const 1024))
        (data (i32.const 600) "{}")
        (func (export "cofferdam:plugin/step@0.1.0#plan") (param i32 i32) (result i32)
          (i32.store (i32.const 708) (i32.const 600))
          (i32.store (i32.const 712) (i32.const 2))
          (i32.const 704))
        (func (export "cofferdam:plugin/step@0.1.0#execute") (param i32 i32) (result i32)
          (i32.store (i32.const 516) (i32.const 600))
          (i32.store (i32.const 520) (i32.const 2))
          (i32.const 512))"#,
    ),
    (
        "loads",
        Kind::Fixer,
        "",
        r#"(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32) (i64.const 0))"#,
    ),
    ("settings", Kind::Fixer, SETTING, HONEST),
    (
        "settings-read",
        Kind::Fixer,
        "",
        r#"(import "cofferdam:runtime/config@0.1.0" "settings" (func $settings (param i32)))
        (func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
          (call $settings (i32.const 64))
          (if (i32.ne (i32.load8_u (i32.load (i32.const 64))) (i32.const 123)) (then (unreachable)))
          (i32.const 1024))"#,
    ),
    (
        "limits",
        Kind::Fixer,
        "[limits]\ncpu-ms = 50\n",
        r#"(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
          (loop $again (br $again)) (unreachable))"#,
    ),
    (
        "answers",
        Kind::Fixer,
        "",
        r#"(import "cofferdam:guest/view@0.1.0" "read-at"
            (func $read-at (param i32 i32 i64 i32 i32)))
        (data (i32.const 512) "/etc/fstab")
        (func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
          (call $read-at (i32.const 512) (i32.const 10) (i64.const 0) (i32.const 16) (i32.const 64))
          (if (i32.load8_u (i32.const 64)) (then (unreachable)))
          (i32.const 1024))"#,
    ),
    (
        "messages",
        Kind::Fixer,
        "",
        r#"(func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
          (i32.store8 (i32.const 1024) (i32.const 1))
          (i32.const 1024))"#,
    ),
    (
        "same-answer",
        Kind::Fixer,
        "",
        r#"(import "cofferdam:runtime/context@0.1.0" "run-id" (func $run-id (param i32)))
        (import "cofferdam:guest/edits@0.1.0" "note" (func $note (param i32 i32 i32 i32)))
        (func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
          (call $run-id (i32.const 64))
          (call $note (i32.const 0) (i32.load (i32.const 64)) (i32.load (i32.const 68))
            (i32.const 128))
          (i32.const 128))"#,
    ),
    (
        "idempotent",
        Kind::Fixer,
        "",
        r#"(import "cofferdam:guest/edits@0.1.0" "append"
            (func $append (param i32 i32 i32 i32 i32 i32 i32)))
        (data (i32.const 512) "/etc/fstab")
        (func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
          (call $append (i32.const 512) (i32.const 10) (i32.const 512) (i32.const 4)
            (i32.const 512) (i32.const 10) (i32.const 64))
          (i32.const 64))"#,
    ),
    (
        "log",
        Kind::Fixer,
        "[limits]\nlog-kib = 1\n",
        r#"(import "cofferdam:runtime/context@0.1.0" "log" (func $log (param i32 i32 i32 i32 i32)))
        (func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
          (call $log (i32.const 1) (i32.const 4096) (i32.const 4096) (i32.const 0) (i32.const 0))
          (i32.const 1024))"#,
    ),
    (
        "cancellation",
        Kind::Fixer,
        "[limits]\ncpu-ms = 60000\n",
        r#"(import "cofferdam:runtime/context@0.1.0" "cancelled" (func $cancelled (result i32)))
        (func (export "cofferdam:plugin/fixing@0.1.0#fix") (result i32)
          (if (call $cancelled) (then (loop $again (br $again))))
          (i32.const 1024))"#,
    ),
];

#[tokio::test]
async fn each_check_fails_for_what_it_is_about_and_for_nothing_else() {
    for (check, kind, more, fields) in WRONG {
        let report = report(&component::of_fields(kind, fields), &manifest(more), None).await;
        assert_eq!(failed(&report), [check], "{report:#?}");
        assert!(!report.passed);
    }
    // The cases of another fixer.
    let cases = workspace().join("examples/motd-fixer");
    let fixer = component::of_fields(Kind::Fixer, HONEST);
    let motd = Manifest::parse(&fs::read_to_string(cases.join("plugin.toml")).unwrap()).unwrap();
    let report = report(&fixer, &motd, Some(&cases)).await;
    assert_eq!(failed(&report), ["cases"], "{report:#?}");
    let shown: Vec<&str> = WRONG.iter().map(|wrong| wrong.0).chain(["cases"]).collect();
    let all: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(shown, all, "a check that nothing is known to fail");
}

#[tokio::test]
async fn what_does_nothing_wrong_passes() {
    for (kind, text) in [
        (Kind::Fixer, HONEST.to_owned()),
        (Kind::WorkflowStep, STEP.to_owned()),
        (Kind::Inspector, component::text("honest-inspector", &[])),
        (Kind::DiskSource, component::text("honest-source", &[])),
        (Kind::Filesystem, component::text("honest-filesystem", &[])),
    ] {
        let report = report(&component::of_fields(kind, &text), &manifest(""), None).await;
        assert!(report.passed, "{report:#?}");
        assert_eq!(report.checks.len(), CHECKS.len());
    }
}

/// The commands that an author types, over what is shipped: each plugin keeps the contract, its
/// cases included.
#[test]
fn every_plugin_of_the_product_passes() {
    let folder = tempfile::tempdir().unwrap();
    let schema = fs::read_to_string(workspace().join("docs/cli-output.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let wanted = schema["$defs"]["plugin test"].clone();
    let validator = jsonschema::validator_for(&wanted).unwrap();
    for source in plugin_sources() {
        let id = source.file_name().unwrap().to_str().unwrap();
        let component = plugins().join(format!("{id}.wasm"));
        let mut arguments = vec!["plugin", "test", component.to_str().unwrap()];
        arguments.extend(["--cases", source.to_str().unwrap(), "--output", "json"]);
        let report = run(&mut cofferdam(folder.path(), &arguments))
            .code(0)
            .json();
        assert!(validator.is_valid(&report), "{report:#}");
        let cases = report["checks"].as_array().unwrap().last().unwrap();
        let expected = if report["world"] == "filesystem" {
            "not-applicable"
        } else {
            "passed"
        };
        assert_eq!(cases["result"], expected, "{report:#}");
    }
}

#[test]
fn the_command_says_what_to_change_and_ends_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = component::of_fields(Kind::Fixer, HONEST);
    let manifest = manifest("[settings]\ntype = \"object\"\n");
    let file = folder.path().join("p.wasm");
    fs::write(&file, embed_manifest(&wrong, &manifest).unwrap()).unwrap();
    let ran = run(&mut cofferdam(folder.path(), &["plugin", "test", "p.wasm"])).code(15);
    for words in [
        "manifest       failed: ",
        "a setting that nobody knows is taken",
        "to mend it: ",
        "idempotent     passed",
        "cases          not applicable: ",
        "1 check failed",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }
    fs::write(&file, "no wasm").unwrap();
    run(&mut cofferdam(folder.path(), &["plugin", "test", "p.wasm"]))
        .code(1)
        .says(&["p.wasm cannot be tested"]);
    fs::write(&file, embed_manifest(&wrong, &manifest).unwrap()).unwrap();
    run(&mut cofferdam(
        folder.path(),
        &["plugin", "test", "p.wasm", "--cases", "none"],
    ))
    .code(1)
    .says(&["the cases cannot be used", "none"]);
}

#[test]
fn every_check_is_on_the_page() {
    let page = fs::read_to_string(workspace().join("docs/conformance.md")).unwrap();
    let (_, checks) = page.split_once("\n## The checks\n").unwrap();
    let rows: Vec<&str> = checks
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<String> = CHECKS
        .iter()
        .map(|check| {
            format!(
                "| `{}` | {} | {} | {} |",
                check.name, check.what, check.why, check.mend
            )
        })
        .collect();
    assert_eq!(rows, expected);
}

/// `Outcome` is what programs are told; its words are in the schema.
#[test]
fn what_came_of_a_check_is_one_of_three_words() {
    let outcomes = [
        (Outcome::Passed, "passed"),
        (
            Outcome::Failed {
                found: Vec::new(),
                mend: "",
            },
            "failed",
        ),
        (
            Outcome::NotApplicable {
                reason: String::new(),
            },
            "not-applicable",
        ),
    ];
    for (outcome, word) in outcomes {
        assert_eq!(serde_json::to_value(outcome).unwrap()["result"], word);
    }
}
