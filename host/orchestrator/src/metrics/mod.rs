//! What the host counts and measures, for Prometheus.
//!
//! **Design.** One registry for the whole host; each part counts through the functions of
//! [`Metrics`], which fix names and labels in one place. What the store knows better (how many
//! runs are in which state, how many approvals wait) is asked of it when the metrics are
//! read, so that it is right after a restart too. The text is OpenMetrics 1.0
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), which Prometheus and its kin
//! read.
//!
//! **Limits.** Labels hold only what has few values: ids of plugins, states, route templates;
//! never ids of runs, names of users or projects, or anything that a caller chooses freely.

mod process;

use cofferdam_contract::failure::Limit;
use cofferdam_contract::limits::LimitObserver;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;

/// The media type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The methods that HTTP requests are counted by; others count as `OTHER`.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    plugin: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Plugin {
    plugin: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginCall {
    plugin: String,
    call: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLimit {
    plugin: String,
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Durability {
    durability: String,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// 50 µs to 26 s, for what is usually short.
fn short() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}

/// 1 ms to 4.6 h, for what may be anything.
fn long() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 13))
}

/// What the store knows at the time the metrics are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many runs are in each state; states that are left out keep no earlier value.
    pub runs: Vec<(String, u64)>,
    /// How many approvals wait for a decision.
    pub approvals_waiting: u64,
}

