//! `trust: none` in the program that people run: a component that tries more than its step
//! names gets none of it, and a workflow that asks for too much does not begin.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_tests::{Ran, cofferdam, run, test_plugin};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers every request, and counts them; its port.
fn serve() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    (port, count)
}

/// A folder with the courier, its grants and a secret.
fn prepared(port: u16) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let component = test_plugin("courier").canonicalize().unwrap();
    std::os::unix::fs::symlink(component, plugins.join("courier.wasm")).unwrap();
    let grants = format!(
        "[plugins.courier.grants.http]\nhosts = ['127.0.0.1']\nschemes = ['http']\nports = [{port}]\n\
         [plugins.courier.grants.secrets]\nnames = ['courier-*']\n\
         [plugins.courier.grants.tool.true]\nprogram = 'true'\n"
    );
    fs::write(folder.path().join("cofferdam.toml"), grants).unwrap();
    let mut set = cofferdam(folder.path(), &["secret", "set", "courier-key"])
        .env("COFFERDAM_PLUGINS", &plugins)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    set.stdin
        .take()
        .unwrap()
        .write_all(b"hidden value")
        .unwrap();
    assert!(set.wait().unwrap().success());
    folder
}

/// One step with these keys more, which tries a request, a secret and a program.
fn tried(folder: &Path, port: u16, keys: &str) -> Ran {
    let workflow = format!(
        "name: try\nsteps:\n  - id: try\n    uses: courier\n    with:\n      requests: [{{ authority: '127.0.0.1:{port}', path: /open }}]\n      secret: courier-key\n      program: 'true'\n{keys}outputs: {{ all: '${{{{ steps.try.outputs }}}}' }}\n"
    );
    fs::write(folder.join("try.yaml"), workflow).unwrap();
    let mut command = cofferdam(folder, &["run", "try.yaml", "--output", "json"]);
    run(command.env("COFFERDAM_PLUGINS", folder.join("plugins")))
}

fn outputs(ran: Ran) -> Value {
    let shown = ran.code(0).stdout;
    let last: Value = shown
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok())
        .or_else(|| serde_json::from_str(&shown).ok())
        .unwrap_or_else(|| panic!("{shown}"));
    let found = ["/outputs/all", "/run/outputs/all"]
        .iter()
        .find_map(|place| last.pointer(place));
    found.unwrap_or_else(|| panic!("{last}")).clone()
}

#[test]
fn a_step_without_trust_gets_what_it_names_and_nothing_else() {
    let (port, count) = serve();
    let folder = prepared(port);
    let all = outputs(tried(folder.path(), port, ""));
    assert_eq!(all["answers"][0]["status"], 200, "{all}");
    assert_eq!(
        (all["secret"].as_str(), all["program"].as_str()),
        (Some("ok"), Some("ok"))
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);

    let all = outputs(tried(folder.path(), port, "    trust: none\n"));
    assert_eq!(
        all["answers"][0]["error"], "ErrorCode::HttpRequestDenied",
        "{all}"
    );
    for key in ["secret", "program"] {
        let said = all[key].as_str().unwrap();
        assert!(
            said.starts_with("Denied: the step try has `trust: none`"),
            "{said}"
        );
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);

    let named = "    trust: none\n    grants: { secrets: { names: [courier-key] } }\n";
    let all = outputs(tried(folder.path(), port, named));
    assert_eq!(all["secret"], "ok", "{all}");
    assert!(
        all["program"].as_str().unwrap().starts_with("Denied"),
        "{all}"
    );
    assert_eq!(all["answers"][0]["error"], "ErrorCode::HttpRequestDenied");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn what_cannot_be_narrowed_does_not_begin() {
    let (port, count) = serve();
    let folder = prepared(port);
    for (keys, words) in [
        (
            "    trust: none\n    grants: { secrets: { names: [other] } }\n",
            "`secrets` has \"other\", which was not granted",
        ),
        (
            "    trust: none\n    grants: { tool: { sh: {} } }\n",
            "`tool.sh` names a program that was not granted",
        ),
        (
            "    trust: none\n    grants: { http: { hosts: [example.org], schemes: [http] } }\n",
            "`hosts` has example.org",
        ),
        ("    grants: { tool: {} }\n", "only with `trust: none`"),
    ] {
        let ran = tried(folder.path(), port, keys);
        assert_ne!(ran.code, Some(0), "{keys}");
        let said = ran.stdout + &ran.stderr;
        assert!(
            said.contains(words) || said.contains(&words.replace('"', "\\\"")),
            "{said}"
        );
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);

    let native = "name: native\ninputs: { disk: { type: file } }\nsteps: [{ id: a, uses: migrate/plan, trust: none }]\n";
    fs::write(folder.path().join("native.yaml"), native).unwrap();
    let mut command = cofferdam(folder.path(), &["run", "native.yaml"]);
    let ran = run(command.env("COFFERDAM_PLUGINS", folder.path().join("plugins")));
    assert_ne!(ran.code, Some(0));
    ran.says(&["is part of the host"]);
}

#[test]
fn without_its_grants_the_lines_to_add_are_in_the_message() {
    let (port, _) = serve();
    let folder = prepared(port);
    fs::write(folder.path().join("cofferdam.toml"), "").unwrap();
    let ran = tried(folder.path(), port, "");
    assert_ne!(ran.code, Some(0));
    let said = ran.stdout + &ran.stderr;
    for words in [
        "[plugins.courier.grants.http]",
        "api.example.org",
        "[plugins.courier.grants.secrets]",
        "[plugins.courier.grants.tool.true]",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
}
