//! Pages, filters and entity tags.

use crate::support::{ECHO, FAIL, Host, request};
use cofferdam_store::Role;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_under_inserts() {
    let host = Host::new().await;
    let mut before = BTreeSet::new();
    for _ in 0..25 {
        before.insert(host.start("default", ECHO).await);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/runs?limit=4{cursor}");
        let page = host.local("GET", &path, None).await.expect(200).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 4);
        seen.extend(
            items
                .iter()
                .map(|run| run["id"].as_str().unwrap().to_owned()),
        );
        // New runs come while the list is read.
        host.start("default", ECHO).await;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let distinct: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(distinct.len(), seen.len(), "nothing is shown twice");
    assert!(before.is_subset(&distinct), "nothing is left out");
    assert!(
        seen.windows(2).all(|pair| pair[0] > pair[1]),
        "newest first"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_no_list_gave_out_is_refused() {
    let host = Host::new().await;
    let run = host.start("default", ECHO).await;
    for list in [
        "runs",
        "approvals",
        "audit",
        "grants",
        "tokens",
        "users",
        "plugins/motd/history",
    ] {
        let lower = run.to_lowercase();
        for cursor in ["", "-", "a%20b", "a%2Fb", "run-zzz%2F", "%C3%A4", &lower] {
            if list == "users" && cursor == lower {
                // It could be a user's name.
                continue;
            }
            let path = format!("/api/v1/{list}?cursor={cursor}");
            let answer = host.local("GET", &path, None).await;
            assert_eq!(answer.status.as_u16(), 422, "{path}: {}", answer.text());
            assert_eq!(answer.json()["code"], "invalid", "{path}");
        }
    }
    for list in ["runs", "approvals", "audit", "grants", "tokens"] {
        for cursor in ["aaa", "zzz"] {
            let path = format!("/api/v1/{list}?cursor={cursor}");
            host.local("GET", &path, None).await.expect(422);
        }
    }
    let path = format!("/api/v1/runs?cursor={run}");
    let page = host.local("GET", &path, None).await.expect(200).json();
    assert_eq!(page["items"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow() {
    let host = Host::new().await;
    let good = host.start("alpha", ECHO).await;
    let bad = host.start("beta", FAIL).await;
    host.wait(&good, "succeeded").await;
    host.wait(&bad, "failed").await;
    let ids = async |query: &str| {
        let path = format!("/api/v1/runs{query}");
        let page = host.local("GET", &path, None).await.expect(200).json();
        let items = page["items"].as_array().unwrap().clone();
        let ids = items
            .iter()
            .map(|run| run["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<String>>()
    };
    let both = [bad.clone(), good.clone()];
    assert_eq!(ids("").await, both);
    assert_eq!(ids("?project=alpha").await, std::slice::from_ref(&good));
    assert_eq!(ids("?state=failed").await, std::slice::from_ref(&bad));
    assert_eq!(ids("?workflow=echo").await, std::slice::from_ref(&good));
    assert_eq!(ids("?actor=owner").await, both);
    assert_eq!(ids("?actor=nobody").await, [] as [String; 0]);
    assert_eq!(ids("?since=2000-01-01T00:00:00%2B02:00").await, both);
    assert_eq!(ids("?until=2000-01-01T00:00:00Z").await, [] as [String; 0]);
    assert_eq!(ids("?project=alpha&state=failed").await, [] as [String; 0]);
    // Who may read one project sees that one.
    let token = host.user("anna", &[("alpha", Role::Read)]).await;
    let page = host
        .with_token(&token, "GET", "/api/v1/runs", None)
        .await
        .expect(200);
    assert_eq!(page.json()["items"].as_array().unwrap().len(), 1);
    let page = host
        .with_token(&token, "GET", "/api/v1/runs?project=beta", None)
        .await;
    assert_eq!(
        page.expect(200).json()["items"].as_array().unwrap().len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_known_is_not_sent_again() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let run = host.start("default", ECHO).await;
    host.wait(&run, "succeeded").await;
    let path = format!("/api/v1/runs/{run}");
    let first = host
        .with_token(&token, "GET", &path, None)
        .await
        .expect(200);
    let tag = first.header("etag").unwrap().to_owned();
    let conditional = async |tag: &str, path: &str| {
        let mut request = request("GET", path, Some(&token), None);
        request
            .headers_mut()
            .insert("if-none-match", tag.parse().unwrap());
        host.send(request).await
    };
    let known = conditional(&tag, &path).await.expect(304);
    assert!(known.body.is_empty());
    assert_eq!(known.header("etag"), Some(tag.as_str()));
    conditional("\"other\"", &path).await.expect(200);
    conditional(&tag, "/api/v1/runs").await.expect(200);
    // Rights come before what the client has.
    let stranger = host.user("ben", &[]).await;
    let mut asked = request("GET", &path, Some(&stranger), None);
    asked
        .headers_mut()
        .insert("if-none-match", tag.parse().unwrap());
    host.send(asked).await.expect(404);
}
