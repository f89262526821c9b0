//! Taking up a client's trace.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::context::FutureExt;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

/// Layer around the API: the request's spans belong to the trace that the headers
/// `traceparent` and `tracestate` name (<https://www.w3.org/TR/trace-context/>). Malformed ones
/// count for nothing, as that specification demands.
pub async fn propagated(request: Request, next: Next) -> Response {
    let context = TraceContextPropagator::new().extract(&Headers(request.headers()));
    next.run(request).with_context(context).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TraceContextExt;

    #[test]
    fn only_a_well_formed_parent_counts() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (value, trace) in [
            (parent, Some("0af7651916cd43dd8448eb211c80319c")),
            ("", None),
            (
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                None,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                None,
            ),
            (
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                None,
            ),
            (
                "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                None,
            ),
            ("00-x", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            let context = TraceContextPropagator::new().extract(&Headers(&headers));
            let span = context.span().span_context().clone();
            let found = span.is_valid().then(|| span.trace_id().to_string());
            assert_eq!(found.as_deref(), trace, "{value}");
        }
    }
}
