//! `cofferdam plugin list` and `inspect`: what is in a folder, and why what is refused is.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_contract::manifest::{Manifest, WantedCapability};
use cofferdam_runtime::embed_manifest;
use cofferdam_tests::{Ran, cofferdam, components, link_plugins, plugins, run, sha256};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Every plugin of the product in the order of a run.
const IN_ORDER: [(&str, &str); 10] = [
    ("disk-source", "vmx"),
    ("disk-source", "image"),
    ("filesystem", "ext4"),
    ("inspector", "linux"),
    ("fixer", "fstab"),
    ("fixer", "grub"),
    ("fixer", "device-map"),
    ("fixer", "initramfs"),
    ("workflow-step", "boot-test"),
    ("workflow-step", "command"),
];

/// The limits of compiling, as `plugin inspect` shows them.
const COMPILING: [&str; 4] = [
    "component-mib",
    "compile-cpu-seconds",
    "compile-wall-seconds",
    "compile-memory-mib",
];

/// The header of a component (Component Model, binary format: version 13, layer 1).
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// The header of a core module.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn listed(list: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let plugins = list["items"].as_array().unwrap().iter();
    plugins
        .filter(|plugin| plugin["source"] != "native")
        .map(|plugin| (text(&plugin["kind"]), text(&plugin["id"])))
        .collect()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn in_order() -> Vec<(String, String)> {
    IN_ORDER
        .map(|(kind, id)| (kind.to_owned(), id.to_owned()))
        .to_vec()
}

#[test]
fn the_list_has_every_plugin_in_the_order_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let list = run(&mut cofferdam(
        folder.path(),
        &["plugin", "list", "--output", "json"],
    ))
    .code(0)
    .json();
    assert_eq!(listed(&list), in_order());
    assert_eq!(list["refused"], Value::Array(Vec::new()));
    for plugin in list["items"].as_array().unwrap() {
        let Some(file) = plugin["path"].as_str().map(Path::new) else {
            assert_eq!(plugin["source"], "native", "{plugin:#}");
            continue;
        };
        assert_eq!(plugin["digest"], sha256(file), "{}", file.display());
        // Nobody granted the steps anything here.
        let wants = plugin["kind"] == "workflow-step";
        assert_eq!(plugin["problem"].is_string(), wants, "{plugin:#}");
    }
    let table = run(&mut cofferdam(folder.path(), &["plugin", "list"]))
        .code(0)
        .stdout;
    for ((kind, id), line) in IN_ORDER.iter().zip(table.lines().skip(1)) {
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        assert_eq!(words, [*kind, *id, "0.1.0"], "{table}");
    }
    assert!(!table.contains("refused"), "{table}");
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason_and_the_others_load() {
    let folder = tempfile::tempdir().unwrap();
    let plugins_folder = folder.path().join("plugins");
    link_plugins(&plugins_folder, &["device-map"]);
    let damaged = fs::read(plugins().join("fstab.wasm")).unwrap();
    let refused: [(&str, &[u8], &str); 5] = [
        ("bare.wasm", COMPONENT, "fits no kind of plugin"),
        (
            "core.wasm",
            MODULE,
            "a core WebAssembly module, not a component",
        ),
        (
            "cut.wasm",
            &damaged[..damaged.len() / 2],
            "not a WebAssembly component",
        ),
        ("empty.wasm", b"", "not a WebAssembly component"),
        (
            "junk.wasm",
            b"no wasm at all",
            "not a WebAssembly component",
        ),
    ];
    for (name, content, _) in refused {
        fs::write(plugins_folder.join(name), content).unwrap();
    }
    fs::write(plugins_folder.join("README.txt"), "not looked at").unwrap();
    let arguments = ["plugin", "list", "--plugins", "plugins"];
    let list = run(cofferdam(folder.path(), &arguments).args(["--output", "json"]))
        .code(0)
        .json();
    let mut others = in_order();
    others.retain(|(_, id)| id != "device-map");
    assert_eq!(listed(&list), others);
    let table = run(&mut cofferdam(folder.path(), &arguments))
        .code(0)
        .stdout;
    let found = list["refused"].as_array().unwrap();
    assert_eq!(found.len(), refused.len(), "{found:?}");
    for ((name, _, reason), found) in refused.iter().zip(found) {
        assert!(found["file"].as_str().unwrap().ends_with(name), "{found}");
        assert!(
            found["reason"].as_str().unwrap().contains(reason),
            "{found}"
        );
        let line = table.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.contains(reason), "{line}");
        let inspected = run(&mut cofferdam(
            &plugins_folder,
            &["plugin", "inspect", name],
        ))
        .code(1);
        inspected.says(&[name, reason]);
    }
}

