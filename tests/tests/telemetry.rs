//! One trace from a client's request to the program that a step runs, taken by a collector
//! of the test's own; and a collector that is not there harms nobody.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is wrong"
)]

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use cofferdam_tests::server::{Server, wait_for};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::fs;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// The trace that the client says it is in (an example of the W3C's recommendation).
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

const WORKFLOW: &str = "name: traced\nsteps:\n  - id: greet\n    uses: command\n    with: { tool: echo, args: [\"hello\"] }\n";

/// Takes spans as the OTLP specification has it: `POST /v1/traces`, protobuf.
struct Collector {
    address: String,
    spans: Arc<Mutex<Vec<Span>>>,
    services: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn start() -> Self {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let services = Arc::new(Mutex::new(Vec::new()));
        let (kept, named) = (Arc::clone(&spans), Arc::clone(&services));
        let take = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            for resource in request.resource_spans {
                let attributes = resource.resource.unwrap().attributes;
                let name = attributes.iter().find(|one| one.key == "service.name");
                let value = name.unwrap().value.clone().unwrap().value.unwrap();
                if let Value::StringValue(name) = value {
                    named.lock().unwrap().push(name);
                }
                for scope in resource.scope_spans {
                    kept.lock().unwrap().extend(scope.spans);
                }
            }
            // An empty ExportTraceServiceResponse.
            ([("content-type", "application/x-protobuf")], Vec::new())
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/v1/traces", post(take));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            spans,
            services,
            _runtime: runtime,
        }
    }

    fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("cofferdam.toml"),
        "[plugins.command.grants.tool.echo]\nprogram = 'echo'\narguments = ['.*']\n",
    )
    .unwrap();
    folder
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key == key)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

#[test]
fn one_trace_leads_from_the_request_to_the_program() {
    let collector = Collector::start();
    let folder = folder();
    let server = Server::start(folder.path(), &["--otlp-endpoint", &collector.address]);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let run = server.run(WORKFLOW, &[("traceparent", &parent)]);
    assert_eq!(run["run"]["state"], "succeeded", "{run}");
    server.stop();

    let spans = collector.spans();
    let ours: Vec<&Span> = spans
        .iter()
        .filter(|span| hex::encode(&span.trace_id) == TRACE)
        .collect();
    let shown = || -> Vec<String> {
        let line = |span: &&Span| {
            format!(
                "{} {} <- {}",
                span.name,
                hex::encode(&span.span_id),
                hex::encode(&span.parent_span_id)
            )
        };
        ours.iter().map(line).collect()
    };
    let mut above = PARENT.to_owned();
    for name in ["request", "run", "step", "plugin call", "operation"] {
        let below = |span: &&&Span| hex::encode(&span.parent_span_id) == above;
        // A step is planned and carried out: the call that leads on is the one that acts.
        let acts = |span: &&&Span| attribute(span, "call").is_none_or(|call| call == "execute");
        let span = ours
            .iter()
            .filter(|span| span.name == name)
            .filter(below)
            .find(acts)
            .unwrap_or_else(|| panic!("no {name} below {above} in {:#?}", shown()));
        above = hex::encode(&span.span_id);
        let wanted = match name {
            "request" => vec![("method", "POST"), ("status", "201")],
            "run" => vec![("run", run["run"]["id"].as_str().unwrap())],
            "step" => vec![("step", "greet"), ("plugin", "command"), ("attempt", "1")],
            "plugin call" => vec![("plugin", "command"), ("call", "execute")],
            _ => vec![("program", "echo")],
        };
        for (key, value) in wanted {
            assert_eq!(attribute(span, key).as_deref(), Some(value), "{name} {key}");
        }
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    // The request ended when it was answered, and not with the run.
    let find = |name: &str| *ours.iter().find(|span| span.name == name).unwrap();
    assert!(find("request").end_time_unix_nano < find("operation").end_time_unix_nano);
    // Another request without a trace has one of its own.
    let others = spans
        .iter()
        .filter(|span| span.name == "request" && hex::encode(&span.trace_id) != TRACE);
    assert!(others.count() >= 1);
    let services = collector.services.lock().unwrap();
    assert!(
        services.iter().all(|name| name == "cofferdam"),
        "{services:?}"
    );
}

#[test]
fn a_collector_that_is_not_there_harms_nobody() {
    // Bound for a moment, so that nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = folder();
    let endpoint = format!("http://{nobody}");
    let server = Server::start(folder.path(), &["--otlp-endpoint", &endpoint]);
    for _ in 0..3 {
        let run = server.run(WORKFLOW, &[]);
        assert_eq!(run["run"]["state"], "succeeded", "{run}");
    }
    let ready = server.get("/health/ready", &[]);
    assert_eq!(ready.status, 200, "{}", ready.whole);
    server.stop();
    let log = fs::read_to_string(folder.path().join("serve.log")).unwrap();
    let complaints = log.matches("the collector takes no spans").count();
    assert_eq!(complaints, 1, "{log}");
}

#[test]
fn a_collector_that_never_answers_harms_nobody() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let folder = folder();
    let server = Server::start(folder.path(), &["--otlp-endpoint", &endpoint]);
    for _ in 0..3 {
        let run = server.run(WORKFLOW, &[]);
        assert_eq!(run["run"]["state"], "succeeded", "{run}");
    }
    server.stop();
}

