//! `cofferdam doctor`: each thing that can be wrong is found, said, and mended where it can
//! be; and looking changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_tests::site::Site;
use cofferdam_tests::{Ran, read_json, workspace};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

/// A site with a state folder, and a port that is free.
fn site() -> Site {
    let site = Site::embedded();
    let _ = site.run_with(&["secret", "set", "one"], "value\n").code(0);
    add(&site, "[server]\nlisten = [\"127.0.0.1:0\"]\n");
    site
}

fn add(site: &Site, lines: &str) {
    let file = site.path("cofferdam.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(file, format!("{lines}\n{text}")).unwrap();
}

fn mode(site: &Site, name: &str, mode: u32) {
    fs::set_permissions(site.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn doctor(site: &Site, args: &[&str]) -> Ran {
    let mut all = vec!["doctor", "--output", "json"];
    all.extend(args);
    let ran = site.run(&all);
    let schema = read_json(&workspace().join("docs/cli-output.schema.json"));
    let schema = schema["$defs"]["doctor"].clone();
    if let Err(error) = jsonschema::validator_for(&schema)
        .unwrap()
        .validate(&ran.json())
    {
        panic!("{error} at {}\n{}", error.instance_path, ran.stdout);
    }
    ran
}

/// The findings but for those that are the machine's own: how much room it has.
fn findings(ran: &Ran) -> Vec<Value> {
    let all = ran.json()["findings"].as_array().unwrap().clone();
    let own = ["disk space", "address space"].map(Value::from);
    all.into_iter()
        .filter(|found| !own.contains(&found["check"]))
        .collect()
}

struct Case {
    name: &'static str,
    /// Makes it wrong; what is returned is kept while the doctor looks.
    spoil: fn(&Site) -> Option<TcpListener>,
    check: &'static str,
    severity: &'static str,
    says: &'static str,
    mends: bool,
}

const CASES: [Case; 17] = [
    Case {
        name: "a key that is gone",
        spoil: |site| {
            fs::remove_file(site.path("state/secret.key")).unwrap();
            None
        },
        check: "secret key",
        severity: "problem",
        says: "1 secrets are encrypted with it",
        mends: false,
    },
    Case {
        name: "another key",
        spoil: |site| {
            fs::write(site.path("state/secret.key"), [7; 32]).unwrap();
            None
        },
        check: "secret key",
        severity: "problem",
        says: "bring the right key file back",
        mends: false,
    },
    Case {
        name: "an empty database",
        spoil: |site| {
            fs::write(site.path("state/cofferdam.db"), b"").unwrap();
            None
        },
        check: "database",
        severity: "problem",
        says: "it is empty",
        mends: false,
    },
    Case {
        name: "a database that is gone",
        spoil: |site| {
            fs::remove_file(site.path("state/cofferdam.db")).unwrap();
            None
        },
        check: "database",
        severity: "problem",
        says: "it is not there",
        mends: false,
    },
    Case {
        name: "a server that nobody can reach",
        spoil: |site| {
            add(site, "[client]\nserver = \"http://127.0.0.1:9\"\n");
            None
        },
        check: "client",
        severity: "problem",
        says: "127.0.0.1:9",
        mends: false,
    },
    Case {
        name: "a token file that is gone",
        spoil: |site| {
            add(site, "[client]\ntoken-file = \"/no/such/token\"\n");
            None
        },
        check: "client",
        severity: "problem",
        says: "/no/such/token",
        mends: false,
    },
    Case {
        name: "a state folder that others can enter",
        spoil: |site| {
            mode(site, "state", 0o755);
            None
        },
        check: "state folder",
        severity: "problem",
        says: "mode 0755",
        mends: true,
    },
    Case {
        name: "a key that others can read",
        spoil: |site| {
            mode(site, "state/secret.key", 0o644);
            None
        },
        check: "secret key",
        severity: "problem",
        says: "mode 0644",
        mends: true,
    },
    Case {
        name: "a key of the wrong length",
        spoil: |site| {
            fs::write(site.path("state/secret.key"), b"short").unwrap();
            None
        },
        check: "secret key",
        severity: "problem",
        says: "5 bytes",
        mends: false,
    },
    Case {
        name: "a database that is none",
        spoil: |site| {
            fs::write(site.path("state/cofferdam.db"), [b'x'; 8192]).unwrap();
            None
        },
        check: "database",
        severity: "problem",
        says: "cofferdam.db",
        mends: false,
    },
    Case {
        name: "a socket of a host that was killed",
        spoil: |site| {
            drop(UnixListener::bind(site.path("state/host.sock")).unwrap());
            None
        },
        check: "host",
        severity: "warning",
        says: "left of a host",
        mends: true,
    },
    Case {
        name: "a file that is no plugin",
        spoil: |site| {
            fs::write(site.path("plugins/odd.wasm"), b"not wasm").unwrap();
            None
        },
        check: "plugins",
        severity: "problem",
        says: "odd.wasm",
        mends: false,
    },
    Case {
        name: "a plugin without the grant that it needs",
        spoil: |site| {
            fs::write(
                site.path("cofferdam.toml"),
                "[server]\nlisten = [\"127.0.0.1:0\"]\n",
            )
            .unwrap();
            None
        },
        check: "plugins",
        severity: "problem",
        says: "[plugins.command.grants.tool.echo]",
        mends: false,
    },
    Case {
        name: "a granted program that is not there",
        spoil: |site| {
            let file = site.path("cofferdam.toml");
            let text = fs::read_to_string(&file).unwrap();
            let text = text.replace("program = \"sh\"", "program = \"no-such-program\"");
            fs::write(file, text).unwrap();
            None
        },
        check: "grants",
        severity: "problem",
        says: "no-such-program",
        mends: false,
    },
    Case {
        name: "settings for a plugin that is not there",
        spoil: |site| {
            add(site, "[plugins.comand.settings]\nx = 1");
            None
        },
        check: "grants",
        severity: "warning",
        says: "[plugins.comand]",
        mends: false,
    },
    Case {
        name: "a port that is taken",
        spoil: |site| {
            let taken = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = taken.local_addr().unwrap().to_string();
            let file = site.path("cofferdam.toml");
            let text = fs::read_to_string(&file).unwrap();
            fs::write(file, text.replace("127.0.0.1:0", &address)).unwrap();
            Some(taken)
        },
        check: "server",
        severity: "problem",
        says: "cannot listen on 127.0.0.1:",
        mends: false,
    },
    Case {
        name: "a key that nobody knows",
        spoil: |site| {
            add(site, "plugin-folder = []");
            None
        },
        check: "configuration",
        severity: "problem",
        says: "did you mean \"plugin-folders\"?",
        mends: false,
    },
];

#[test]
fn a_site_as_it_should_be_gives_no_findings() {
    let ran = doctor(&site(), &[]);
    assert_eq!(findings(&ran), Vec::<Value>::new());
}

#[test]
fn each_thing_that_is_wrong_is_found_and_mended_where_it_can_be() {
    for case in &CASES {
        let site = site();
        let kept = (case.spoil)(&site);
        for args in [&[][..], &["--dry-run"]] {
            let ran = doctor(&site, args);
            let found = findings(&ran);
            let one = found
                .iter()
                .find(|found| found["check"] == case.check)
                .unwrap_or_else(|| panic!("{}: {found:#?}", case.name));
            assert_eq!(one["severity"], case.severity, "{}", case.name);
            let message = one["message"].as_str().unwrap();
            assert!(message.contains(case.says), "{}: {message}", case.name);
            assert_eq!(one.get("fix").is_some(), case.mends, "{}", case.name);
            if case.severity == "problem" {
                assert_eq!(ran.code, Some(1), "{}", case.name);
            }
        }
        let after = doctor(&site, &["--fix"]);
        let still = findings(&after)
            .iter()
            .any(|found| found["check"] == case.check);
        assert_eq!(still, !case.mends, "{}: {}", case.name, after.stdout);
        let fixed = after.json()["fixed"].as_array().unwrap().len();
        assert_eq!(fixed > 0, case.mends, "{}", case.name);
        drop(kept);
    }
}

#[test]
fn looking_changes_nothing() {
    let site = Site::embedded();
    let _ = doctor(&site, &[]);
    let _ = doctor(&site, &["--dry-run"]);
    assert!(!site.path("state").exists());
    let _ = doctor(&site, &["--fix"]);
    let made = fs::metadata(site.path("state")).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o700);
}