#[test]
fn two_plugins_of_one_name_are_both_refused_and_copies_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let plugins_folder = folder.path().join("plugins");
    link_plugins(&plugins_folder, &[]);
    let mut bytes = fs::read(plugins_folder.join("fstab.wasm")).unwrap();
    let other = plugins_folder.join("other.wasm");
    fs::write(&other, &bytes).unwrap();
    let arguments = ["plugin", "list", "--plugins", "plugins", "--output", "json"];
    let list = || {
        run(&mut cofferdam(folder.path(), &arguments))
            .code(0)
            .json()
    };
    let copied = list();
    let count = listed(&copied)
        .iter()
        .filter(|(_, id)| id == "fstab")
        .count();
    assert_eq!((count, copied["refused"].to_string().as_str()), (1, "[]"));
    // The same code with one more custom section: an empty one of the name "x".
    bytes.extend([0, 2, 1, b'x']);
    fs::write(&other, &bytes).unwrap();
    let quarrelling = list();
    assert!(listed(&quarrelling).iter().all(|(_, id)| id != "fstab"));
    let refused = quarrelling["refused"].to_string();
    assert!(
        refused.contains("fstab.wasm") && refused.contains("other.wasm"),
        "{refused}"
    );
    // A migration that would silently go without a fixer does not begin.
    fs::write(folder.path().join("disk.raw"), [0; 4096]).unwrap();
    let migrate = [
        "migrate",
        "disk.raw",
        "--plugins",
        "plugins",
        "-o",
        "out",
        "-y",
    ];
    run(&mut cofferdam(folder.path(), &migrate))
        .code(1)
        .says(&["other.wasm", "may not boot"]);
    assert!(!folder.path().join("out").exists());
}

