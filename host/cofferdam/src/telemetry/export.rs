//! Spans on their way to the collector.

use cofferdam_orchestrator::redact::Redactor;
use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Takes secrets out of spans, and says when they do not arrive.
#[derive(Debug)]
pub struct RedactingExporter<E> {
    inner: E,
    redactor: Redactor,
    endpoint: String,
    failing: AtomicBool,
}

impl<E> RedactingExporter<E> {
    /// Sends through `inner`; `endpoint` is for messages.
    pub fn new(inner: E, redactor: Redactor, endpoint: &str) -> Self {
        Self {
            inner,
            redactor,
            endpoint: endpoint.to_owned(),
            failing: AtomicBool::new(false),
        }
    }

    fn clean(&self, span: &mut SpanData) {
        if let Cow::Owned(name) = self.redactor.text(&span.name) {
            span.name = name.into();
        }
        if let Status::Error { description } = &mut span.status
            && let Cow::Owned(text) = self.redactor.text(description)
        {
            *description = text.into();
        }
        self.clean_all(&mut span.attributes);
        for event in &mut span.events.events {
            if let Cow::Owned(name) = self.redactor.text(&event.name) {
                event.name = name.into();
            }
            self.clean_all(&mut event.attributes);
        }
    }

    fn clean_all(&self, attributes: &mut [KeyValue]) {
        for attribute in attributes {
            match &mut attribute.value {
                Value::String(text) => self.clean_text(text),
                Value::Array(Array::String(texts)) => {
                    texts.iter_mut().for_each(|text| self.clean_text(text));
                }
                _ => {}
            }
        }
    }

    fn clean_text(&self, text: &mut StringValue) {
        if let Cow::Owned(redacted) = self.redactor.text(text.as_str()) {
            *text = redacted.into();
        }
    }

    fn note(&self, result: &OTelSdkResult) {
        let failed = result.is_err();
        if self.failing.swap(failed, Ordering::Relaxed) == failed {
            return;
        }
        match result {
            Ok(()) => tracing::info!(endpoint = self.endpoint, "the collector takes spans again"),
            Err(error) => tracing::warn!(
                endpoint = self.endpoint,
                %error,
                "the collector takes no spans; they are dropped until it does"
            ),
        }
    }
}

impl<E: SpanExporter> SpanExporter for RedactingExporter<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(|span| self.clean(span));
        let result = self.inner.export(batch).await;
        self.note(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
