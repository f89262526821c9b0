//! A planted secret, given to a step that says it wherever it can, is nowhere to be found:
//! not in logs, not in any answer of the API, not in what commands print, and not in a
//! single byte of the state folder.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_tests::server::{Answer, Server};
use cofferdam_tests::{cofferdam, run, test_plugin};
use serde_json::json;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Characters that each form of it escapes in another way.
const CANARY: &str = "c4nary/va1ue+9f\"3b\\7e k";

/// Everything but what the compiler says of each instruction.
const LOG: &str = "debug,cofferdam=trace,hyper=trace,axum=trace,wasmtime=info,cranelift=info";

/// Every form that is looked for.
fn forms() -> Vec<(&'static str, Vec<u8>)> {
    let quoted = json!(CANARY).to_string();
    let mut forms = vec![
        ("plain", CANARY.as_bytes().to_vec()),
        ("JSON", quoted.as_bytes()[1..quoted.len() - 1].to_vec()),
        ("hex", hex::encode(CANARY).into_bytes()),
        ("HEX", hex::encode_upper(CANARY).into_bytes()),
    ];
    for before in 0..3 {
        let text = base64(&[vec![0; before], CANARY.as_bytes().to_vec()].concat());
        // What its neighbours share in is left out.
        let (first, last) = ((before * 8).div_ceil(6), (before + CANARY.len()) * 8 / 6);
        forms.push(("base64", text.as_bytes()[first..last].to_vec()));
    }
    // A part that no accident makes, in case a form is cut in two.
    forms.push(("a half", CANARY.as_bytes()[..12].to_vec()));
    forms.push(("the other half", CANARY.as_bytes()[12..].to_vec()));
    forms
}

/// RFC 4648 §4 without padding, written out here so that the test does not share code with
/// what it tests.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_usize;
        for place in 0..3 {
            bits = bits << 8 | usize::from(group.get(place).copied().unwrap_or(0));
        }
        for place in 0..=group.len() {
            text.push(char::from(DIGITS[bits >> (18 - 6 * place) & 63]));
        }
    }
    text
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Where the canary was found.
#[derive(Default)]
struct Search {
    looked_at: usize,
    found: Vec<String>,
}

impl Search {
    fn look(&mut self, place: &str, bytes: &[u8]) {
        self.looked_at += 1;
        for (form, part) in forms() {
            if has(bytes, &part) {
                self.found.push(format!("{place}: {form}"));
            }
        }
    }

    fn look_below(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.look_below(&path);
            } else if path.is_file() {
                self.look(&path.display().to_string(), &fs::read(&path).unwrap());
            }
        }
    }

    fn end(self, least: usize) {
        assert!(self.found.is_empty(), "found in\n{}", self.found.join("\n"));
        assert!(self.looked_at >= least, "only {} places", self.looked_at);
    }
}

fn workflow(fail: bool) -> String {
    format!(
        "name: canary\nsteps:\n  - id: say\n    uses: indiscreet\n    with: {{ secret: canary, fail: {fail} }}\n  - id: again\n    uses: indiscreet\n    with: {{ secret: canary }}\n    needs: [say]\n    if: \"steps.say.outputs.length > 0\"\n"
    )
}

/// A folder with the configuration, and the secret set as people do it.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("plugins");
    fs::create_dir(&own).unwrap();
    std::os::unix::fs::symlink(test_plugin("indiscreet"), own.join("indiscreet.wasm")).unwrap();
    fs::write(
        folder.path().join("cofferdam.toml"),
        "[plugins.indiscreet.grants.secrets]\nnames = ['canary']\n\
         [plugins.indiscreet.grants.tool.sh]\nprogram = 'sh'\narguments = ['(?s).*']\n",
    )
    .unwrap();
    let mut set = command(folder.path(), &["secret", "set", "canary"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = set.stdin.take().unwrap();
    input.write_all(CANARY.as_bytes()).unwrap();
    drop(input);
    assert!(set.wait().unwrap().success());
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = cofferdam(folder, arguments);
    command
        .env("COFFERDAM_PLUGINS", folder.join("plugins"))
        .args(["--state", "state"]);
    command
}

/// Every `GET` of the document with what the runs made filled in.
fn every_get(server: &Server, run: &str) -> Vec<(String, Answer)> {
    let document = server.get("/openapi.json", &[]).json();
    let mut answers = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if methods.get("get").is_none() || path.ends_with("/ws") || path.ends_with("/events") {
            continue;
        }
        let path = path
            .replace("{run}", run)
            .replace("{plugin}", "indiscreet")
            .replace("{activation}", "activation-none")
            .replace("{name}", "none")
            .replace("{user}", "admin")
            .replace("{workflow}", "canary");
        assert!(!path.contains('{'), "{path}: fill it in");
        answers.push((path.clone(), server.get(&path, &[])));
    }
    answers
}

