//! Runs of a plugin that is replaced, or crashes.

use crate::site::{ID, both, json};
use cofferdam_tests::server::wait_for;
use cofferdam_tests::sha256;
use cofferdam_tests::site::Site;
use serde_json::Value;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

/// A run that waits for the file `go`, as a process of its own: embedded, it is the host of
/// the others.
pub fn slow(site: &Site) -> Child {
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
