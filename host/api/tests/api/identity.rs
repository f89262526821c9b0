//! Tokens and grants count, and cease to, at once.

use crate::support::{ECHO, Host};
use cofferdam_api::ApiOptions;
use cofferdam_store::Role;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ceases_with_its_revocation_and_its_time() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    host.with_token(&token, "GET", "/api/v1/runs", None)
        .await
        .expect(200);
    let own = host
        .with_token(&token, "GET", "/api/v1/whoami", None)
        .await
        .expect(200)
        .json();
    let path = format!("/api/v1/tokens/{}", own["token"].as_str().unwrap());
    host.with_token(&token, "DELETE", &path, None)
        .await
        .expect(200);
    host.with_token(&token, "GET", "/api/v1/runs", None)
        .await
        .expect(401);
    let brief = host.token("anna", Some(Duration::from_millis(1500))).await;
    host.with_token(&brief, "GET", "/api/v1/runs", None)
        .await
        .expect(200);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    host.with_token(&brief, "GET", "/api/v1/runs", None)
        .await
        .expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_counts_with_the_next_request_and_no_longer_than_it_says() {
    let host = Host::new().await;
    let token = host.user("anna", &[]).await;
    let start = json!({"workflow": {"source": ECHO}});
    let attempt = async || {
        let answer = host
            .with_token(&token, "POST", "/api/v1/runs", Some(start.clone()))
            .await;
        answer.status.as_u16()
    };
    assert_eq!(attempt().await, 404);
    let grant = async |role: &str, seconds: u64| {
        let body = json!({
            "user": "anna", "project": "default", "role": role, "reason": "night shift", "valid_for": seconds,
        });
        host.local("POST", "/api/v1/grants", Some(body))
            .await
            .expect(201)
            .json()
    };
    let reading = grant("read", 600).await;
    assert_eq!(attempt().await, 403);
    let deploying = grant("deploy", 600).await;
    assert_eq!(attempt().await, 201);
    for (grant, after) in [(deploying, 403), (reading, 404)] {
        let path = format!("/api/v1/grants/{}", grant["id"].as_str().unwrap());
        host.local("DELETE", &path, None).await.expect(200);
        assert_eq!(attempt().await, after);
    }
    grant("deploy", 2).await;
    assert_eq!(attempt().await, 201);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(attempt().await, 404);
    // Who did it stands in the log.
    let audit = host
        .local("GET", "/api/v1/audit?action=grant.", None)
        .await
        .expect(200)
        .json();
    assert_eq!(audit["items"].as_array().unwrap().len(), 5);
    assert_eq!(audit["items"][0]["actor"], "owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_change_with_the_next_request() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let start = json!({"workflow": {"source": ECHO}});
    let role = "/api/v1/users/anna/roles/default";
    let attempt = async || {
        let answer = host
            .with_token(&token, "POST", "/api/v1/runs", Some(start.clone()))
            .await;
        answer.status.as_u16()
    };
    assert_eq!(attempt().await, 403);
    host.local("PUT", role, Some(json!({"role": "deploy"})))
        .await
        .expect(200);
    assert_eq!(attempt().await, 201);
    host.local("DELETE", role, None).await.expect(204);
    assert_eq!(attempt().await, 404);
    let disabled = json!({"disabled": true});
    host.local("PUT", "/api/v1/users/anna", Some(disabled))
        .await
        .expect(200);
    assert_eq!(attempt().await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_client_sends_makes_it_local() {
    let host = Host::with(ApiOptions::default()).await;
    let served = host.serve_plain().await;
    let client = reqwest::Client::new();
    for (name, value) in [
        ("x-local-actor", "owner"),
        ("localactor", "owner"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("authorization", "Local owner"),
        ("authorization", "Bearer local"),
        ("host", "localhost"),
    ] {
        let request = client.get(served.url("/api/v1/whoami")).header(name, value);
        assert_eq!(request.send().await.unwrap().status(), 401, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_in_and_never_comes_out() {
    let host = Host::new().await;
    let canary = "canary-5d1c0f2e8b7a";
    let path = "/api/v1/secrets/db-password";
    let set = host
        .local("PUT", path, Some(json!({"value": canary})))
        .await
        .expect(200);
    assert!(!set.text().contains(canary));
    let encoded = json!({"value": "Y2FuYXJ5LTVkMWMwZjJlOGI3YQ==", "encoding": "base64"});
    host.local("PUT", path, Some(encoded)).await.expect(200);
    let bad = json!({"value": "not base64!", "encoding": "base64"});
    host.local("PUT", path, Some(bad)).await.expect(422);
    for path in [
        "/api/v1/secrets",
        "/api/v1/audit",
        "/openapi.json",
        "/metrics",
    ] {
        let answer = host.local("GET", path, None).await.expect(200);
        assert!(!answer.text().contains(canary), "{path}");
    }
    host.local("GET", path, None).await.expect(405);
    host.local("DELETE", path, None).await.expect(204);
    host.local("DELETE", path, None).await.expect(404);
}
