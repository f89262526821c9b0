//! Filters around real components in the real program: what was recorded on one machine is
//! replayed on another, without the disk and without the programs it happened with.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "../../host/runtime/tests/guest/mod.rs"]
mod guest;

use cofferdam_contract::manifest::Manifest;
use cofferdam_fixtures::{Format, Variant};
use cofferdam_runtime::embed_manifest;
use cofferdam_tests::site::Site;
use cofferdam_tests::{Job, cofferdam, plugins, read_json, run, sha256, workspace};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The plugins of a migration that have recordings, in the order of their calls.
const INSPECTOR: &str = "linux";
const FIXERS: [&str; 4] = ["fstab", "grub", "device-map", "initramfs"];

/// One filter for each of them.
fn configuration(filter: &str) -> String {
    let plugins = FIXERS.iter().chain([&INSPECTOR]);
    plugins
        .map(|plugin| format!("[[plugins.{plugin}.filters]]\n{filter}\n"))
        .collect()
}

/// Another `fstab`, which looks at another file and does nothing.
fn another_fstab(folder: &Path) -> PathBuf {
    let component = guest::component(
        "fixer",
        "(import \"cofferdam:guest/view@0.1.0\" \"stat\" (func $stat (param i32 i32 i32 i32)))",
        &format!(
            "(data (i32.const 1024) \"/etc/passwd\")
            (func (export \"{}\") (result i32)
                (call $stat (i32.const 1024) (i32.const 11) (i32.const 1) (i32.const 2048))
                (i32.const 0))",
            guest::FIX
        ),
    );
    let manifest = "id = \"fstab\"\nversion = \"0.2.0\"\nsummary = \"another fstab\"\n";
    let bytes = embed_manifest(&component, &Manifest::parse(manifest).unwrap()).unwrap();
    let path = folder.join("another.wasm");
    fs::write(&path, bytes).unwrap();
    path
}

/// Moves the recordings to a folder where nothing else is.
fn elsewhere(job: &Job) -> tempfile::TempDir {
    let machine = tempfile::tempdir().unwrap();
    let to = machine.path().join("incident");
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(job.path("recordings")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    machine
}

/// What `plugin replay --output json` prints has the published form.
fn fits_the_schema(printed: &Value) {
    let docs = workspace().join("docs");
    let schema = read_json(&docs.join("cli-output.schema.json"));
    let schema = &schema["$defs"]["plugin replay"];
    assert!(schema.is_object());
    jsonschema::validate(schema, printed).unwrap();
}

#[test]
fn a_migration_is_recorded_and_replayed_on_another_machine_without_the_disk() {
    let test = "a_migration_is_recorded_and_replayed_on_another_machine_without_the_disk";
    let Some(job) = Job::new(test, Variant::Bootable, Format::Raw) else {
        return;
    };
    let record = "filter = \"record\"\nfolder = \"recordings\"";
    let of_nobody = "[[plugins.fstb.filters]]\nfilter = \"log\"\n";
    let text = configuration(record) + of_nobody;
    fs::write(job.path("cofferdam.toml"), text).unwrap();
    let plan = |file: &str| {
        let args = ["--plan", file, "--output", "json"];
        run(&mut job.migrate(&args)).code(0)
    };
    let planned = plan("first.plan");
    planned.says(&["[plugins.fstb] is configured", "`fstab`?"]);
    let recorded = planned.json();
    let machine = elsewhere(&job);

    let here = |args: &[&str]| run(&mut cofferdam(machine.path(), args));
    let printed = here(&["plugin", "replay", "incident", "--output", "json"])
        .code(0)
        .json();
    fits_the_schema(&printed);
    let calls = printed["recordings"].as_array().unwrap();
    let of: Vec<(&str, &str)> = calls
        .iter()
        .map(|call| {
            assert_eq!(call["verdict"], "identical", "{call}");
            assert_eq!(call["whole"], true);
            assert!(call["exchanges"].as_u64().unwrap() > 0, "{call}");
            assert_eq!(call["recorded"], call["replayed"]);
            (
                call["plugin"].as_str().unwrap(),
                call["function"].as_str().unwrap(),
            )
        })
        .collect();
    // The second call of each fixer is the one on the result, which must find nothing to do.
    let expected: Vec<(&str, &str)> = [(INSPECTOR, "inspect")]
        .into_iter()
        .chain(FIXERS.iter().chain(&FIXERS).map(|fixer| (*fixer, "fix")))
        .collect();
    assert_eq!(of, expected);
    let fstab = plugins().join("fstab.wasm");
    assert_eq!(calls[1]["replayed"]["digest"], sha256(&fstab));

    another_version_differs(machine.path(), calls[1]["file"].as_str().unwrap());
    damage_is_told(machine.path(), calls[1]["file"].as_str().unwrap());

    // The same migration, with the recordings in the place of the plugins.
    let replay = "filter = \"replay\"\nfrom = \"recordings\"";
    fs::write(job.path("cofferdam.toml"), configuration(replay)).unwrap();
    let planned = plan("second.plan");
    assert!(
        !planned.stderr.contains("is configured"),
        "{}",
        planned.stderr
    );
    let replayed = planned.json();
    assert_eq!(replayed["edits_digest"], recorded["edits_digest"]);
    assert!(!replayed["edits"].as_array().unwrap().is_empty());
    job.source_is_untouched();
}

fn another_version_differs(machine: &Path, recording: &str) {
    let component = another_fstab(machine);
    let args = ["plugin", "replay", recording, "--component"];
    let mut command = cofferdam(machine, &args);
    let text = run(command.arg(&component)).code(12).stdout;
    for words in [
        "recorded with fstab 0.1.0",
        "replayed with 0.2.0",
        "after 0 uses of services that were the same: view.stat {\"path\":\"/etc/passwd\"",
        "expected {\"function\":\"view.",
        "they differ at /",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let mut command = cofferdam(machine, &args);
    let printed = run(command.arg(&component).args(["--output", "json"]))
        .code(12)
        .json();
    fits_the_schema(&printed);
    let call = &printed["recordings"][0];
    assert_eq!(call["verdict"], "diverged");
    assert_eq!(call["divergence"]["function"], "view.stat");
    assert_eq!(call["divergence"]["arguments"]["path"], "/etc/passwd");
}

fn damage_is_told(machine: &Path, recording: &str) {
    let bytes = fs::read(machine.join(recording)).unwrap();
    let middle = bytes.len() / 2;
    let mut changed = bytes.clone();
    changed[middle] ^= 1;
    let component = fs::read(plugins().join("fstab.wasm")).unwrap();
    for (name, content, words) in [
        ("cut", &bytes[..middle], "ends in the middle"),
        ("changed", &changed, "is damaged at line"),
        ("foreign", &component, "is no recording"),
    ] {
        fs::write(machine.join(name), content).unwrap();
        let ran = run(&mut cofferdam(machine, &["plugin", "replay", name]));
        ran.code(1).says(&[name, words]);
    }
    let other = plugins().join("grub.wasm");
    for elsewhere in [
        ["--plugins", "nowhere"],
        ["--component", other.to_str().unwrap()],
    ] {
        let mut command = cofferdam(machine, &["plugin", "replay", recording]);
        let ran = run(command.args(elsewhere)).code(1);
        ran.says(&["the recording is of fstab", "with --component"]);
    }
}

/// One step that runs a program.
const WORKFLOW: &str = r#"name: told
steps:
  - id: say
    uses: command
    with: {tool: sh, args: ["-c", "echo said"]}
"#;

#[test]
fn a_step_is_recorded_logged_and_replayed_without_its_program() {
    let site = Site::embedded();
    let file = site.path("cofferdam.toml");
    let grants = fs::read_to_string(&file).unwrap();
    let filters = "
        [[plugins.command.filters]]
        filter = \"record\"
        folder = \"recordings\"
        functions = [\"execute\"]
        [[plugins.command.filters]]
        filter = \"log\"
        [[plugins.command.filters]]
        filter = \"error\"
        functions = [\"execute\"]
        every = 2
        code = \"conflict\"
        message = \"try-out\"
    ";
    fs::write(&file, format!("{grants}\n{filters}")).unwrap();
    fs::write(site.path("told.yaml"), WORKFLOW).unwrap();
    let _ = site.run(&["run", "told.yaml"]).code(0);
    let lines = site.run(&["runs", "logs", "last"]).code(0).stdout;
    assert!(lines.contains("call execute: ok"), "{lines}");
    let recordings = fs::read_dir(site.path("recordings")).unwrap();
    assert_eq!(recordings.count(), 1);

    // Another machine: no grant, no program, no run.
    let machine = tempfile::tempdir().unwrap();
    let recordings = site.path("recordings");
    let from = recordings.to_str().unwrap();
    let args = ["plugin", "replay", from, "--output", "json"];
    let printed = run(cofferdam(machine.path(), &args).env("PATH", ""))
        .code(0)
        .json();
    fits_the_schema(&printed);
    let call = &printed["recordings"][0];
    assert_eq!(
        (&call["plugin"], &call["function"], &call["verdict"]),
        (
            &Value::from("command"),
            &Value::from("execute"),
            &Value::from("identical")
        )
    );

    // Nor plugin folders, where the version that was recorded is installed.
    let here = |args: &[&str]| {
        let mut command = cofferdam(machine.path(), args);
        run(command.env("COFFERDAM_PLUGINS", "nowhere"))
    };
    let replay = ["plugin", "replay", from];
    here(&replay).code(1).says(&["and not installed"]);
    let file = plugins().join("command.wasm");
    let install = ["plugin", "install", file.to_str().unwrap(), "--grant"];
    let _ = here(&install).code(0);
    let said = here(&replay).code(0).stdout;
    assert!(said.contains("command execute: identical"), "{said}");
}

#[test]
fn a_wrong_filter_ends_the_command_with_what_is_wrong() {
    let site = Site::embedded();
    let grants = fs::read_to_string(site.path("cofferdam.toml")).unwrap();
    fs::write(site.path("told.yaml"), WORKFLOW).unwrap();
    for (filter, words) in [
        ("filter = \"rate\"\nper-second = 0.0", "`per-second` is 0"),
        (
            "filter = \"log\"\nfunctions = [\"fix\"]",
            "it has validate, plan",
        ),
        ("filter = \"replay\"\nfrom = \"nowhere\"", "cannot be read"),
        ("filter = \"dely\"", "unknown variant `dely`"),
        (
            "filter = \"log\"\nlevl = \"info\"",
            "did you mean \"level\"?",
        ),
    ] {
        let text = format!("{grants}\n[[plugins.command.filters]]\n{filter}\n");
        fs::write(site.path("cofferdam.toml"), text).unwrap();
        site.run(&["run", "told.yaml"]).code(1).says(&[words]);
    }
}
