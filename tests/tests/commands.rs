//! The same commands, embedded and against a server: the same answers, the same ends.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_tests::site::Site;
use serde_json::{Map, Value};

/// Two steps that succeed.
const GREET: &str = r#"name: greet
inputs:
  who: {type: string, default: world}
steps:
  - id: hello
    uses: command
    with: {tool: sh, args: ["-c", "echo hello ${{ inputs.who }}"]}
  - id: after
    uses: command
    needs: [hello]
    with: {tool: sh, args: ["-c", "true"]}
outputs: {exit: "${{ steps.hello.outputs.exit }}"}
"#;

/// A step that waits for approval.
const GATED: &str = r#"name: gated
steps:
  - id: deploy
    uses: command
    with: {tool: sh, args: ["-c", "true"]}
    approval: {message: "look twice"}
"#;

/// A step that fails.
const FAILING: &str = r#"name: failing
steps:
  - id: fails
    uses: command
    with: {tool: sh, args: ["-c", "exit 3"]}
"#;

/// One command of the table.
struct Case {
    args: &'static [&'static str],
    input: &'static str,
    code: i32,
    /// The command's name in the published schemas; errors have their own.
    schema: &'static str,
}

const fn case(args: &'static [&'static str], code: i32, schema: &'static str) -> Case {
    Case {
        args,
        input: "",
        code,
        schema,
    }
}

const TABLE: [Case; 46] = [
    case(&["runs", "list"], 0, "runs list"),
    case(&["runs", "show", "last"], 1, "error"),
    case(&["runs", "show", "run-nothing"], 1, "error"),
    case(
        &["workflow", "validate", "greet.yaml"],
        0,
        "workflow validate",
    ),
    case(&["workflow", "validate", "wrong.yaml"], 1, "error"),
    case(
        &["workflow", "validate", "greet.yaml", "-i", "woh=x"],
        1,
        "error",
    ),
    case(&["workflow", "save", "greet.yaml"], 0, "workflow save"),
    case(&["workflow", "list"], 0, "workflow list"),
    case(&["run", "greet", "--dry-run"], 0, "run --dry-run"),
    case(
        &["run", "greet", "-i", "who=you", "--label", "a=b"],
        0,
        "run",
    ),
    case(&["runs", "show", "last"], 0, "runs show"),
    case(&["runs", "watch", "last"], 0, "runs watch"),
    case(&["runs", "retry", "last"], 1, "error"),
    case(&["runs", "logs", "last"], 0, "runs logs"),
    case(&["run", "nothing"], 1, "error"),
    case(&["run", "failing.yaml"], 6, "run"),
    case(&["runs", "watch", "last"], 6, "runs watch"),
    case(&["runs", "retry", "last"], 6, "runs retry"),
    case(&["runs", "approve", "last"], 1, "error"),
    case(&["run", "gated.yaml"], 7, "run"),
    case(&["runs", "watch", "last", "--no-wait"], 7, "runs watch"),
    case(&["runs", "approve", "last", "--step", "other"], 1, "error"),
    case(&["runs", "approve", "last", "--digest", WRONG], 1, "error"),
    case(
        &["runs", "approve", "last", "--comment", "fine"],
        0,
        "runs approve",
    ),
    case(&["run", "gated.yaml", "--no-wait"], 7, "run"),
    case(
        &["runs", "reject", "last", "--comment", "no"],
        6,
        "runs reject",
    ),
    case(&["run", "gated.yaml", "--no-wait"], 7, "run"),
    case(
        &["runs", "cancel", "last", "--reason", "changed my mind"],
        0,
        "runs cancel",
    ),
    case(&["run", "gated.yaml", "--yes"], 0, "run"),
    case(
        &["runs", "list", "--state", "succeeded", "--limit", "2"],
        0,
        "runs list",
    ),
    Case {
        args: &["secret", "set", "db-password"],
        input: "hunter2 hunter2\n",
        code: 0,
        schema: "secret set",
    },
    Case {
        args: &["secret", "set", "db-password"],
        input: "",
        code: 1,
        schema: "error",
    },
    case(&["secret", "list"], 0, "secret list"),
    case(&["secret", "remove", "db-password"], 0, "secret remove"),
    case(&["secret", "remove", "db-password"], 1, "error"),
    case(&["user", "add", "anna", "--role", "read"], 0, "user add"),
    case(&["user", "add", "anna"], 1, "error"),
    case(
        &["user", "role", "anna", "deploy", "--project", "other"],
        0,
        "user role",
    ),
    case(&["user", "list"], 0, "user list"),
    case(
        &[
            "token",
            "create",
            "--user",
            "anna",
            "--label",
            "laptop",
            "--expires",
            "30d",
        ],
        0,
        "token create",
    ),
    case(&["token", "create", "--user", "nobody"], 1, "error"),
    case(&["token", "list"], 0, "token list"),
    case(
        &[
            "grant", "create", "anna", "admin", "--for", "2h", "--reason", "incident",
        ],
        0,
        "grant create",
    ),
    case(&["grant", "list"], 0, "grant list"),
    case(&["audit", "--action", "run.start"], 0, "audit"),
    case(&["user", "remove", "anna"], 0, "user remove"),
];

