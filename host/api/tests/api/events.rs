//! Server-sent events.

use crate::support::{ECHO, HANG, Host, TALK, request};
use axum::body::Body;
use axum::http::Request;
use cofferdam_api::{ApiOptions, LocalActor};
use cofferdam_store::Role;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

/// One event of a stream.
#[derive(Debug, Clone, Default, PartialEq)]
struct Received {
    id: String,
    event: String,
    data: String,
}

/// Reads a stream of events.
struct EventStream {
    body: Body,
    text: String,
    /// Comments that came.
    comments: usize,
}

impl EventStream {
    async fn open(host: &Host, mut request: Request<Body>) -> Self {
        if !request.headers().contains_key("authorization") {
            request.extensions_mut().insert(LocalActor::new(None));
        }
        let response = host.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            text: String::new(),
            comments: 0,
        }
    }

    async fn local(host: &Host, path: &str) -> Self {
        Self::open(host, request("GET", path, None, None)).await
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Received> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let mut received = Received::default();
                for line in block.lines() {
                    match line.split_once(':') {
                        Some(("id", value)) => received.id = value.trim().to_owned(),
                        Some(("event", value)) => received.event = value.trim().to_owned(),
                        Some(("data", value)) => received.data.push_str(value.trim()),
                        Some(("", _)) => self.comments += 1,
                        None if line.is_empty() => {}
                        _ => panic!("unknown line {line:?}"),
                    }
                }
                if !received.event.is_empty() {
                    return Some(received);
                }
            }
            let frame = tokio::time::timeout(Duration::from_secs(30), self.body.frame());
            let frame = frame.await.expect("something within 30 s")?;
            let bytes = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn rest(mut self) -> Vec<Received> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_seen_from_its_first_event_to_its_last() {
    let host = Host::new().await;
    let run = host.start("default", ECHO).await;
    let path = format!("/api/v1/runs/{run}/events");
    let mut stream = EventStream::local(&host, &path).await;
    let mut kinds = Vec::new();
    while let Some(event) = stream.next().await {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        assert_eq!(data["id"].to_string(), event.id);
        assert_eq!(data["kind"], event.event.as_str());
        assert_eq!(data["run"], run.as_str());
        kinds.push(event.event);
        if kinds.last().unwrap() == "run.succeeded" {
            break;
        }
    }
    assert_eq!(kinds[0], "run.created");
    assert!(kinds.contains(&"step.succeeded".to_owned()), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_from_any_id_without_gap_or_repetition() {
    let host = Host::new().await;
    let run = host.start("default", TALK).await;
    host.wait(&run, "succeeded").await;
    let path = format!("/api/v1/runs/{run}/events?follow=false&logs=true");
    // Lines are written a moment after they were said.
    let mut all = Vec::new();
    for _ in 0..500 {
        all = EventStream::local(&host, &path).await.rest().await;
        if all.iter().filter(|event| event.event == "log").count() == 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lines: Vec<Value> = all
        .iter()
        .filter(|event| event.event == "log")
        .map(|event| serde_json::from_str(&event.data).unwrap())
        .collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[3]["message"], "line 3");
    for (index, event) in all.iter().enumerate() {
        let after = EventStream::local(&host, &format!("{path}&after={}", event.id)).await;
        assert_eq!(after.rest().await, all[index + 1..], "after {}", event.id);
        let mut request = request("GET", &format!("{path}&after=0"), None, None);
        let id = event.id.parse().unwrap();
        request.headers_mut().insert("last-event-id", id);
        let resumed = EventStream::open(&host, request).await;
        assert_eq!(resumed.rest().await, all[index + 1..], "from {}", event.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_many_runs_miss_nothing() {
    let host = Host::new().await;
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut stream = EventStream::local(&host, "/api/v1/events?kind=run.").await;
        readers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            let mut ended = 0;
            while ended < 40 {
                let event = stream.next().await.unwrap();
                ended += usize::from(event.event == "run.succeeded");
                ids.push(event.id.parse::<i64>().unwrap());
            }
            ids
        }));
    }
    for _ in 0..40 {
        host.start("default", ECHO).await;
    }
    let whole = EventStream::local(&host, "/api/v1/events?kind=run.&follow=false");
    let mut seen = Vec::new();
    for reader in readers {
        seen.push(reader.await.unwrap());
    }
    let truth: Vec<i64> = EventStream::local(&host, "/api/v1/events?kind=run.&follow=false")
        .await
        .rest()
        .await
        .iter()
        .map(|event| event.id.parse().unwrap())
        .collect();
    drop(whole);
    for ids in seen {
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(ids, truth[..ids.len()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_be_read_is_shown() {
    let host = Host::new().await;
    let token = host.user("anna", &[("alpha", Role::Read)]).await;
    let mine = host.start("alpha", ECHO).await;
    let other = host.start("beta", ECHO).await;
    host.wait(&mine, "succeeded").await;
    host.wait(&other, "succeeded").await;
    let path = "/api/v1/events?follow=false";
    let seen = EventStream::open(&host, request("GET", path, Some(&token), None)).await;
    let seen = seen.rest().await;
    assert!(!seen.is_empty());
    assert!(
        seen.iter().all(|event| event.data.contains(&mine)),
        "{seen:?}"
    );
    let path = format!("/api/v1/runs/{other}/events");
    host.with_token(&token, "GET", &path, None)
        .await
        .expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_its_stream() {
    let host = Host::new().await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let run = host.start("default", HANG).await;
    let path = format!("/api/v1/runs/{run}/events");
    let mut stream = EventStream::open(&host, request("GET", &path, Some(&token), None)).await;
    assert!(stream.next().await.is_some());
    let own = host
        .with_token(&token, "GET", "/api/v1/whoami", None)
        .await
        .expect(200)
        .json();
    let id = own["token"].as_str().unwrap();
    let revoke = format!("/api/v1/tokens/{id}");
    host.local("DELETE", &revoke, None).await.expect(200);
    let cancel = format!("/api/v1/runs/{run}/cancel");
    host.local("POST", &cancel, Some(json!({})))
        .await
        .expect(200);
    let rest = stream.rest().await;
    assert!(
        rest.iter().all(|event| event.event != "run.cancelled"),
        "{rest:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_grant_that_it_is_read_by() {
    let host = Host::with(ApiOptions {
        heartbeat: Duration::from_millis(300),
        ..ApiOptions::default()
    })
    .await;
    let token = host.user("anna", &[]).await;
    let run = host.start("default", HANG).await;
    let grant = json!({
        "user": "anna", "project": "default", "role": "read", "reason": "looking", "valid_for": 4,
    });
    host.local("POST", "/api/v1/grants", Some(grant))
        .await
        .expect(201);
    let mut streams = Vec::new();
    for path in [
        "/api/v1/events".to_owned(),
        "/api/v1/events?project=default".to_owned(),
        format!("/api/v1/runs/{run}/events?progress=true"),
    ] {
        let mut stream = EventStream::open(&host, request("GET", &path, Some(&token), None)).await;
        assert!(stream.next().await.is_some(), "{path}");
        streams.push((path, stream));
    }
    let ended = async {
        for (path, stream) in streams {
            let rest = tokio::time::timeout(Duration::from_secs(30), stream.rest());
            assert!(rest.await.is_ok(), "{path} does not end");
        }
    };
    // What happens elsewhere does not put off the question whether it may still be read.
    let elsewhere = async {
        loop {
            host.start("other", ECHO).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = elsewhere => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_with_the_projects_that_remain() {
    let host = Host::new().await;
    let roles = [("alpha", Role::Read), ("beta", Role::Read)];
    let token = host.user("anna", &roles).await;
    let path = "/api/v1/events?kind=run.created";
    let mut stream = EventStream::open(&host, request("GET", path, Some(&token), None)).await;
    host.start("alpha", ECHO).await;
    assert!(stream.next().await.is_some());
    let role = "/api/v1/users/anna/roles/alpha";
    host.local("DELETE", role, None).await.expect(204);
    host.start("alpha", ECHO).await;
    let run = host.start("beta", ECHO).await;
    assert!(stream.next().await.unwrap().data.contains(&run));
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_filled_and_streams_are_counted() {
    let host = Host::with(ApiOptions {
        heartbeat: Duration::from_millis(50),
        max_streams_per_token: 2,
        ..ApiOptions::default()
    })
    .await;
    let token = host.user("anna", &[("default", Role::Read)]).await;
    let open = async || {
        EventStream::open(&host, request("GET", "/api/v1/events", Some(&token), None)).await
    };
    let mut first = open().await;
    let second = open().await;
    let third = host
        .with_token(&token, "GET", "/api/v1/events", None)
        .await
        .expect(429);
    assert!(third.header("retry-after").is_some());
    drop(second);
    let _second = open().await;
    let started = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        host.start("default", ECHO).await
    };
    let (event, _) = tokio::join!(first.next(), started);
    assert!(event.is_some());
    assert!(first.comments >= 2, "{} comments", first.comments);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_streams() {
    let host = Host::new().await;
    let mut streams = Vec::new();
    for _ in 0..1000 {
        streams.push(EventStream::local(&host, "/api/v1/events?kind=run.succeeded").await);
    }
    let run = host.start("default", ECHO).await;
    for stream in &mut streams {
        let event = stream.next().await.unwrap();
        assert!(event.data.contains(&run));
    }
    drop(streams);
    let metrics = host.local("GET", "/metrics", None).await.expect(200).text();
    assert!(
        metrics.contains("cofferdam_event_subscribers 0"),
        "{metrics}"
    );
}
