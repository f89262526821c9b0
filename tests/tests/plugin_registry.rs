//! `cofferdam plugin push`, `pull`, `search`, `keygen`, `sign` and `verify`, as people run them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use cofferdam_tests::registry::{PASSWORD, RegistryServer, USER, docker_config};
use cofferdam_tests::{Ran, cofferdam, plugins, run, sha256};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// A folder with a plugin and two pairs of keys, and a registry that its configuration names.
struct Desk {
    folder: tempfile::TempDir,
    registry: RegistryServer,
}

impl Desk {
    fn set(test: &str) -> Option<Self> {
        Some(Self::of(RegistryServer::start(test)?))
    }

    fn of(registry: RegistryServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Self { folder, registry };
        fs::copy(plugins().join("fstab.wasm"), desk.path("fstab.wasm")).unwrap();
        desk.configure("");
        for name in ["ann", "bob"] {
            let pair = desk.json("plugin keygen", &[name]);
            assert_eq!(pair["private_key"], format!("{name}.key"));
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration, with more beside the registry.
    fn configure(&self, more: &str) {
        let registry = self.registry.address();
        let text = format!("[registry]\nplain-http = [\"{registry}\"]\n{more}");
        fs::write(self.path("cofferdam.toml"), text).unwrap();
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address())
    }

    fn run(&self, command: &str, args: &[&str]) -> Ran {
        let mut all: Vec<&str> = command.split(' ').collect();
        all.extend(args);
        // Nobody's own credentials.
        run(cofferdam(self.folder.path(), &all).env("DOCKER_CONFIG", self.folder.path()))
    }

    /// What a command prints that succeeds, which has to be what is published.
    #[track_caller]
    fn json(&self, command: &str, args: &[&str]) -> Value {
        let args = [args, &["--output", "json"]].concat();
        self.run(command, &args).code(0).json_of(command)
    }

    /// What a command prints that fails, likewise.
    #[track_caller]
    fn problem(&self, command: &str, args: &[&str], code: i32) -> Value {
        let args = [args, &["--output", "json"]].concat();
        self.run(command, &args).code(code).problem()
    }
}

#[test]
fn a_plugin_goes_into_a_registry_and_comes_back() {
    let Some(desk) = Desk::set("a plugin goes into a registry and comes back") else {
        return;
    };
    // Without a tag it gets its version's.
    let pushed = desk.json("plugin push", &["fstab.wasm", &desk.at("acme/fstab")]);
    assert_eq!(
        (&pushed["id"], &pushed["kind"]),
        (&"fstab".into(), &"fixer".into())
    );
    let tagged = desk.at("acme/fstab:0.1.0");
    let pulled = desk.json("plugin pull", &[&tagged]);
    assert_eq!(pulled["file"], "fstab.wasm");
    assert_eq!(pulled["digest"], pushed["digest"]);
    let by_digest = pushed["reference"].as_str().unwrap();
    desk.json("plugin pull", &[by_digest, "-o", "again.wasm"]);
    for file in ["fstab.wasm", "again.wasm"] {
        assert_eq!(sha256(&desk.path(file)), pushed["component"], "{file}");
    }
    let found = desk.json("plugin search", &[&desk.at("acme"), "FSTAB"]);
    assert_eq!(found["items"][0]["reference"], tagged);
    assert_eq!(found["items"][0]["digest"], pushed["digest"]);
    let found = desk.json("plugin search", &[&desk.at("acme"), "nothing"]);
    assert_eq!(found["items"], Value::Array(Vec::new()));
    let text = desk
        .run("plugin search", &[desk.registry.address()])
        .code(0);
    assert!(text.stdout.contains("fstab 0.1.0: "), "{}", text.stdout);
}

#[test]
fn keys_are_for_their_owner_and_never_replaced() {
    let Some(desk) = Desk::set("keys are for their owner") else {
        return;
    };
    let mode = |name: &str| fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("ann.key"), 0o600);
    let before = fs::read(desk.path("ann.key")).unwrap();
    let problem = desk.problem("plugin keygen", &["ann"], 1);
    assert_eq!(problem["code"], "exists", "{problem}");
    assert_eq!(fs::read(desk.path("ann.key")).unwrap(), before);
    fs::remove_file(desk.path("ann.key")).unwrap();
    desk.problem("plugin keygen", &["ann"], 1);
    assert!(!desk.path("ann.key").exists(), "half a pair was left");
}