const WRONG: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn prepare(site: &Site) {
    site.write("greet.yaml", GREET);
    site.write("gated.yaml", GATED);
    site.write("failing.yaml", FAILING);
    site.write("wrong.yaml", &GREET.replace("needs", "neeeds"));
}

/// The value without what is another at every run: ids, times, the folder, who asked how.
fn normal(value: Value, folder: &str) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| {
                    let value = match name.as_str() {
                        "id" if value.is_number() => Value::from(0),
                        "via" | "address" | "secret" | "succeeded_event" => Value::Null,
                        _ => normal(value, folder),
                    };
                    (name, value)
                })
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                // A server makes the first admin, an embedded host needs none.
                .filter(|item| item["name"] != "admin" && item["label"] != "first start")
                .map(|item| normal(item, folder))
                .collect(),
        ),
        Value::String(text) => Value::String(without_ids(&text.replace(folder, "FOLDER"))),
        other => other,
    }
}

fn without_ids(text: &str) -> String {
    let is_time = text.len() >= 20 && text.ends_with('Z') && text.get(10..11) == Some("T");
    if is_time {
        return "TIME".to_owned();
    }
    let mut text = text.to_owned();
    for prefix in ["run-", "tok-", "grt-"] {
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| rest.find(prefix)) {
            let begin = from + at + prefix.len();
            let length = text[begin..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric())
                .count();
            if length == 26 {
                text.replace_range(begin..begin + length, "ID");
            }
            from = begin;
        }
    }
    text
}

fn outcome(site: &Site, case: &Case) -> Value {
    let mut args = case.args.to_vec();
    args.extend(["--output", "json"]);
    let ran = site.run_with(&args, case.input);
    assert_eq!(
        ran.code,
        Some(case.code),
        "{:?}\n{}\n{}",
        case.args,
        ran.stdout,
        ran.stderr
    );
    assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"));
    normal(ran.printed(case.schema), site.folder().to_str().unwrap())
}

#[test]
fn every_command_is_the_same_embedded_and_against_a_server() {
    let (embedded, served) = (Site::embedded(), Site::served());
    prepare(&embedded);
    prepare(&served);
    for case in &TABLE {
        let (here, there) = (outcome(&embedded, case), outcome(&served, case));
        assert_eq!(here, there, "{:?}: embedded left, server right", case.args);
    }
}

#[test]
fn a_line_that_is_not_understood_is_said_to_programs_too() {
    let site = Site::embedded();
    for args in [
        &["runs", "lst", "--output", "json"][..],
        &["--output=json", "run"],
        &["--output", "json", "--no-such"],
    ] {
        let problem = site.run(args).code(2).problem();
        assert_eq!(problem["code"], "invalid", "{problem:#}");
    }
    let ran = site.run(&["runs", "lst"]).code(2);
    ran.says(&["error: unrecognized subcommand 'lst'"]);
    let help = site.run(&["runs", "--help", "--output", "json"]).code(0);
    assert!(help.stdout.contains("Usage:"), "{}", help.stdout);
}

