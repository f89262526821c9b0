//! The host's own log and its traces.
//!
//! **Problem.** When a run goes wrong at night, somebody has to find out afterwards which
//! request started it, which step called which plugin, and what the program behind it said,
//! on a host that does a hundred other things at the same time.
//!
//! **Design.** All parts of the host use `tracing`: spans say where one is (request, run,
//! step, plugin call, host operation; their ids are fields), events say what happened. Two
//! things are made of them: a log on standard error, as text or one JSON object a line, in
//! which each line carries the ids of the spans around it; and, where a collector is named,
//! OpenTelemetry traces (OTLP over HTTP, protobuf), in which the spans are one tree across
//! tasks and threads. A client that sends `traceparent` (W3C Trace Context) finds them in its own
//! trace. Both pass through the [`Redactor`], which knows the secrets that were handed out.
//!
//! Spans are sent in batches by a thread of their own from a queue of bounded length; when the
//! collector is slow or gone, spans are dropped and the host goes on. That it is gone is
//! logged once, and once when it is back.
//!
//! **Limits.** A run that goes on after a restart of the host has a new trace; its id is in
//! both. Only spans of the host's own crates are sent.

mod begin;
mod export;
mod log;
mod propagation;

pub use begin::begin;
pub use propagation::propagated;

use anyhow::{Context, Result};
use cofferdam_orchestrator::redact::Redactor;
use export::RedactingExporter;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use std::sync::LazyLock;
use std::time::Duration;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variables that name a collector when the operator's options do not
/// (OpenTelemetry specification, "OpenTelemetry Protocol Exporter").
const ENDPOINT_VARIABLES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
/// Where a collector takes traces, below the address it is named by (the same
/// specification).
const TRACES_PATH: &str = "/v1/traces";
/// How long one batch may take to send.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long spans wait for others to be sent with.
const SEND_EVERY: Duration = Duration::from_secs(1);
/// How long the end of the program waits for the last batch.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Knows every secret that this process hands out; for the host that it opens.
pub fn redactor() -> &'static Redactor {
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::new);
    &REDACTOR
}

/// What the operator wants to see.
#[derive(Debug, Clone, Default)]
pub struct TelemetryOptions {
    /// One JSON object a line instead of text.
    pub json: bool,
    /// A level, or directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// Address of a collector, as `http://127.0.0.1:4318`; none for what the environment
    /// says, and no traces where it says nothing.
    pub otlp_endpoint: Option<String>,
    /// Takes secrets out of both.
    pub redactor: Redactor,
}

/// Log and traces of this process, until it is shut down.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Whether it is a span of the host's own that is always there.
fn is_own_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO && is_own(metadata)
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("cofferdam")
}

/// Begins to log and to trace. Once in a process.
///
/// # Errors
/// A filter or an address that cannot be used.
pub fn start(options: TelemetryOptions) -> Result<Telemetry> {
    let filter = EnvFilter::builder()
        .parse(&options.filter)
        .with_context(|| format!("the log filter {:?} cannot be used", options.filter))?;
    // Without its spans a line would not say which run it is about.
    let filter = filter.or(filter_fn(is_own_span));
    let provider = match endpoint(&options) {
        Some(endpoint) => Some(provider(&endpoint, options.redactor.clone())?),
        None => None,
    };
    let traces = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("cofferdam"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| {
                is_own_span(metadata) || (*metadata.level() <= Level::WARN && is_own(metadata))
            }))
    });
    tracing_subscriber::registry()
        .with(traces)
        .with(log::layer(options.json, options.redactor).with_filter(filter))
        .try_init()
        .context("the log cannot be started twice")?;
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends what is left, for a short time at most. Not to be called from an asynchronous
    /// task.
    pub fn shutdown(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_TIMEOUT)
        {
            tracing::warn!(%error, "the last spans were not sent to the collector");
        }
    }
}

fn endpoint(options: &TelemetryOptions) -> Option<String> {
    let given = options.otlp_endpoint.as_ref().map(|base| {
        let base = base.trim_end_matches('/');
        if base.ends_with(TRACES_PATH) {
            base.to_owned()
        } else {
            format!("{base}{TRACES_PATH}")
        }
    });
    given.or_else(|| {
        ENDPOINT_VARIABLES.into_iter().find_map(|name| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
            // Only the variable for all signals is a base.
            let full = name == ENDPOINT_VARIABLES[0] || value.ends_with(TRACES_PATH);
            let path = if full { "" } else { TRACES_PATH };
            Some(format!("{}{path}", value.trim_end_matches('/')))
        })
    })
}

fn provider(endpoint: &str, redactor: Redactor) -> Result<SdkTracerProvider> {
    // Its client takes whichever cryptography the process has; a second installation of
    // the same one is refused and changes nothing.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint)
        .with_timeout(SEND_TIMEOUT)
        .build()
        .with_context(|| format!("traces cannot be sent to {endpoint}"))?;
    let batches = BatchConfigBuilder::default()
        .with_scheduled_delay(SEND_EVERY)
        .build();
    let processor =
        BatchSpanProcessor::builder(RedactingExporter::new(exporter, redactor, endpoint))
            .with_batch_config(batches)
            .build();
    let resource = Resource::builder().with_attribute(opentelemetry::KeyValue::new(
        "service.version",
        env!("CARGO_PKG_VERSION"),
    ));
    let resource = match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => resource,
        None => resource.with_service_name("cofferdam"),
    };
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_resource(resource.build())
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_the_path_of_traces_once() {
        for (given, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
            ("https://c.example/otlp", "https://c.example/otlp/v1/traces"),
            ("https://c.example/v1/traces", "https://c.example/v1/traces"),
        ] {
            let options = TelemetryOptions {
                otlp_endpoint: Some(given.to_owned()),
                ..TelemetryOptions::default()
            };
            assert_eq!(endpoint(&options).as_deref(), Some(expected));
        }
    }
}