#[test]
fn inspect_says_what_a_file_is_and_wants_and_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for component in components(&plugins()) {
        let path = component.to_str().unwrap();
        let mut command = cofferdam(
            folder.path(),
            &["plugin", "inspect", path, "--output", "json"],
        );
        // Compiled code would be kept here.
        let cache = folder.path().join("cache");
        let shown = run(command.env("XDG_CACHE_HOME", &cache))
            .code(0)
            .json_of("plugin inspect");
        assert!(!cache.exists(), "nothing is compiled");
        let id = component.file_stem().unwrap().to_str().unwrap();
        let (kind, _) = IN_ORDER.iter().find(|(_, known)| *known == id).unwrap();
        assert_eq!(shown["manifest"]["id"], id);
        assert_eq!(shown["kind"], *kind);
        assert_eq!(shown["digest"], sha256(&component));
        assert_eq!(shown["size"], fs::metadata(&component).unwrap().len());
        let imports = shown["imports"].as_array().unwrap();
        assert!(!imports.is_empty());
        for import in imports {
            assert!(
                import.as_str().unwrap().starts_with("cofferdam:"),
                "{import}"
            );
        }
        let asked = &shown["manifest"]["limits"];
        let limits = shown["limits"].as_array().unwrap();
        let decided = |limit: &&Value| !asked[text_of(&limit["key"])].is_null();
        let (calls, compiling): (Vec<&Value>, Vec<_>) = limits.iter().partition(decided);
        assert_eq!(calls.len(), asked.as_object().unwrap().len());
        for limit in calls {
            let key = text_of(&limit["key"]);
            assert_eq!(
                limit["value"], asked[key],
                "nobody decided otherwise: {key}"
            );
        }
        assert_eq!(compiling.len(), COMPILING.len());
        for (limit, key) in compiling.iter().zip(COMPILING) {
            assert_eq!(limit["key"], key);
            assert_eq!(limit["value"], limit["default"], "{key}");
        }

        let text = run(&mut cofferdam(folder.path(), &["plugin", "inspect", path]))
            .code(0)
            .stdout;
        for words in [
            format!("{id} 0.1.0 ({kind})"),
            format!("world:   cofferdam:plugin/{kind}@0.1.0"),
            format!("digest:  sha256:{}", sha256(&component)),
            format!("memory-mib            {} MiB", asked["memory-mib"]),
            format!("cpu-ms                {} ms", asked["cpu-ms"]),
        ] {
            assert!(text.contains(&words), "{words} in {text}");
        }
        for import in imports {
            assert!(
                text.contains(import.as_str().unwrap()),
                "{import} in {text}"
            );
        }
        let clocks = if *kind == "workflow-step" {
            "its clocks run"
        } else {
            "its clocks stand still"
        };
        let has_wasi = !shown["wasi"].as_array().unwrap().is_empty();
        assert_eq!(text.contains(clocks), has_wasi, "{text}");
        for wanted in shown["manifest"]["capabilities"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let line = format!(
                "grant:   {}: {}",
                text_of(&wanted["name"]),
                text_of(&wanted["why"])
            );
            assert!(text.contains(&line), "{line} in {text}");
            assert!(text.contains(&format!("[plugins.{id}.grants.")), "{text}");
        }
        seen += 1;
    }
    assert_eq!(seen, IN_ORDER.len());
}

/// What would move a terminal's cursor or colour its text, and a line that looks like one of
/// the program's own.
const TRICK: &str = "x\u{1b}[2J\u{9b}31m\u{202e}\nlimits:\tnone";

/// Makes a manifest that is refused.
type Spoil = fn(&mut Manifest);

/// Neither standard output nor standard error has anything of [`TRICK`] as it is.
fn no_trick(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(raw), "{text:?}");
        let forged = |line: &str| line.trim_start().starts_with("limits:") && line != "limits:";
        assert!(!text.lines().any(forged), "{text}");
    }
}

#[test]
fn what_a_file_says_of_itself_cannot_pretend_to_be_the_programs_words() {
    let folder = tempfile::tempdir().unwrap();
    let component = fs::read(plugins().join("fstab.wasm")).unwrap();
    let file = folder.path().join("p.wasm");
    let show = |manifest: &Manifest, command: &str| {
        fs::write(&file, embed_manifest(&component, manifest).unwrap()).unwrap();
        let ran = run(&mut cofferdam(
            folder.path(),
            &["plugin", command, "p.wasm"],
        ));
        no_trick(&ran);
        ran
    };
    let good = Manifest::parse("id = \"p\"\nversion = \"1.0.0\"\nsummary = \"s\"").unwrap();

    let mut settings = good.clone();
    settings.settings = serde_json::json!({
        "type": "object",
        "properties": { TRICK: { "type": "string", "default": TRICK, "description": TRICK } },
    });
    let shown = show(&settings, "inspect").code(0).stdout;
    let line = shown.lines().find(|line| line.contains("setting:"));
    let escaped = "setting: p.x\\u{1b}[2J\\u{9b}31m\\u{202e}\\nlimits:\\tnone";
    assert!(line.unwrap().starts_with(escaped), "{shown}");

    let refused: [(&str, Spoil); 6] = [
        ("`version`", |it| it.version = format!("1.0.0-{TRICK}")),
        ("`version`", |it| it.version = "1.0.0-a/b?c#d".to_owned()),
        ("`summary`", |it| it.summary = TRICK.to_owned()),
        ("`order.after`", |it| {
            it.order.after = vec![TRICK.to_owned()]
        }),
        ("`order.before`", |it| {
            it.order.before = vec![TRICK.to_owned()]
        }),
        ("`capabilities`", |it| {
            it.capabilities = vec![WantedCapability {
                name: "cofferdam:tool/tool".to_owned(),
                why: TRICK.to_owned(),
                grant: serde_json::Map::new(),
            }];
        }),
    ];
    for (words, spoil) in refused {
        let mut manifest = good.clone();
        spoil(&mut manifest);
        for command in ["inspect", "install"] {
            show(&manifest, command).code(1).says(&[words]);
        }
    }
}