#[test]
fn people_read_text_and_secrets_are_never_echoed() {
    let site = Site::embedded();
    prepare(&site);
    let ran = site.run(&["run", "greet.yaml"]).code(0);
    assert!(ran.stdout.contains("succeeded"), "{}", ran.stdout);
    assert!(ran.stdout.contains("output exit = 0"), "{}", ran.stdout);
    ran.says(&["hello: started", "hello: succeeded", "after: succeeded"]);
    assert!(
        !ran.stderr.contains('\u{1b}'),
        "a pipe gets plain lines: {}",
        ran.stderr
    );

    site.write(
        "wrong.yaml",
        "name: wrong\nsteps:\n  - {id: a, usez: command}\n",
    );
    for command in [
        &["run", "wrong.yaml"][..],
        &["workflow", "validate", "wrong.yaml"],
    ] {
        site.run(command).code(1).says(&["error: wrong.yaml:3:"]);
    }

    let ran = site.run(&["run", "failing.yaml"]).code(6);
    ran.says(&["fails: failed", "error: the run run-", "runs retry"]);
    let ran = site.run(&["run", "gated.yaml"]).code(7);
    ran.says(&["deploy: waits for approval", "runs approve"]);
    let shown = site.run(&["runs", "show", "last"]).code(0).stdout;
    for words in ["deploy waits for approval", "look twice", "digest "] {
        assert!(shown.contains(words), "{words} in {shown}");
    }

    let ran = site
        .run_with(&["secret", "set", "canary"], "canary-3b1d\n")
        .code(0);
    assert!(
        !ran.stdout.contains("3b1d") && !ran.stderr.contains("3b1d"),
        "{ran:?}"
    );
    let database = std::fs::read(site.path("state/cofferdam.db")).unwrap();
    assert!(!database.windows(11).any(|bytes| bytes == b"canary-3b1d"));
}

#[test]
fn a_server_that_is_away_or_says_no_has_its_own_exit_codes() {
    let mut site = Site::served();
    let wrong = |site: &Site| {
        let mut command = site.command(&["runs", "list"]);
        command.env("COFFERDAM_TOKEN", "cof_nothing_nothing");
        cofferdam_tests::run(&mut command)
    };
    wrong(&site).code(11).says(&["error: "]);
    let none = {
        let mut command = site.command(&["runs", "list", "--output", "json"]);
        command.env_remove("COFFERDAM_TOKEN");
        cofferdam_tests::run(&mut command).code(11)
    };
    let problem: Value = serde_json::from_str(none.stderr.trim()).unwrap();
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["exit_code"], 11);

    let url = site.server().0.to_owned();
    assert_eq!(
        site.stop(),
        Some(0),
        "a host that is asked to end ends well"
    );
    let mut command = site.local(&["runs", "list"]);
    command
        .env_remove("COFFERDAM_STATE")
        .env("COFFERDAM_SERVER", url);
    let ran = cofferdam_tests::run(&mut command).code(10);
    ran.says(&["cannot reach the server", "COFFERDAM_SERVER"]);
}

#[test]
fn commands_beside_a_host_are_its_clients() {
    let site = Site::served();
    prepare(&site);
    let ran = cofferdam_tests::run(&mut site.local(&["run", "greet.yaml", "--output", "json"]));
    let run = ran.code(0).json()["run"]["id"].clone();
    let there = site
        .run(&["runs", "show", run.as_str().unwrap(), "--output", "json"])
        .code(0)
        .json();
    assert_eq!(there["run"]["state"], "succeeded");
    let ran = cofferdam_tests::run(&mut site.local(&["serve", "--listen", "127.0.0.1:0"]));
    ran.code(1).says(&["another host has this state folder"]);
}

#[test]
fn commands_at_the_same_time_find_the_host_that_there_is() {
    let site = Site::embedded();
    prepare(&site);
    // Each is the host for a moment, or the client of one that is about to leave.
    std::thread::scope(|scope| {
        for commands in [
            ["run", "greet.yaml"].as_slice(),
            &["run", "greet.yaml"],
            &["runs", "list"],
            &["user", "list"],
        ] {
            let site = &site;
            scope.spawn(move || {
                for _ in 0..4 {
                    let ran = site.run(commands);
                    assert_eq!(ran.code, Some(0), "{commands:?}\n{}", ran.stderr);
                }
            });
        }
    });
    let list = site
        .run(&["runs", "list", "--output", "json"])
        .code(0)
        .json();
    assert_eq!(list["items"].as_array().unwrap().len(), 8);
    for run in list["items"].as_array().unwrap() {
        assert_eq!(run["state"], "succeeded", "{run}");
    }
}

/// A program that a killed host was just starting has its socket and its lock until it is
/// executed.
#[test]
fn what_is_left_of_a_killed_host_is_no_host() {
    let mut site = Site::served();
    site.kill();
    let socket = site.path("state/host.sock");
    std::fs::remove_file(&socket).ok();
    let listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let lock = std::fs::File::open(site.path("state/host.lock")).unwrap();
    lock.lock().unwrap();
    let left = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(2));
        drop((listens, lock));
    });
    site.start();
    left.join().unwrap();
}