#[test]
fn the_metrics_say_what_happened() {
    let folder = folder();
    let server = Server::start(folder.path(), &[]);
    let run = server.run(WORKFLOW, &[]);
    assert_eq!(run["run"]["state"], "succeeded", "{run}");
    // Counted once the end is written, so perhaps just after it can be read.
    let metrics = wait_for("the end is counted", || {
        let metrics = server.get("/metrics", &[]);
        assert_eq!(metrics.status, 200, "{}", metrics.whole);
        let counted = metrics.body.contains("cofferdam_runs_finished_total{");
        counted.then_some(metrics)
    });
    let value = |line: &str| -> f64 {
        let found = metrics
            .body
            .lines()
            .find_map(|known| known.strip_prefix(line));
        let found = found.unwrap_or_else(|| panic!("no {line} in\n{}", metrics.body));
        found.trim().parse().unwrap()
    };
    for (line, least) in [
        ("cofferdam_runs{state=\"succeeded\"}", 1.0),
        ("cofferdam_runs_finished_total{state=\"succeeded\"}", 1.0),
        (
            "cofferdam_step_attempts_total{plugin=\"command\",outcome=\"succeeded\"}",
            1.0,
        ),
        (
            "cofferdam_plugin_calls_total{plugin=\"command\",call=\"execute\",outcome=\"ok\"}",
            1.0,
        ),
        ("cofferdam_host_operations_total{outcome=\"finished\"}", 1.0),
        (
            "cofferdam_store_write_duration_seconds_count{durability=\"process\"}",
            2.0,
        ),
        (
            "cofferdam_store_write_duration_seconds_count{durability=\"power\"}",
            2.0,
        ),
        ("cofferdam_authentications_total{outcome=\"ok\"}", 2.0),
        (
            "cofferdam_http_requests_total{method=\"POST\",route=\"/api/v1/runs\",status=\"201\"}",
            1.0,
        ),
        ("cofferdam_event_subscribers", 0.0),
        ("process_resident_memory_bytes", 1e6),
    ] {
        assert!(value(line) >= least, "{line} {}", value(line));
    }
    server.stop();
}

#[test]
fn each_line_of_the_log_says_where_it_comes_from() {
    let folder = folder();
    let failing = "name: failing\nsteps:\n  - id: greet\n    uses: command\n    with: { tool: echo, args: [\"hello\"], expect-exit: 7 }\n";
    let server = Server::start(folder.path(), &["--log-format", "json"]);
    let run = server.run(failing, &[]);
    assert_eq!(run["run"]["state"], "failed", "{run}");
    server.stop();
    let log = fs::read_to_string(folder.path().join("serve.log")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let said = lines
        .iter()
        .find(|line| {
            line["level"] == "INFO" && line["message"].as_str().unwrap().contains("ended with 0")
        })
        .unwrap_or_else(|| panic!("{log}"));
    let spans = said["spans"].as_array().unwrap();
    let with = |key: &str| spans.iter().find_map(|span| span.get(key)?.as_str());
    assert_eq!(with("run"), run["run"]["id"].as_str(), "{said}");
    assert_eq!(with("step"), Some("greet"), "{said}");
    assert_eq!(with("plugin"), Some("command"), "{said}");
}
