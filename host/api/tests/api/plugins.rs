//! Installed plugins over the API: what is refused before it is read, what is asked before
//! it is granted, and what is told of an activation.

use crate::support::{Host, component, request, upload};
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH};
use cofferdam_api::{ApiOptions, LocalActor};
use cofferdam_store::Role;
use futures_util::stream;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::oneshot;

fn digest(component: &[u8]) -> String {
    hex::encode(Sha256::digest(component))
}

/// A request of the owner.
fn of_owner(mut request: Request<Body>) -> Request<Body> {
    let owner = LocalActor::new(Some("owner".to_owned()));
    request.extensions_mut().insert(owner);
    request
}

/// A body that never comes, and what is told once somebody waits for it.
fn never() -> (Body, oneshot::Receiver<()>) {
    let (asked, told) = oneshot::channel();
    let body = stream::once(async {
        // Nobody need listen.
        asked.send(()).ok();
        std::future::pending::<Result<String, Infallible>>().await
    });
    (Body::from_stream(body), told)
}

#[tokio::test]
async fn what_is_no_component_is_refused_and_changes_nothing() {
    let host = Host::with(ApiOptions {
        upload_limit: 4096,
        ..ApiOptions::default()
    })
    .await;
    let fine = component("greeter", "0.1.0", false);
    let wrong = format!("?digest=sha256:{}", "0".repeat(64));
    for (query, body, status, words) in [
        ("", vec![0xff, 0], 422, "is no plugin"),
        ("", Vec::new(), 422, "is no plugin"),
        ("", vec![b'#'; 4097], 413, "longer than 4096 bytes"),
        (wrong.as_str(), fine.clone(), 422, "has the digest sha256:"),
        ("?digest=md5:0", fine.clone(), 422, "has the digest sha256:"),
        ("?grant=perhaps", fine.clone(), 400, "grant"),
        ("?force=true", fine.clone(), 400, "force"),
    ] {
        let answer = host.upload(query, body).await.expect(status);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{query}: {detail}");
    }
    let json = Request::post("/api/v1/plugins")
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(fine.clone()))
        .unwrap();
    host.send(of_owner(json)).await.expect(415);
    let list = host.local("GET", "/api/v1/plugins", None).await.json();
    assert_eq!(list["installed"], json!([]));

    let right = format!("?digest=sha256:{}", digest(&fine));
    let answer = host.upload(&right, fine.clone()).await.expect(201).json();
    assert_eq!(answer["version"]["digest"], digest(&fine));
    assert_eq!(answer["activation"], Value::Null);
}

#[tokio::test]
async fn who_may_not_install_is_refused_before_the_body_is_read() {
    let host = Host::with(ApiOptions {
        max_uploads: 1,
        ..ApiOptions::default()
    })
    .await;
    let reader = host.user("reader", &[("*", Role::Deploy)]).await;
    let admin = host.user("admin", &[("*", Role::Admin)]).await;
    let endless = |token: &str| {
        let (body, told) = never();
        let request = Request::post("/api/v1/plugins")
            .header(CONTENT_TYPE, "application/wasm")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(body)
            .unwrap();
        (request, told)
    };
    // It would wait for ever if it were read.
    let (request, _) = endless(&reader);
    let refused = tokio::time::timeout(Duration::from_secs(60), host.send(request));
    refused.await.unwrap().expect(403);

    // One is being received, and takes the only place.
    let router = host.router.clone();
    let (first, received) = endless(&admin);
    let first = tokio::spawn(tower::ServiceExt::oneshot(router, first));
    received.await.unwrap();
    let fine = component("greeter", "0.1.0", false);
    let second = upload("/api/v1/plugins?dry_run=true", Some(&admin), fine.clone());
    let second = host.send(second).await.expect(503);
    assert!(second.header("retry-after").is_some());
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    host.send(upload("/api/v1/plugins", Some(&admin), fine))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_component_may_be_as_large_as_the_option_says() {
    let host = Host::new().await;
    let mut large = component("greeter", "0.1.0", false);
    large.push(b'#');
    large.resize(ApiOptions::default().upload_limit, b'x');
    // It came whole to whoever says that it is none.
    let refused = host.upload("", large.clone()).await.expect(422).json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains(&format!("{} bytes", large.len())),
        "{detail}"
    );
    large.push(b'x');
    host.upload("", large).await.expect(413);
}

#[tokio::test]
async fn a_version_that_wants_more_is_shown_and_refused_until_it_is_granted() {
    let host = Host::new().await;
    let modest = component("greeter", "0.1.0", false);
    host.upload("?activate=true", modest).await.expect(201);
    host.at_rest("greeter").await;

    let greedy = component("greeter", "0.2.0", true);
    let proposal = host.upload("?dry_run=true", greedy.clone()).await;
    let proposal = proposal.expect(200).json();
    assert_eq!(proposal["active"], "0.1.0");
    assert_eq!(proposal["installed"], false);
    let added = &proposal["difference"]["added"][0];
    assert_eq!(added["interface"], "cofferdam:tool/tool");
    assert_eq!(added["why"], "to echo");
    assert_eq!(proposal["missing"], proposal["difference"]);
    let lines = proposal["lines"].as_str().unwrap();
    assert!(
        lines.contains("[plugins.greeter.grants.tool.sh]"),
        "{lines}"
    );

    let refused = host.upload("", greedy.clone()).await.expect(409).json();
    assert_eq!(refused["code"], "denied");
    assert!(refused["hint"].as_str().unwrap().contains("grant=true"));
    let versions = host
        .local("GET", "/api/v1/plugins/greeter/versions", None)
        .await;
    assert_eq!(versions.json()["versions"].as_array().unwrap().len(), 1);

    let granted = host.upload("?grant=true", greedy.clone()).await;
    let version = &granted.expect(201).json()["version"];
    assert_eq!(version["grants"]["tool"]["sh"]["program"], "sh");
    assert_eq!(version["active_since"], Value::Null);
    let again = host.upload("?dry_run=true", greedy).await.json();
    assert_eq!(again["installed"], true);
}

