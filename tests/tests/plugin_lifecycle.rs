//! The life of an installed plugin, from the command line: the same embedded and against a
//! server, with real components.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

#[path = "../../host/runtime/tests/guest/mod.rs"]
mod guest;

use cofferdam_contract::manifest::Manifest;
use cofferdam_runtime::embed_manifest;
use cofferdam_tests::output::validator;
use cofferdam_tests::server::wait_for;
use cofferdam_tests::site::Site;
use cofferdam_tests::{Ran, plugins, run, sha256};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The plugin of this test. It is made of the product's step `command` and of small guests.
const ID: &str = "greeter";

/// What `greeter` wants: to run a shell, in 0.3.0 with more arguments than before.
fn wants(arguments: &str) -> String {
    format!(
        "[[capabilities]]\nname = \"cofferdam:tool/tool\"\nwhy = \"to greet with a program\"\n\
         [capabilities.grant.sh]\nprogram = \"sh\"\narguments = {arguments}\n\
         environment = {{ PATH = \"/usr/bin:/bin\" }}\ntimeout = \"2m\"\n"
    )
}

fn write(site: &Site, version: &str, component: &[u8], more: &str) {
    let manifest = Manifest::parse(&format!(
        "id = \"{ID}\"\nversion = \"{version}\"\nsummary = \"greets, as {version}\"\n\
         [limits]\nmemory-mib = 64\ncpu-ms = 60000\nwall-ms = 600000\n{more}"
    ))
    .unwrap();
    let bytes = embed_manifest(component, &manifest).unwrap();
    fs::write(site.path(&format!("greeter-{version}.wasm")), bytes).unwrap();
}

/// Writes every version of the plugin, and workflows that use it.
fn prepare(site: &Site) {
    let command = fs::read(plugins().join("command.wasm")).unwrap();
    let narrow = wants("[\"-c\", '[\\s\\S]*']");
    write(site, "0.1.0", &command, &narrow);
    write(site, "0.2.0", &command, &narrow);
    write(
        site,
        "0.3.0",
        &command,
        &wants("[\"-c\", \"-x\", '[\\s\\S]*']"),
    );
    // It does not survive its self-test.
    let trap = guest::step("", "", &[("validate", "(unreachable)")]);
    write(site, "0.4.0", &trap, "");
    // It answers its self-test, and traps when it is to work.
    let crash = guest::step("", "", &[("execute", "(unreachable)")]);
    write(site, "0.5.0", &crash, "");
    write(site, "0.6.0", &guest::step("", "", &[]), "");
    let grants = fs::read_to_string(site.path("cofferdam.toml")).unwrap();
    let crash = "[plugins.greeter.crash]\npolicy = \"quarantine\"\ncrashes = 2\nwithin = \"1h\"\n";
    site.write("cofferdam.toml", &format!("{grants}\n{crash}"));
    site.write("junk.wasm", "no component");
    let folder = site.folder().to_str().unwrap();
    site.write(
        "slow.yaml",
        &format!(
            "name: slow\nsteps:\n  - id: waits\n    uses: greeter\n    with: {{tool: sh, args: [\"-c\", \"while [ ! -e {folder}/go ]; do sleep 0.05; done\"]}}\n"
        ),
    );
    site.write(
        "crash.yaml",
        "name: crash\nsteps:\n  - {id: falls, uses: greeter, with: {}}\n",
    );
}

/// One command of the table.
struct Case {
    args: &'static [&'static str],
    code: i32,
    /// The command's name in the published schemas.
    schema: &'static str,
    /// What has to be where in the answer.
    holds: &'static [(&'static str, &'static str)],
}

const fn case(
    args: &'static [&'static str],
    code: i32,
    schema: &'static str,
    holds: &'static [(&'static str, &'static str)],
) -> Case {
    Case {
        args,
        code,
        schema,
        holds,
    }
}