/// What one host does with the canary; `format` is that of its log.
fn a_host_keeps_it(format: &str) {
    let folder = prepared();
    let own = folder.path().join("plugins");
    let server = Server::start(
        folder.path(),
        &[
            "--plugins",
            own.to_str().unwrap(),
            "--log",
            LOG,
            "--log-format",
            format,
        ],
    );
    let mut search = Search::default();
    for fail in [false, true] {
        let run = server.run(&workflow(fail), &[]);
        let state = if fail { "failed" } else { "succeeded" };
        assert_eq!(run["run"]["state"], state, "{run}");
        let text = run.to_string();
        // It was there: the step knew its length, and so did the program.
        if !fail {
            assert!(text.contains(&format!("length {}", CANARY.len())), "{text}");
            assert!(text.contains("user:") || text.contains("***"), "{text}");
        }
        let id = run["run"]["id"].as_str().unwrap();
        let answers = every_get(&server, id);
        assert!(answers.len() > 15, "{answers:?}");
        for (path, answer) in answers {
            assert!(answer.status < 500, "{path}: {}", answer.whole);
            search.look(&path, answer.whole.as_bytes());
        }
        let events = format!("/api/v1/runs/{id}/events?after=0");
        let stream = server.listen(&events, Duration::from_secs(2));
        assert!(stream.contains("step."), "{stream}");
        search.look(&events, stream.as_bytes());
        for arguments in [
            &["runs", "show", id][..],
            &["runs", "logs", id],
            &["runs", "list"],
            &["secret", "list"],
            &["audit"],
        ] {
            for output in ["text", "json"] {
                let mut shown = command(folder.path(), arguments);
                let ran = run_command(shown.args(["--output", output]));
                search.look(&arguments.join(" "), ran.as_bytes());
            }
        }
    }
    let log = server.log();
    assert!(log.contains("indiscreet"), "{log}");
    search.look("the log", log.as_bytes());
    search.look_below(&folder.path().join("state"));
    let token = server.token().to_owned();
    server.stop();
    search.look_below(&folder.path().join("state"));
    search.look(
        "the log",
        fs::read(folder.path().join("serve.log"))
            .unwrap()
            .as_slice(),
    );
    search.end(60);

    // The same for the token, which is in the file that was asked for and nowhere else.
    let secret = token.rsplit('_').next().unwrap().as_bytes().to_vec();
    assert!(!has(
        &fs::read(folder.path().join("serve.log")).unwrap(),
        &secret
    ));
    let mut folders = vec![folder.path().join("state")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                assert!(
                    !has(&fs::read(&path).unwrap(), &secret),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

fn run_command(command: &mut Command) -> String {
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn a_host_that_logs_text_keeps_the_secret() {
    a_host_keeps_it("text");
}

#[test]
fn a_host_that_logs_json_keeps_the_secret() {
    a_host_keeps_it("json");
}

/// The commands embed a host of their own; so does everything that they print.
#[test]
fn a_command_that_is_its_own_host_keeps_the_secret() {
    let folder = prepared();
    let mut search = Search::default();
    for fail in [false, true] {
        let file = folder.path().join("canary.yaml");
        fs::write(&file, workflow(fail)).unwrap();
        for output in ["text", "json"] {
            let ran = run(
                command(folder.path(), &["run", "canary.yaml", "--log", LOG])
                    .args(["--output", output]),
            );
            assert_eq!(ran.code == Some(0), !fail, "{}{}", ran.stdout, ran.stderr);
            search.look("run", ran.stdout.as_bytes());
            search.look("run", ran.stderr.as_bytes());
        }
    }
    search.look_below(&folder.path().join("state"));
    search.end(15);
}

#[test]
fn the_search_finds_what_is_there() {
    for (form, part) in forms() {
        let mut search = Search::default();
        search.look(
            "here",
            &[b"before ".to_vec(), part, b" after".to_vec()].concat(),
        );
        assert!(!search.found.is_empty(), "{form}");
    }
    assert_eq!(base64(b"user:pass"), "dXNlcjpwYXNz");
    assert_eq!(base64(b"ab"), "YWI");
}