#[tokio::test]
async fn an_activation_is_told_stage_by_stage_and_its_key_makes_one() {
    let host = Host::new().await;
    let admin = host.user("admin", &[("*", Role::Admin)]).await;
    for version in ["0.1.0", "0.2.0"] {
        let greeter = component("greeter", version, false);
        host.upload("", greeter).await.expect(201);
    }
    let activate = |version: &str| {
        let path = "/api/v1/plugins/greeter/activate";
        let body = json!({"version": version});
        let mut request = request("POST", path, Some(&admin), Some(body));
        let headers = request.headers_mut();
        headers.insert("idempotency-key", version.parse().unwrap());
        request
    };
    let begun = host.send(activate("0.1.0")).await.expect(202).json();
    let again = host.send(activate("0.1.0")).await.expect(202);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json()["id"], begun["id"]);
    let ended = host.settled(&begun).await;
    assert_eq!(ended["outcome"], "active", "{ended:#}");

    // The one installed last, where none is named.
    let path = "/api/v1/plugins/greeter/activate";
    let begun = host.local("POST", path, Some(json!({}))).await.expect(202);
    let ended = host.settled(&begun.json()).await;
    assert_eq!(ended["to"]["version"], "0.2.0");
    assert_eq!(ended["from"]["version"], "0.1.0");
    let looked = format!(
        "/api/v1/plugins/greeter/activations/{}",
        ended["id"].as_str().unwrap()
    );
    let looked = host.local("GET", &looked, None).await.expect(200).json();
    assert_eq!(looked["outcome"], "active");

    let events = host
        .with_token(
            &admin,
            "GET",
            "/api/v1/events?plugin=greeter&follow=false",
            None,
        )
        .await
        .expect(200)
        .text();
    let mut stages: Vec<String> = Vec::new();
    for line in events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
    {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["run"], "plugin:greeter");
        if event["kind"] == "plugin.stage" && event["data"]["activation"] == ended["id"] {
            let text = |key: &str| event["data"][key].as_str().unwrap_or_default().to_owned();
            stages.push(format!("{} {}", text("stage"), text("state")));
        }
    }
    let expected = [
        "verify",
        "compile",
        "compare",
        "self-test",
        "publish",
        "drain",
        "retire",
    ];
    for stage in expected {
        for state in ["began", "passed"] {
            let found = stages
                .iter()
                .filter(|told| **told == format!("{stage} {state}"));
            assert_eq!(found.count(), 1, "{stage} {state} in {stages:?}");
        }
    }
}

#[tokio::test]
async fn what_happens_to_plugins_is_not_for_readers_of_one_project() {
    let host = Host::new().await;
    let reader = host.user("reader", &[("alpha", Role::Admin)]).await;
    let greeter = component("greeter", "0.1.0", false);
    host.upload("?activate=true", greeter).await.expect(201);
    host.at_rest("greeter").await;
    let path = "/api/v1/events?plugin=greeter&follow=false";
    let events = host
        .with_token(&reader, "GET", path, None)
        .await
        .expect(200);
    assert!(!events.text().contains("plugin."), "{}", events.text());
    // That it is there is shown to everybody.
    let path = "/api/v1/plugins/greeter/history";
    let history = host
        .with_token(&reader, "GET", path, None)
        .await
        .expect(200);
    assert_eq!(history.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn versions_come_back_and_go() {
    let host = Host::new().await;
    for version in ["0.1.0", "0.2.0"] {
        let greeter = component("greeter", version, false);
        host.upload("", greeter).await.expect(201);
        host.activate("greeter", version).await;
    }
    let base = "/api/v1/plugins/greeter";
    let newer = format!("{base}/versions/0.2.0");
    let serving = host.local("DELETE", &newer, None).await.expect(409);
    assert_eq!(serving.json()["code"], "conflict");
    let begun = host.local("POST", &format!("{base}/rollback"), None).await;
    let ended = host.settled(&begun.expect(202).json()).await;
    assert_eq!(ended["to"]["version"], "0.1.0");
    assert_eq!(ended["cause"], "rollback");
    let nothing = host.local("POST", &format!("{base}/rollback"), None).await;
    assert_eq!(nothing.expect(409).json()["code"], "conflict");
    host.local("DELETE", &newer, None).await.expect(204);
    host.local("DELETE", &newer, None).await.expect(404);
    let body = json!({"version": "0.2.0"});
    host.local("POST", &format!("{base}/activate"), Some(body))
        .await
        .expect(404);
    host.local("POST", "/api/v1/plugins/other/rollback", None)
        .await
        .expect(404);
    let none = json!({});
    host.local("POST", &format!("{base}/release"), Some(none))
        .await
        .expect(404);
    let other = host.local("GET", "/api/v1/plugins/other/activations/act-1", None);
    other.await.expect(404);

    let answer = host.local("GET", &format!("{base}/versions"), None).await;
    let tag = answer.header("etag").unwrap().to_owned();
    let mut conditional = request("GET", &format!("{base}/versions"), None, None);
    let headers = conditional.headers_mut();
    headers.insert(IF_NONE_MATCH, tag.parse().unwrap());
    host.send(of_owner(conditional)).await.expect(304);
}