/// The host's metrics.
pub struct Metrics {
    registry: Registry,
    runs: Family<State, Gauge>,
    runs_finished: Family<State, Counter>,
    approvals_waiting: Gauge,
    attempts: Family<Attempt, Counter>,
    attempt_duration: Histograms<Plugin>,
    retries: Family<Plugin, Counter>,
    operations: Family<Outcome, Counter>,
    plugin_calls: Family<PluginCall, Counter>,
    plugin_call_duration: Histograms<Plugin>,
    plugin_limits: Family<PluginLimit, Counter>,
    requests: Family<Request, Counter>,
    request_duration: Histograms<Route>,
    authentications: Family<Outcome, Counter>,
    store_writes: Histograms<Durability>,
    subscribers: Gauge,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that have counted nothing yet.
    pub fn new() -> Self {
        let mut root = Registry::default();
        root.register_collector(Box::new(process::ProcessCollector::new()));
        let registry = root.sub_registry_with_prefix("cofferdam");
        let metrics = Self {
            registry: Registry::default(),
            runs: Family::default(),
            runs_finished: Family::default(),
            approvals_waiting: Gauge::default(),
            attempts: Family::default(),
            attempt_duration: Family::new_with_constructor(long),
            retries: Family::default(),
            operations: Family::default(),
            plugin_calls: Family::default(),
            plugin_call_duration: Family::new_with_constructor(short),
            plugin_limits: Family::default(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(short),
            authentications: Family::default(),
            store_writes: Family::new_with_constructor(short),
            subscribers: Gauge::default(),
        };
        registry.register(
            "build",
            "The running program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register("runs", "Runs that exist, by state", metrics.runs.clone());
        registry.register(
            "runs_finished",
            "Runs that ended since the host started, by how",
            metrics.runs_finished.clone(),
        );
        registry.register(
            "approvals_waiting",
            "Approvals that wait for a decision",
            metrics.approvals_waiting.clone(),
        );
        registry.register(
            "step_attempts",
            "Attempts at steps that ended, by plugin and how",
            metrics.attempts.clone(),
        );
        registry.register_with_unit(
            "step_attempt_duration",
            "How long attempts at steps took",
            Unit::Seconds,
            metrics.attempt_duration.clone(),
        );
        registry.register(
            "step_retries",
            "Attempts that failed and are made again",
            metrics.retries.clone(),
        );
        registry.register(
            "host_operations",
            "Host operations: started anew, answered from the record, finished, lost",
            metrics.operations.clone(),
        );
        registry.register(
            "plugin_calls",
            "Calls to plugins, by function and how they ended",
            metrics.plugin_calls.clone(),
        );
        registry.register_with_unit(
            "plugin_call_duration",
            "How long calls to plugins took",
            Unit::Seconds,
            metrics.plugin_call_duration.clone(),
        );
        registry.register(
            "plugin_limits_reached",
            "How often plugins reached a limit: stopped, made to wait, or not logged",
            metrics.plugin_limits.clone(),
        );
        registry.register(
            "http_requests",
            "Requests to the API, by route template",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "How long requests to the API took until their answer began",
            Unit::Seconds,
            metrics.request_duration.clone(),
        );
        registry.register(
            "authentications",
            "Tokens that were checked, by result",
            metrics.authentications.clone(),
        );
        registry.register_with_unit(
            "store_write_duration",
            "How long transactions of the store took, by what they survive",
            Unit::Seconds,
            metrics.store_writes.clone(),
        );
        registry.register(
            "event_subscribers",
            "Streams of events that are open",
            metrics.subscribers.clone(),
        );
        Self {
            registry: root,
            ..metrics
        }
    }

    /// A run ended in `state`.
    pub fn run_finished(&self, state: &str) {
        self.runs_finished
            .get_or_create(&State {
                state: state.to_owned(),
            })
            .inc();
    }

    /// An attempt at a step with `plugin` ended in `outcome`, a step state's word.
    pub fn step_attempt(&self, plugin: &str, outcome: &str, took: Duration) {
        let plugin = plugin.to_owned();
        self.attempts
            .get_or_create(&Attempt {
                plugin: plugin.clone(),
                outcome: outcome.to_owned(),
            })
            .inc();
        self.attempt_duration
            .get_or_create(&Plugin { plugin })
            .observe(took.as_secs_f64());
    }

    /// A failed attempt at a step with `plugin` will be made again.
    pub fn step_retry(&self, plugin: &str) {
        self.retries
            .get_or_create(&Plugin {
                plugin: plugin.to_owned(),
            })
            .inc();
    }

    /// A host operation was `started`, `reused`, `finished` or `lost`.
    pub fn operation(&self, outcome: &str) {
        self.operations
            .get_or_create(&Outcome {
                outcome: outcome.to_owned(),
            })
            .inc();
    }

    /// A call to function `call` of `plugin` ended in `outcome`: `ok` or an error code.
    pub fn plugin_call(&self, plugin: &str, call: &str, outcome: &str, took: Duration) {
        let plugin = plugin.to_owned();
        self.plugin_calls
            .get_or_create(&PluginCall {
                plugin: plugin.clone(),
                call: call.to_owned(),
                outcome: outcome.to_owned(),
            })
            .inc();
        self.plugin_call_duration
            .get_or_create(&Plugin { plugin })
            .observe(took.as_secs_f64());
    }

    /// A request was answered. `route` is the template (`/api/v1/runs/{id}`); none for a path
    /// that has no route.
    pub fn http_request(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let method = METHODS
            .into_iter()
            .find(|known| *known == method)
            .unwrap_or("OTHER");
        let route = route.unwrap_or("none").to_owned();
        self.requests
            .get_or_create(&Request {
                method,
                route: route.clone(),
                status,
            })
            .inc();
        self.request_duration
            .get_or_create(&Route { method, route })
            .observe(took.as_secs_f64());
    }

    /// A token was checked: `ok`, `refused`, `held-up`, or `failed` for what is not its fault.
    pub fn authentication(&self, outcome: &str) {
        self.authentications
            .get_or_create(&Outcome {
                outcome: outcome.to_owned(),
            })
            .inc();
    }

    /// A transaction of the store ended; `durability` is `process` or `power`.
    pub fn store_write(&self, durability: &str, took: Duration) {
        self.store_writes
            .get_or_create(&Durability {
                durability: durability.to_owned(),
            })
            .observe(took.as_secs_f64());
    }

    /// One more stream of events is open until the answer is dropped.
    pub fn subscriber(self: &Arc<Self>) -> Subscriber {
        self.subscribers.inc();
        Subscriber(Arc::clone(self))
    }

    /// All metrics as text of type [`CONTENT_TYPE`].
    pub fn render(&self, standing: &Standing) -> String {
        self.runs.clear();
        for (state, count) in &standing.runs {
            let state = State {
                state: state.clone(),
            };
            self.runs.get_or_create(&state).set(clamp(*count));
        }
        self.approvals_waiting
            .set(clamp(standing.approvals_waiting));
        let mut text = String::new();
        // Writing to a string does not fail; a half text would be refused by its reader for
        // the missing end mark.
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

impl LimitObserver for Metrics {
    fn limit_reached(&self, plugin: &str, limit: Limit) {
        self.plugin_limits
            .get_or_create(&PluginLimit {
                plugin: plugin.to_owned(),
                limit: limit.name(),
            })
            .inc();
    }
}

/// Counts a stream of events for as long as it lives.
#[derive(Debug)]
pub struct Subscriber(Arc<Metrics>);

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.0.subscribers.dec();
    }
}

fn clamp(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(text: &'a str, start: &str) -> Option<&'a str> {
        text.lines().find(|line| line.starts_with(start))
    }

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Arc::new(Metrics::new());
        let second = Duration::from_secs(1);
        metrics.run_finished("succeeded");
        metrics.step_attempt("command", "failed", second);
        metrics.step_retry("command");
        metrics.operation("reused");
        metrics.plugin_call("command", "execute", "ok", second);
        metrics.limit_reached("command", Limit::Memory);
        metrics.http_request("GET", Some("/api/v1/runs/{id}"), 200, second);
        metrics.http_request("BREW", None, 404, second);
        metrics.authentication("refused");
        metrics.store_write("power", second);
        let open = metrics.subscriber();
        let standing = Standing {
            runs: vec![("running".to_owned(), 3)],
            approvals_waiting: 2,
        };
        let text = metrics.render(&standing);
        for expected in [
            "cofferdam_runs{state=\"running\"} 3",
            "cofferdam_runs_finished_total{state=\"succeeded\"} 1",
            "cofferdam_approvals_waiting 2",
            "cofferdam_step_attempts_total{plugin=\"command\",outcome=\"failed\"} 1",
            "cofferdam_step_attempt_duration_seconds_sum{plugin=\"command\"} 1",
            "cofferdam_step_retries_total{plugin=\"command\"} 1",
            "cofferdam_host_operations_total{outcome=\"reused\"} 1",
            "cofferdam_plugin_calls_total{plugin=\"command\",call=\"execute\",outcome=\"ok\"} 1",
            "cofferdam_plugin_limits_reached_total{plugin=\"command\",limit=\"memory\"} 1",
            "cofferdam_http_requests_total{method=\"GET\",route=\"/api/v1/runs/{id}\",status=\"200\"} 1",
            "cofferdam_http_requests_total{method=\"OTHER\",route=\"none\",status=\"404\"} 1",
            "cofferdam_authentications_total{outcome=\"refused\"} 1",
            "cofferdam_store_write_duration_seconds_count{durability=\"power\"} 1",
            "cofferdam_event_subscribers 1",
            "cofferdam_build_info{version=",
        ] {
            assert!(
                line(&text, expected).is_some(),
                "{expected} is not in\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n"));
        drop(open);
        let text = metrics.render(&Standing::default());
        assert!(line(&text, "cofferdam_event_subscribers 0").is_some());
        assert!(line(&text, "cofferdam_runs{").is_none(), "{text}");
    }

    #[test]
    fn the_process_is_measured() {
        let text = Metrics::new().render(&Standing::default());
        for name in [
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
        ] {
            let value: f64 = line(&text, &format!("{name} "))
                .unwrap_or_else(|| panic!("{name} is not in\n{text}"))
                .rsplit(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            assert!(value >= 1.0, "{name} {value}");
        }
    }

    #[test]
    fn every_name_is_as_prometheus_wants_it() {
        let text = Metrics::new().render(&Standing::default());
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).unwrap();
            assert!(
                name.starts_with("cofferdam_") || name.starts_with("process_"),
                "{name}"
            );
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{name}"
            );
        }
    }
}
