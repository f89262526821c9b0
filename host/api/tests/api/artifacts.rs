//! The files that a run made.

use crate::support::{ECHO, Host};

#[tokio::test]
async fn a_file_that_a_step_made_is_read_and_an_input_is_not() {
    let host = Host::new().await;
    let run = host.start("alpha", ECHO).await;
    host.wait(&run, "succeeded").await;
    // A page, to whoever would show it as one.
    host.made(&run, "say/report.html", b"<script>");
    host.made(&run, "inputs/disk", b"secret");
    let at = |name: &str| format!("/api/v1/runs/{run}/artifacts/{name}");

    let report = host.local("GET", &at("say%2Freport.html"), None).await;
    let report = report.expect(200);
    assert_eq!(report.body, b"<script>");
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(report.header(name), Some(value), "{name}");
    }

    for (name, status, code) in [
        ("inputs%2Fdisk", 403, "denied"),
        ("say%2Fother", 404, "not-found"),
        ("say%2F..%2F..%2Fetc%2Fpasswd", 404, "not-found"),
    ] {
        let answer = host.local("GET", &at(name), None).await.expect(status);
        assert_eq!(answer.json()["code"], code, "{name}");
    }
}