#[test]
fn a_run_goes_on_with_the_next_host() {
    let mut site = Site::served();
    prepare(&site);
    site.write(
        "slow.yaml",
        "name: slow\nsteps:\n  - id: waits\n    uses: command\n    with: {tool: sh, args: [\"-c\", \"while [ ! -e FOLDER/go ]; do sleep 0.1; done\"]}\n"
            .replace("FOLDER", site.folder().to_str().unwrap())
            .as_str(),
    );
    let ran = site
        .run(&["run", "slow.yaml", "--detach", "--output", "json"])
        .code(0);
    let run = ran.json()["run"]["id"].as_str().unwrap().to_owned();
    site.kill();
    site.start();
    site.write("go", "");
    let ended = site
        .run(&["runs", "watch", &run, "--output", "json"])
        .code(0)
        .json();
    assert_eq!(ended["run"]["state"], "succeeded", "{ended:#}");
    assert!(
        ended["steps"][0]["attempt"].as_u64().unwrap() <= 2,
        "{ended:#}"
    );
}

#[test]
fn logs_can_be_followed_in_a_pipe() {
    let site = Site::served();
    prepare(&site);
    let ran = site
        .run(&["run", "greet.yaml", "--output", "json", "--detach"])
        .code(0);
    let run = ran.json()["run"]["id"].as_str().unwrap().to_owned();
    let followed = site
        .run(&["runs", "logs", &run, "--follow", "--output", "json"])
        .code(0);
    let all = site
        .run(&["runs", "logs", &run, "--output", "json"])
        .code(0)
        .json();
    let lines: Vec<Value> = followed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(Value::from(lines), all);
}

#[test]
fn a_backup_comes_back() {
    let site = Site::embedded();
    prepare(&site);
    let _ = site.run(&["run", "greet.yaml"]).code(0);
    let case = Case {
        args: &["backup", "copy.db"],
        input: "",
        code: 0,
        schema: "backup",
    };
    outcome(&site, &case);
    let _ = site.run(&["run", "greet.yaml"]).code(0);
    site.run(&["restore", "copy.db"])
        .code(1)
        .says(&["--replace"]);
    let case = Case {
        args: &["restore", "copy.db", "--replace"],
        input: "",
        code: 0,
        schema: "restore",
    };
    outcome(&site, &case);
    let runs = site
        .run(&["runs", "list", "--output", "json"])
        .code(0)
        .json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "{runs:#}");
}

/// A run that goes on until the file `go` is there, as a command of its own.
#[expect(clippy::zombie_processes, reason = "who asks for it waits for it")]
fn waiting(site: &Site) -> std::process::Child {
    let go = site.path("go");
    let text = format!(
        "name: slow\nsteps:\n  - id: waits\n    uses: command\n    with: {{tool: sh, args: [\"-c\", \"while [ ! -e {} ]; do sleep 0.1; done\"]}}\n",
        go.display()
    );
    site.write("slow.yaml", &text);
    let child = site
        .command(&["run", "slow.yaml"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    loop {
        let ran = site.run(&["runs", "show", "last", "--output", "json"]);
        if ran.code == Some(0) && ran.json()["steps"][0]["state"] == "running" {
            return child;
        }
        assert!(begun.elapsed().as_secs() < 120, "the step does not begin");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn signal(child: &std::process::Child, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, signal).unwrap();
}

#[test]
fn an_interrupt_cancels_the_run_and_says_so() {
    for site in [Site::embedded(), Site::served()] {
        let child = waiting(&site);
        signal(&child, rustix::process::Signal::INT);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains("cancelling; once more to leave"), "{said}");
        let shown = site
            .run(&["runs", "show", "last", "--output", "json"])
            .code(0)
            .json();
        assert_eq!(shown["run"]["state"], "cancelled", "{shown:#}");
    }
}

#[test]
fn a_terminated_command_leaves_a_run_that_goes_on_later() {
    let site = Site::embedded();
    let child = waiting(&site);
    signal(&child, rustix::process::Signal::TERM);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("runs watch"), "{said}");
    site.write("go", "");
    let ended = site
        .run(&["runs", "watch", "last", "--output", "json"])
        .code(0)
        .json();
    assert_eq!(ended["run"]["state"], "succeeded", "{ended:#}");
}

#[test]
fn a_server_with_a_certificate_is_trusted_where_it_is_named() {
    let names = vec!["127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(names).unwrap();
    let mut site = Site::embedded();
    site.write("cert.pem", &cert.pem());
    site.write("key.pem", &signing_key.serialize_pem());
    let ran = site.run(&["serve", "--listen", "0.0.0.0:0"]).code(1);
    ran.says(&["configure a certificate"]);
    site.start_with(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    assert!(site.server().0.starts_with("https://"));
    site.run(&["runs", "list"]).code(10).says(&["certificate"]);
    let _ = site.run(&["runs", "list", "--ca", "cert.pem"]).code(0);
}