#[test]
fn who_has_to_have_signed_is_what_the_configuration_says() {
    let Some(desk) = Desk::set("who has to have signed") else {
        return;
    };
    let reference = desk.at("acme/fstab:0.1.0");
    desk.json("plugin push", &["fstab.wasm", &reference]);
    let verify = |code: i32, words: &[&str]| {
        let problem = desk.problem("plugin verify", &[&reference], code);
        let detail = problem["detail"].as_str().unwrap();
        for word in words {
            assert!(detail.contains(word), "{word} in {detail}");
        }
    };
    verify(16, &["no rule", "[[registry.sources]]"]);
    let keys = "[registry.keys]\nann = \"ann.pub\"\nbob = \"bob.pub\"\n";
    let rule = |require: &str| {
        let place = desk.at("acme");
        desk.configure(&format!(
            "{keys}[[registry.sources]]\nprefix = \"{place}\"\nrequire = {require}\n"
        ));
    };
    rule("{ all-of = [{ key = \"ann\" }, { key = \"bob\" }] }");
    verify(16, &["no signature", "all of (\"ann\", \"bob\")"]);
    let signed = desk.json("plugin sign", &[&reference, "--key", "ann.key"]);
    verify(16, &["all of", "by \"ann\""]);
    rule("{ any-of = [{ key = \"ann\" }, { key = \"bob\" }] }");
    let verified = desk.json("plugin verify", &[&reference]);
    assert_eq!(verified["signers"][0]["name"], "ann");
    assert_eq!(
        verified["signers"][0]["fingerprint"],
        signed["signers"][0]["fingerprint"]
    );
    rule("{ key = \"bob\" }");
    verify(16, &["needs \"bob\"", "by \"ann\""]);
    // A key on the command line is asked about instead.
    desk.json("plugin verify", &[&reference, "--key", "ann.pub"]);
    desk.problem("plugin verify", &[&reference, "--key", "bob.pub"], 16);
    desk.problem("plugin verify", &[&reference, "--key", "ann.key"], 1);
    rule("{ key = \"eve\" }");
    verify(1, &["registry.keys has no key \"eve\""]);
    rule("{ kye = \"ann\" }");
    desk.run("plugin verify", &[&reference])
        .code(1)
        .says(&["\"kye\"", "known are key, all-of"]);
    rule("{ key = \"ann\" }");
    // A change in what was signed is noticed although the signature is good.
    let component = sha256(&desk.path("fstab.wasm"));
    desk.registry.tamper(&format!("sha256:{component}"), 0);
    verify(16, &["the component of", "was changed"]);
}

#[test]
fn what_goes_wrong_is_named_and_nothing_is_written() {
    let Some(server) = RegistryServer::with_login("what goes wrong is named") else {
        return;
    };
    let desk = Desk::of(server);
    let address = desk.registry.address().to_owned();
    let reference = desk.at("acme/fstab:0.1.0");
    let pull = |code: i32, expected: &str| {
        let problem = desk.problem("plugin pull", &[&reference, "-o", "out.wasm"], code);
        assert_eq!(problem["code"], expected, "{problem}");
        assert!(!desk.path("out.wasm").exists());
    };
    pull(11, "denied");
    let problem = desk.problem("plugin push", &["fstab.wasm", &reference], 11);
    assert!(
        problem["detail"].as_str().unwrap().contains("docker login"),
        "{problem}"
    );
    fs::write(
        desk.path("config.json"),
        docker_config(&address, USER, PASSWORD),
    )
    .unwrap();
    pull(1, "not-found");
    let pushed = desk.json("plugin push", &["fstab.wasm", &reference]);
    desk.registry.tamper(
        &format!("sha256:{}", pushed["component"].as_str().unwrap()),
        0,
    );
    pull(16, "corrupt");
    let problem = desk.problem("plugin push", &["cofferdam.toml", &reference], 1);
    assert!(
        problem["detail"].as_str().unwrap().contains("no plugin"),
        "{problem}"
    );
    let problem = desk.problem("plugin pull", &["fstab"], 1);
    assert_eq!(problem["code"], "invalid", "{problem}");
    // Without TLS only where somebody said so, and only on this machine.
    fs::write(desk.path("cofferdam.toml"), "").unwrap();
    pull(10, "unavailable");
    desk.json("plugin search", &["--plain-http", &address]);
    let problem = desk.problem(
        "plugin search",
        &["--plain-http", "registry.example.org"],
        1,
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("not on this machine"),
        "{problem}"
    );
    desk.configure("");
    let Desk { folder, registry } = desk;
    drop(registry);
    let args = ["plugin", "pull", &reference, "--output", "json"];
    let ran = run(cofferdam(folder.path(), &args).env("DOCKER_CONFIG", folder.path()));
    assert_eq!(ran.code(10).problem()["code"], "unavailable");
}
