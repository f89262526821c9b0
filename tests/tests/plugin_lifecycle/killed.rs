//! A host that is killed in the middle of an activation.

use crate::guest;
use crate::runs::slow;
use crate::site::{ID, json, prepare, write};
use cofferdam_tests::server::wait_for;
use cofferdam_tests::site::Site;
use serde_json::Value;
use std::process::Stdio;

/// The newest activation.
fn newest(site: &Site) -> Value {
    let history = ["plugin", "history", ID, "--limit", "1"];
    json(site, &history, 0, "plugin history")["items"][0].clone()
}

fn active(site: &Site) -> Value {
    json(site, &["plugin", "list"], 0, "plugin list")["installed"][0]["active"].clone()
}

#[test]
fn what_was_published_serves_after_a_kill_and_what_was_not_has_failed() {
    let mut site = Site::embedded();
    prepare(&site);
    // Its self-test does not end.
    let endless = guest::step("", "", &[("validate", "(loop $on (br $on)) (unreachable)")]);
    write(&site, "0.7.0", &endless, "");
    site.start();
    let install = |site: &Site, file: &str, more: &[&str]| {
        let args = [&["plugin", "install", file][..], more].concat();
        json(site, &args, 0, "plugin install")
    };
    install(&site, "greeter-0.1.0.wasm", &["--grant", "--activate"]);
    install(&site, "greeter-0.7.0.wasm", &[]);
    let mut asking = site
        .command(&["plugin", "activate", ID, "0.7.0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("its self-test goes on", || {
        let newest = newest(&site);
        (newest["stage"] == "self-test").then_some(())
    });
    let remove = ["plugin", "remove", ID, "0.7.0"];
    let refused = json(&site, &remove, 1, "error");
    assert_eq!(refused["code"], "conflict", "{refused}");
    let going_on = newest(&site);
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains(going_on["id"].as_str().unwrap()),
        "{detail}"
    );
    site.kill();
    asking.kill().ok();
    asking.wait().unwrap();

    site.start();
    let failed = newest(&site);
    assert_eq!(failed["id"], going_on["id"]);
    assert_eq!(failed["outcome"], "failed", "{failed}");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("stopped meanwhile"), "{reason}");
    assert_eq!(active(&site), "0.1.0");
    json(&site, &remove, 0, "plugin remove");

    // A call of 0.1.0 is waited for when the host is killed once more.
    let mut run = slow(&site);
    let swapped = install(&site, "greeter-0.2.0.wasm", &["--activate"]);
    let swapped = &swapped["activation"];
    assert_eq!(swapped["outcome"], "active");
    assert_eq!(swapped["finished"], Value::Null, "{swapped}");
    site.kill();
    run.kill().ok();
    run.wait().unwrap();

    site.start();
    let ended = newest(&site);
    assert_eq!(ended["id"], swapped["id"]);
    assert_eq!(ended["outcome"], "active", "{ended}");
    assert!(ended["finished"].is_string(), "{ended}");
    assert_eq!(active(&site), "0.2.0");
    // The run has not ended, and keeps its version.
    let remove = ["plugin", "remove", ID, "0.1.0"];
    let refused = json(&site, &remove, 1, "error");
    assert_eq!(refused["code"], "conflict", "{refused}");
    site.write("go", "");
}