#[test]
fn inspect_is_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let file = plugins().join("fstab.wasm");
    let arguments = ["plugin", "inspect", file.to_str().unwrap()];
    let server = ["--server", "http://127.0.0.1:1"];
    run(cofferdam(folder.path(), &arguments).args(server))
        .code(1)
        .says(&[
            "plugin inspect",
            "without --server",
            "configuration of this machine",
        ]);
}

#[test]
fn inspect_shows_what_the_operator_decided_on_a_plugins_limits() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[limits]\ncompile-cpu-seconds = 20\ncompile-memory-mib = 2048\n\
                [plugins.fstab.limits]\ncompile-cpu-seconds = 30\ncomponent-mib = 8\ncpu-ms = 7\n";
    fs::write(folder.path().join("cofferdam.toml"), text).unwrap();
    let file = plugins().join("fstab.wasm");
    let arguments = ["plugin", "inspect", file.to_str().unwrap()];
    let shown = run(cofferdam(folder.path(), &arguments).args(["--output", "json"]))
        .code(0)
        .json_of("plugin inspect");
    for (key, value, from) in [
        ("cpu-ms", 7, "operator"),
        ("component-mib", 8, "operator"),
        ("compile-cpu-seconds", 30, "operator"),
        ("compile-memory-mib", 2048, "operator"),
        ("compile-wall-seconds", 300, "default"),
    ] {
        let limits = shown["limits"].as_array().unwrap();
        let limit = limits.iter().find(|limit| limit["key"] == key).unwrap();
        assert_eq!(limit["value"], value, "{key}");
        assert_eq!(limit["from"], from, "{key}");
    }
    let table = run(&mut cofferdam(folder.path(), &arguments))
        .code(0)
        .stdout;
    let row = "compile-cpu-seconds   30 s (at most 3600, by the operator; default 300)";
    assert!(table.contains(row), "{table}");
}

#[test]
fn tables_for_plugins_that_are_not_there_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let plugins_folder = folder.path().join("plugins");
    link_plugins(&plugins_folder, &[]);
    fs::write(plugins_folder.join("junk.wasm"), "no component").unwrap();
    let text = "[plugins.fstb.limits]\ncpu-ms = 9\n[plugins.junk.limits]\ncpu-ms = 9\n\
                [plugins.grub.limits]\ncpu-ms = 9\n\
                [plugins.fstab.grants.secrets]\nnames = ['a']\n";
    fs::write(folder.path().join("cofferdam.toml"), text).unwrap();
    let workflow = "name: w\nsteps: [{ id: s, uses: nothing-of-the-kind }]\n";
    fs::write(folder.path().join("w.yaml"), workflow).unwrap();
    let arguments = ["run", "w.yaml", "--plugins", "plugins"];
    let told = run(&mut cofferdam(folder.path(), &arguments)).stderr;
    for (words, times) in [
        ("[plugins.fstb] is configured", 1),
        ("did you mean `fstab`?", 1),
        ("[plugins.fstab.grants] grants nothing", 1),
        ("[plugins.junk]", 0),
        ("[plugins.grub]", 0),
    ] {
        assert_eq!(told.matches(words).count(), times, "{words} in {told}");
    }
}
