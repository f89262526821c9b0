//! The log on standard error.

use cofferdam_orchestrator::redact::Redactor;
use std::io::{self, IsTerminal, Write};
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// Lines of text, coloured on a terminal unless `NO_COLOR` is set (<https://no-color.org>), or
/// JSON objects with the members `timestamp`, `level`, `target`, `message`, those of the
/// event, and `spans`: the spans around it with their fields, outermost first.
pub fn layer<S>(json: bool, redactor: Redactor) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let writer = Lines { redactor };
    if json {
        return tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .with_writer(writer)
            .boxed();
    }
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal() && !plain)
        .with_writer(writer)
        .boxed()
}

/// Writes whole lines without secrets to standard error.
#[derive(Clone)]
struct Lines {
    redactor: Redactor,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    // Called with one whole line at a time, so that no secret is cut in two.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(&self.redactor.bytes(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
