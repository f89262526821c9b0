//! Every failure is a problem document, whoever noticed it.

use crate::support::{Answer, ECHO, Host, request};
use axum::body::Body;
use axum::http::Request;
use serde_json::json;

#[track_caller]
fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let body = answer.json();
    assert_eq!(body["status"], status);
    assert_eq!(body["code"], code);
    assert_eq!(body["type"], format!("urn:cofferdam:problem:{code}"));
    assert!(!body["title"].as_str().unwrap().is_empty());
    assert!(!body["detail"].as_str().unwrap().is_empty());
    for key in body.as_object().unwrap().keys() {
        let known = [
            "type",
            "title",
            "status",
            "code",
            "detail",
            "hint",
            "retry_after",
        ];
        assert!(known.contains(&key.as_str()), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_failure() {
    let host = Host::new().await;
    for (method, path, body, status, code) in [
        ("GET", "/nothing", None, 404, "not-found"),
        ("GET", "/api/v1/nothing", None, 404, "not-found"),
        ("GET", "/docs/nothing.js", None, 404, "not-found"),
        ("GET", "/api/v1/runs/run-0", None, 404, "not-found"),
        ("PATCH", "/api/v1/runs", None, 405, "unsupported"),
        ("DELETE", "/health/live", None, 405, "unsupported"),
        ("POST", "/api/v1/runs", None, 415, "unsupported"),
        ("POST", "/api/v1/runs", Some(json!({})), 422, "invalid"),
        ("POST", "/api/v1/runs", Some(json!([])), 422, "invalid"),
        (
            "POST",
            "/api/v1/runs",
            Some(json!({"workflow": {"source": "a"}, "extra": 1})),
            422,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/runs",
            Some(json!({"workflow": {"source": "not: [a workflow"}})),
            422,
            "invalid",
        ),
        (
            "POST",
            "/api/v1/runs",
            Some(json!({"workflow": {"name": "missing"}})),
            404,
            "not-found",
        ),
        ("GET", "/api/v1/runs?limit=x", None, 400, "invalid"),
        ("GET", "/api/v1/runs?limit=0", None, 400, "invalid"),
        ("GET", "/api/v1/runs?unknown=1", None, 400, "invalid"),
        ("GET", "/api/v1/runs?state=flying", None, 400, "invalid"),
        ("GET", "/api/v1/runs?since=yesterday", None, 400, "invalid"),
        ("GET", "/api/v1/runs/%ff", None, 400, "invalid"),
        ("GET", "/api/v1/events?after=x", None, 400, "invalid"),
        (
            "POST",
            "/api/v1/disks/info",
            Some(json!({"path": "/etc/passwd"})),
            404,
            "not-found",
        ),
        ("GET", "/api/v1/ws", None, 426, "unsupported"),
    ] {
        let answer = host.local(method, path, body).await;
        check(&answer, status, code);
        if status == 405 {
            assert!(
                answer
                    .header("allow")
                    .is_some_and(|allow| allow.contains("GET")),
                "{path}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_project_is_refused_everywhere() {
    let host = Host::new().await;
    let long = "x".repeat(3000);
    let escaped = "a\u{1b}[31m";
    for project in ["", "*", "..", "-x", "a/b", "a b", escaped, "\u{e4}", &long] {
        let encoded: String = project.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let start = json!({"project": project, "workflow": {"source": ECHO}});
        for path in [
            "/api/v1/runs",
            "/api/v1/workflows/validate",
            "/api/v1/workflows/plan",
        ] {
            let answer = host.local("POST", path, Some(start.clone())).await;
            check(&answer, 422, "invalid");
            assert!(!answer.text().contains(&long), "{}", answer.text());
        }
        let secret = json!({"value": "long enough"});
        for (method, thing, body) in [
            ("GET", "runs", None),
            ("GET", "approvals", None),
            ("GET", "workflows", None),
            ("GET", "workflows/echo", None),
            ("PUT", "workflows/echo", Some(json!({"source": ECHO}))),
            ("DELETE", "workflows/echo", None),
            ("GET", "secrets", None),
            ("PUT", "secrets/key", Some(secret)),
            ("DELETE", "secrets/key", None),
        ] {
            let path = format!("/api/v1/{thing}?project={encoded}");
            let answer = host.local(method, &path, body).await;
            check(&answer, 422, "invalid");
        }
        // Roles, grants, and what the host does by itself are of all projects too.
        for thing in ["grants", "audit", "events"] {
            let path = format!("/api/v1/{thing}?project={encoded}&follow=false");
            let path = match thing {
                "events" => path,
                _ => path.replace("&follow=false", ""),
            };
            let answer = host.local("GET", &path, None).await;
            match project {
                "*" => assert_eq!(answer.status.as_u16(), 200, "{}", answer.text()),
                _ => check(&answer, 422, "invalid"),
            }
        }
    }
    let runs = host.local("GET", "/api/v1/runs", None).await.expect(200);
    assert_eq!(runs.json()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_document_forbids_is_refused() {
    let host = Host::new().await;
    let run = host.start("default", crate::support::GATED).await;
    host.wait(&run, "waiting-approval").await;
    let path = |what: &str| format!("/api/v1/runs/{run}/{what}");
    let answer = host.local("GET", &path("logs?after=-1"), None).await;
    check(&answer, 400, "invalid");
    let long = "x".repeat(4097);
    for (what, body) in [
        (
            "approve",
            json!({"step": "gate", "digest": "0".repeat(64), "comment": long}),
        ),
        (
            "reject",
            json!({"step": "gate", "digest": "0".repeat(64), "comment": long}),
        ),
        ("cancel", json!({"reason": long})),
    ] {
        let answer = host.local("POST", &path(what), Some(body)).await;
        check(&answer, 422, "invalid");
    }
    let stale = json!({"step": "gate", "digest": "0".repeat(64)});
    let answer = host.local("POST", &path("approve"), Some(stale)).await;
    check(&answer, 409, "conflict");
    host.wait(&run, "waiting-approval").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_json_is_400_and_says_where() {
    let host = Host::new().await;
    let token = host
        .user("anna", &[("*", cofferdam_store::Role::Admin)])
        .await;
    let request = Request::post("/api/v1/runs")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Body::from("{\"workflow\": "))
        .unwrap();
    let answer = host.send(request).await;
    check(&answer, 400, "invalid");
    assert!(answer.text().contains("line 1"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_is_told_how() {
    let host = Host::new().await;
    for token in [None, Some("wrong"), Some("cof_x_y")] {
        let answer = host
            .send(request("GET", "/api/v1/whoami", token, None))
            .await;
        check(&answer, 401, "denied");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
    }
}
