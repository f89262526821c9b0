//! Whatever a client sends is the client's fault, never the host's.

use crate::document::Checker;
use crate::support::{ECHO, Host, request};
use axum::body::Body;
use axum::http::Request;
use cofferdam_api::{ApiOptions, LocalActor};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Any JSON, with a liking for the words of this API.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any_key(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "workflow",
        "source",
        "name",
        "inputs",
        "labels",
        "project",
        "step",
        "digest",
        "comment",
        "reason",
        "user",
        "role",
        "valid_for",
        "label",
        "path",
        "from",
        "limit",
        "value",
        "encoding",
        "disabled",
    ];
    prop_oneof![4 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(ECHO.to_owned()),
        Just("echo".to_owned()),
        Just("default".to_owned()),
        Just("*".to_owned()),
        Just("read".to_owned()),
        Just("../../etc/passwd".to_owned()),
        Just("name: x\nsteps: [&a [*a, *a]]".to_owned()),
        Just("\0".to_owned()),
        ".{0,40}",
        "[-_.~a-z0-9]{0,80}",
    ]
}

/// Replaces the braces of a path.
fn filled(path: &str, text: &str) -> String {
    let mut filled = String::new();
    for (index, part) in path.split(['{', '}']).enumerate() {
        if index % 2 == 0 {
            filled.push_str(part);
        } else {
            for byte in text.bytes() {
                filled.push_str(&format!("%{byte:02x}"));
            }
        }
    }
    filled
}

/// Every operation as method and path.
fn operations() -> Vec<(String, String)> {
    let document = cofferdam_api::document();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            // Streams do not end.
            if operation.get("x-cofferdam-stream").is_none() {
                all.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    all
}

#[test]
fn no_body_path_or_query_is_the_hosts_fault() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = runtime.block_on(Host::with(ApiOptions::default()));
    let checker = Checker::new();
    let operations = operations();
    let strategy = (
        prop::sample::select(operations),
        any_json(),
        any_text(),
        prop::option::of((any_key(), any_text())),
    );
    proptest!(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() }, |(((method, path), body, text, query) in strategy)| {
        let mut target = filled(&path, &text);
        if let Some((name, value)) = &query {
            let encode = |text: &str| filled("{x}", text);
            target = format!("{target}?{}={}", encode(name), encode(value));
        }
        if target.parse::<axum::http::Uri>().is_ok() {
            let mut request = request(&method, &target, None, Some(body));
            request.extensions_mut().insert(LocalActor::new(None));
            let answer = runtime.block_on(host.send(request));
            prop_assert!(
                answer.status.as_u16() < 500 || answer.status == 507,
                "{method} {target}: {} {}", answer.status, answer.text()
            );
            // A text that ends a segment leads to another route.
            if !text.is_empty() {
                let flaw = checker.flaw(&method, &path, &answer);
                prop_assert!(flaw.is_none(), "{method} {target}: {}; {}", flaw.unwrap_or_default(), answer.text());
            }
        }
    });
    runtime.shutdown_background();
}

#[test]
fn no_bytes_are_the_hosts_fault() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = runtime.block_on(Host::new());
    let bytes = prop::collection::vec(any::<u8>(), 0..64);
    let media = prop::sample::select(
        &[
            "application/json",
            "application/json; charset=x",
            "text/plain",
            "",
        ][..],
    );
    proptest!(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }, |(bytes in bytes, media in media)| {
        let mut request = Request::post("/api/v1/runs")
            .header("content-type", media)
            .body(Body::from(bytes))
            .unwrap();
        request.extensions_mut().insert(LocalActor::new(None));
        let answer = runtime.block_on(host.send(request));
        prop_assert!(matches!(answer.status.as_u16(), 400 | 415 | 422), "{}", answer.status);
    });
    runtime.shutdown_background();
}
