//! `Idempotency-Key`.

use crate::support::{ECHO, Host, request};
use cofferdam_store::Role;
use serde_json::{Value, json};

async fn post(
    host: &Host,
    token: &str,
    path: &str,
    key: &str,
    body: Value,
) -> crate::support::Answer {
    let mut request = request("POST", path, Some(token), Some(body));
    request
        .headers_mut()
        .insert("idempotency-key", key.parse().unwrap());
    host.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_starts_one_run() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Deploy)]).await;
    let body = json!({"workflow": {"source": ECHO}});
    let first = post(&host, &token, "/api/v1/runs", "k1", body.clone())
        .await
        .expect(201);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = post(&host, &token, "/api/v1/runs", "k1", body.clone())
        .await
        .expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.header("content-type"), Some("application/json"));
    let run = first.json()["run"]["id"].as_str().unwrap().to_owned();
    let location = format!("/api/v1/runs/{run}");
    assert_eq!(first.header("location"), Some(location.as_str()));
    assert_eq!(again.header("location"), Some(location.as_str()));
    assert_eq!(first.body, again.body);
    let other = json!({"workflow": {"source": ECHO}, "labels": {"a": "b"}});
    post(&host, &token, "/api/v1/runs", "k1", other)
        .await
        .expect(422);
    let path = "/api/v1/workflows/plan";
    post(&host, &token, path, "k1", body.clone())
        .await
        .expect(422);
    // Another user's key is another key.
    let ben = host.user("ben", &[("default", Role::Deploy)]).await;
    let bens = post(&host, &ben, "/api/v1/runs", "k1", body.clone())
        .await
        .expect(201);
    assert_ne!(bens.json()["run"]["id"], first.json()["run"]["id"]);
    let runs = host
        .local("GET", "/api/v1/runs", None)
        .await
        .expect(200)
        .json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_repeated_too() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Deploy)]).await;
    let body = json!({"workflow": {"name": "later"}});
    let first = post(&host, &token, "/api/v1/runs", "k", body.clone())
        .await
        .expect(404);
    let saved = ECHO.replace("name: echo", "name: later");
    let path = "/api/v1/workflows/later";
    let saved = host
        .local("PUT", path, Some(json!({"source": saved})))
        .await;
    saved.expect(200);
    let again = post(&host, &token, "/api/v1/runs", "k", body.clone())
        .await
        .expect(404);
    assert_eq!(first.body, again.body);
    assert_eq!(
        again.header("content-type"),
        Some("application/problem+json")
    );
    post(&host, &token, "/api/v1/runs", "k2", body)
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_start_one_run() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Deploy)]).await;
    let body = json!({"workflow": {"source": ECHO}});
    let requests = (0..16).map(|_| post(&host, &token, "/api/v1/runs", "k", body.clone()));
    let answers = futures_util::future::join_all(requests).await;
    let statuses: Vec<u16> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    assert!(statuses.contains(&201), "{statuses:?}");
    assert!(
        statuses.iter().all(|status| matches!(status, 201 | 409)),
        "{statuses:?}"
    );
    let runs = host
        .local("GET", "/api/v1/runs", None)
        .await
        .expect(200)
        .json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_not_kept_for_repetition() {
    let host = Host::new().await;
    let token = host.user("anna", &[]).await;
    let body = json!({"label": "mine"});
    let made = post(&host, &token, "/api/v1/tokens", "k", body.clone())
        .await
        .expect(201)
        .json();
    let again = post(&host, &token, "/api/v1/tokens", "k", body)
        .await
        .expect(409);
    let secret = made["secret"].as_str().unwrap();
    assert!(!again.text().contains(secret));
    assert!(again.text().contains(made["token"]["id"].as_str().unwrap()));
    // Nor anywhere else in the host's folder.
    let digits = secret.rsplit('_').next().unwrap().as_bytes();
    let state = host.folder.path().join("state");
    for entry in std::fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(digits.len()).any(|window| window == digits);
            assert!(!found, "{}", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_keys_are_refused() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Deploy)]).await;
    for key in ["", "a b", &"x".repeat(256)] {
        let body = json!({"workflow": {"source": ECHO}});
        post(&host, &token, "/api/v1/runs", key, body)
            .await
            .expect(400);
    }
}