/// A life, command by command. What is expected holds whoever the host is.
const TABLE: [Case; 27] = [
    case(
        &["plugin", "history", ID],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(
        &["plugin", "activate", ID],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(
        &["plugin", "rollback", ID],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(
        &["plugin", "release", ID],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(&["plugin", "install", "junk.wasm"], 1, "error", &[]),
    // It wants a program, and nobody granted it.
    case(
        &["plugin", "install", "greeter-0.1.0.wasm"],
        13,
        "error",
        &[("/code", "denied")],
    ),
    case(
        &["plugin", "install", "greeter-0.1.0.wasm", "--yes"],
        13,
        "error",
        &[("/code", "denied")],
    ),
    case(
        &["plugin", "install", "greeter-0.1.0.wasm", "--grant"],
        0,
        "plugin install",
        &[
            ("/version/version", "0.1.0"),
            ("/version/grants/tool/sh/program", "sh"),
        ],
    ),
    // The same file again changes nothing.
    case(
        &["plugin", "install", "greeter-0.1.0.wasm", "--grant"],
        0,
        "plugin install",
        &[("/version/version", "0.1.0")],
    ),
    case(
        &["plugin", "activate", ID],
        0,
        "plugin activate",
        &[("/to/version", "0.1.0"), ("/outcome", "active")],
    ),
    case(
        &["plugin", "rollback", ID],
        1,
        "error",
        &[("/code", "conflict")],
    ),
    // What the active version was granted counts for one that wants the same.
    case(
        &["plugin", "install", "greeter-0.2.0.wasm", "--activate"],
        0,
        "plugin install",
        &[
            ("/activation/from/version", "0.1.0"),
            ("/activation/outcome", "active"),
        ],
    ),
    // And not for one that wants more.
    case(
        &["plugin", "install", "greeter-0.3.0.wasm", "--activate"],
        13,
        "error",
        &[("/code", "denied")],
    ),
    case(
        &[
            "plugin",
            "install",
            "greeter-0.3.0.wasm",
            "--activate",
            "--grant",
        ],
        0,
        "plugin install",
        &[
            ("/activation/to/version", "0.3.0"),
            ("/activation/outcome", "active"),
        ],
    ),
    case(
        &["plugin", "rollback", ID],
        0,
        "plugin rollback",
        &[("/to/version", "0.2.0"), ("/cause", "rollback")],
    ),
    // A failing self-test leaves the old one serving.
    case(
        &["plugin", "install", "greeter-0.4.0.wasm"],
        0,
        "plugin install",
        &[],
    ),
    case(&["plugin", "activate", ID, "0.4.0"], 14, "error", &[]),
    case(
        &["plugin", "list", "--kind", "workflow-step"],
        0,
        "plugin list",
        &[("/installed/0/active", "0.2.0")],
    ),
    case(
        &["plugin", "history", ID],
        0,
        "plugin history",
        &[
            ("/items/0/outcome", "failed"),
            ("/items/0/stage", "self-test"),
            ("/items/1/cause", "rollback"),
            ("/items/4/to/version", "0.1.0"),
        ],
    ),
    case(
        &["plugin", "history", ID, "--limit", "1"],
        0,
        "plugin history",
        &[("/items/0/outcome", "failed")],
    ),
    case(&["plugin", "history", ID, "--limit", "0"], 1, "error", &[]),
    case(
        &["plugin", "remove", ID, "0.2.0"],
        1,
        "error",
        &[("/code", "conflict")],
    ),
    case(
        &["plugin", "remove", ID, "0.9.0"],
        1,
        "error",
        &[("/code", "not-found")],
    ),
    case(&["plugin", "remove", ID, "0.3.0"], 0, "plugin remove", &[]),
    case(&["plugin", "remove", ID, "0.1.0"], 0, "plugin remove", &[]),
    case(&["plugin", "remove", ID, "0.4.0"], 0, "plugin remove", &[]),
    // The last one may go although it serves.
    case(&["plugin", "remove", ID, "0.2.0"], 0, "plugin remove", &[]),
];

/// Runs a command with JSON for its output, which has to be what is published.
fn json(site: &Site, args: &[&str], code: i32, schema: &str) -> Value {
    let mut all = args.to_vec();
    all.extend(["--output", "json"]);
    let ran: Ran = site.run(&all);
    assert_eq!(
        ran.code,
        Some(code),
        "{args:?}\n{}\n{}",
        ran.stdout,
        ran.stderr
    );
    let text = if schema == "error" {
        // Stages and the like are told before.
        ran.stderr.lines().last().unwrap_or_default()
    } else {
        &ran.stdout
    };
    let value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{args:?}: {error}\n{ran:?}"));
    if let Err(error) = validator(schema).validate(&value) {
        panic!("{args:?}: {error} at {}\n{value:#}", error.instance_path);
    }
    value
}

fn check(site: &Site, case: &Case) {
    let value = json(site, case.args, case.code, case.schema);
    for (place, expected) in case.holds {
        let found = value.pointer(place).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{:?} at {place}: {value:#}", case.args);
    }
    if case.schema == "error" {
        assert_eq!(value["exit_code"], case.code, "{value:#}");
    }
}

/// Embedded, and against a server.
fn both() -> [Site; 2] {
    let embedded = Site::embedded();
    prepare(&embedded);
    let mut served = Site::embedded();
    prepare(&served);
    served.start();
    [embedded, served]
}

#[test]
fn a_life_is_the_same_embedded_and_against_a_server() {
    for site in both() {
        for case in &TABLE {
            check(&site, case);
        }
        let left = json(&site, &["plugin", "list"], 0, "plugin list");
        assert_eq!(left["installed"], Value::Array(Vec::new()), "{left:#}");
        let history = json(&site, &["plugin", "history", ID], 0, "plugin history");
        assert_eq!(
            history["items"][0]["cause"], "remove",
            "what was removed is kept"
        );
    }
}

#[test]
fn people_are_shown_what_is_wanted_and_how_to_grant_it() {
    let site = Site::embedded();
    prepare(&site);
    let ran = site
        .run(&["plugin", "install", "greeter-0.1.0.wasm"])
        .code(13);
    for words in [
        "greeter 0.1.0 (workflow-step)",
        "cofferdam:tool/tool: to greet with a program",
    ] {
        assert!(ran.stdout.contains(words), "{words} in {}", ran.stdout);
    }
    ran.says(&[
        "wants what it was not granted: cofferdam:tool/tool",
        "cofferdam plugin install greeter-0.1.0.wasm --grant",
        "[plugins.greeter.grants.tool.sh]",
    ]);
    // The lines that were said, narrowed by nothing, grant it.
    let (_, lines) = ran.stderr.split_once("narrowed:\n").unwrap();
    let configuration = fs::read_to_string(site.path("cofferdam.toml")).unwrap();
    site.write("cofferdam.toml", &format!("{configuration}\n{lines}"));
    let ran = site
        .run(&["plugin", "install", "greeter-0.1.0.wasm", "--activate"])
        .code(0);
    assert!(
        ran.stdout.contains("all of it is granted"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("greeter 0.1.0 serves"),
        "{}",
        ran.stdout
    );
    let mut told = ran.stderr.lines();
    for stage in [
        "verify",
        "compile",
        "compare",
        "self-test",
        "publish",
        "drain",
        "retire",
    ] {
        let line = format!("{stage}: passed");
        assert!(
            told.any(|told| told.starts_with(&line)),
            "{line} in order in {}",
            ran.stderr
        );
    }

    // The configuration grants it no more: it cannot serve, and that is to be seen.
    site.write("cofferdam.toml", &configuration);
    let list = site.run(&["plugin", "list"]).code(0).stdout;
    let line = list.lines().find(|line| line.starts_with("greeter "));
    assert!(line.unwrap().contains("cannot be used"), "{list}");
    assert!(list.contains("greeter: "), "{list}");
    // The same file again, granted otherwise.
    let again = ["plugin", "install", "greeter-0.1.0.wasm", "--grant"];
    let ran = site.run(&again).code(0);
    assert!(!ran.stdout.contains("does not serve yet"), "{}", ran.stdout);

    let ran = site
        .run(&["plugin", "install", "greeter-0.3.0.wasm"])
        .code(13);
    for words in ["compared with 0.1.0, which serves", "~ cofferdam:tool/tool"] {
        assert!(ran.stdout.contains(words), "{words} in {}", ran.stdout);
    }
    let ran = site
        .run(&["plugin", "install", "greeter-0.4.0.wasm", "--activate"])
        .code(14);
    ran.says(&["self-test: failed", "0.1.0 serves as before"]);
    let list = site.run(&["plugin", "list", "--versions"]).code(0).stdout;
    let words =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    let rows: Vec<Vec<String>> = list.lines().map(words).collect();
    let has = |begin: &[&str], word: &str| {
        rows.iter().any(|row| {
            row.starts_with(&begin.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
                && row.iter().any(|found| found == word)
        })
    };
    assert!(has(&["workflow-step", ID, "0.1.0"], "installed"), "{list}");
    assert!(has(&[ID, "0.1.0"], "serves"), "{list}");
    assert!(has(&[ID, "0.4.0"], "kept"), "{list}");
}

/// Runs a command on a terminal of its own (`script` of util-linux makes one), where this is
/// typed.
fn at_terminal(site: &Site, args: &[&str], typed: &str) -> Ran {
    let inner = site.command(args);
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let line: Vec<String> = std::iter::once(inner.get_program())
        .chain(inner.get_args())
        .map(quoted)
        .collect();
    let mut command = Command::new("script");
    command
        .args(["-q", "-e", "-c", &line.join(" "), "/dev/null"])
        .current_dir(site.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn somebody_at_a_terminal_is_asked() {
    let site = Site::embedded();
    prepare(&site);
    let install = ["plugin", "install", "greeter-0.1.0.wasm"];
    let ran = at_terminal(&site, &install, "perhaps\nn\n").code(13);
    assert_eq!(
        ran.stdout
            .matches("grant what is missing and install?")
            .count(),
        2
    );
    let list = json(&site, &["plugin", "list"], 0, "plugin list");
    assert_eq!(list["installed"], Value::Array(Vec::new()));
    let ran = at_terminal(&site, &install, "y\n").code(0);
    assert!(
        ran.stdout.contains("installed greeter 0.1.0"),
        "{}",
        ran.stdout
    );
    // Nothing is to be granted, and it is asked all the same.
    let install = ["plugin", "install", "greeter-0.6.0.wasm", "--activate"];
    let ran = at_terminal(&site, &install, "n\n").code(3);
    assert!(
        ran.stdout.contains("install and activate?"),
        "{}",
        ran.stdout
    );
    let mut yes = install.to_vec();
    yes.push("--yes");
    let ran = at_terminal(&site, &yes, "").code(0);
    assert!(!ran.stdout.contains("[y]es"), "{}", ran.stdout);
}

/// A run that waits for the file `go`, as a process of its own: embedded, it is the host of
/// the others.
fn slow(site: &Site) -> Child {
    let child = site
        .command(&["run", "slow.yaml", "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that came before it would be the host itself, and no run would go on there.
    wait_for("a host answers", || {
        UnixStream::connect(site.path("state/host.sock")).ok()
    });
    wait_for("the step is called", || {
        let list = json(site, &["plugin", "list"], 0, "plugin list");
        let calls = list["installed"][0]["versions"][0]["crash"]["calls"].as_u64();
        calls.filter(|calls| *calls > 0)
    });
    child
}

#[test]
fn a_run_ends_with_the_version_that_it_began_with() {
    for site in both() {
        let grant = [
            "plugin",
            "install",
            "greeter-0.1.0.wasm",
            "--grant",
            "--activate",
        ];
        json(&site, &grant, 0, "plugin install");
        let child = slow(&site);
        let swap = ["plugin", "install", "greeter-0.2.0.wasm", "--activate"];
        let swapped = json(&site, &swap, 0, "plugin install");
        assert_eq!(swapped["activation"]["outcome"], "active");
        // Its call goes on, and so does draining.
        assert_eq!(
            swapped["activation"]["finished"],
            Value::Null,
            "{swapped:#}"
        );
        let remove = ["plugin", "remove", ID, "0.1.0"];
        let refused = json(&site, &remove, 1, "error");
        assert_eq!(refused["code"], "conflict");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("run-"), "it names the run: {detail}");
        let list = json(&site, &["plugin", "list"], 0, "plugin list");
        let versions = list["installed"][0]["versions"].as_array().unwrap();
        let old = versions
            .iter()
            .find(|version| version["installed"]["version"] == "0.1.0");
        let pinning = old.unwrap()["pinned_by"][0].as_str().unwrap();
        assert!(detail.contains(pinning), "{detail}");

        site.write("go", "");
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let ended: Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!(ended["run"]["state"], "succeeded");
        let pinned = ended["plugins"][0]["digest"].as_str().unwrap();
        assert_eq!(pinned, sha256(&site.path("greeter-0.1.0.wasm")));
        json(&site, &remove, 0, "plugin remove");
        let next = json(&site, &["run", "slow.yaml"], 0, "run");
        assert_eq!(
            next["plugins"][0]["digest"].as_str().unwrap(),
            sha256(&site.path("greeter-0.2.0.wasm"))
        );
    }
}

#[test]
fn a_plugin_that_crashes_too_often_is_shown_and_its_runs_wait() {
    for site in both() {
        let install = ["plugin", "install", "greeter-0.5.0.wasm", "--activate"];
        json(&site, &install, 0, "plugin install");
        json(&site, &["run", "crash.yaml"], 6, "run");
        json(&site, &["run", "crash.yaml"], 8, "run");
        let waiting = json(&site, &["run", "crash.yaml"], 8, "run");
        let run = waiting["run"]["id"].as_str().unwrap();

        let list = json(&site, &["plugin", "list"], 0, "plugin list");
        let items = list["items"].as_array().unwrap();
        let greeter = items.iter().find(|plugin| plugin["id"] == ID).unwrap();
        assert_eq!(greeter["policy"]["policy"], "quarantine");
        assert_eq!(
            greeter["crash"]["quarantine"]["version"], "0.5.0",
            "{greeter:#}"
        );
        let waits = greeter["crash"]["waiting"].as_array().unwrap();
        assert!(waits.iter().any(|waits| waits == run), "{greeter:#}");
        let shown = site.run(&["plugin", "list"]).code(0).stdout;
        assert!(shown.contains("quarantined: "), "{shown}");

        // Another version takes over; the run that waits goes on only with its own.
        let install = ["plugin", "install", "greeter-0.6.0.wasm", "--activate"];
        json(&site, &install, 0, "plugin install");
        json(&site, &["run", "crash.yaml"], 0, "run");
        let released = json(&site, &["plugin", "release", ID], 0, "plugin release");
        assert_eq!(released["released"][0]["version"], "0.5.0");
    }
}

/// What `plugin watch` tells, line by line.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(site: &Site, folder: &Path) -> Self {
        let folder = folder.to_str().unwrap();
        let mut child = site
            .command(&["plugin", "watch", folder, "--interval", "50ms"])
            .args(["--output", "json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing told, which must be this.
    fn expect(&mut self, event: &str) -> Value {
        let line = self.lines.next().unwrap().unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        if let Err(error) = validator("plugin watch").validate(&value) {
            panic!("{error}: {value:#}");
        }
        assert_eq!(value["event"], event, "{value:#}");
        value
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn an_authors_folder_is_swapped_at_each_change() {
    for site in both() {
        let folder = site.path("author");
        fs::create_dir(&folder).unwrap();
        let source = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
        source(
            "plugin.toml",
            b"id = \"greeter\"\nversion = \"1.2.3\"\nsummary = \"greets\"\n\
              [build]\ncommand = [\"cp\", \"greeter.bin\", \"{output}\"]\n",
        );
        source("greeter.bin", &guest::step("", "", &[]));
        let mut watching = Watching::start(&site, &folder);
        let first = watching.expect("swapped");
        assert_eq!(first["plugin"], ID);
        assert!(first["version"].as_str().unwrap().starts_with("1.2.3-dev."));

        // What does not build, and what does not pass its self-test, changes nothing.
        source("greeter.bin", b"no component");
        assert_eq!(watching.expect("changed")["files"][0], "greeter.bin");
        watching.expect("failed");
        source(
            "greeter.bin",
            &guest::step("", "", &[("validate", "(unreachable)")]),
        );
        watching.expect("changed");
        let failed = watching.expect("failed");
        assert!(
            failed["reason"].as_str().unwrap().contains("self-test"),
            "{failed:#}"
        );
        let list = json(&site, &["plugin", "list"], 0, "plugin list");
        assert_eq!(list["installed"][0]["active"], first["version"]);

        source("notes.md", b"nothing that is built");
        watching.expect("changed");
        source(
            "greeter.bin",
            &guest::step("", "", &[("compensate", "(unreachable)")]),
        );
        let mut told = watching.expect_any();
        while told["event"] != "swapped" {
            told = watching.expect_any();
        }
        assert_ne!(told["version"], first["version"]);
        let list = json(&site, &["plugin", "list"], 0, "plugin list");
        assert_eq!(list["installed"][0]["active"], told["version"]);
        let versions = list["installed"][0]["versions"].as_array().unwrap();
        let has = |wanted: &Value| {
            versions
                .iter()
                .any(|v| v["installed"]["version"] == *wanted)
        };
        assert!(
            !has(&first["version"]),
            "what served before is tidied away: {list:#}"
        );
    }
}

impl Watching {
    fn expect_any(&mut self) -> Value {
        let line = self.lines.next().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

#[test]
fn watching_what_is_no_plugins_folder_says_so() {
    let site = Site::embedded();
    let mut command = site.command(&["plugin", "watch", "."]);
    run(&mut command).code(1).says(&["has no plugin.toml"]);
    let mut command = site.command(&["plugin", "watch", ".", "--interval", "never"]);
    run(&mut command).code(1).says(&["no duration"]);
}
