//! The host's own process, with the names that Prometheus client libraries share
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>), from
//! Linux' `/proc/self` (proc(5)). What cannot be read is left out.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub(super) struct ProcessCollector {
    started: f64,
}

impl ProcessCollector {
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: now.map_or(0.0, |since| since.as_secs_f64()),
        }
    }
}

/// One line of `/proc/self/status` in bytes or plain.
fn status(text: &str, key: &str) -> Option<i64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?
        .trim();
    match value.strip_suffix(" kB") {
        Some(kibibytes) => kibibytes.trim().parse::<i64>().ok()?.checked_mul(1024),
        None => value.parse().ok(),
    }
}

/// The soft limit of open files in `/proc/self/limits`.
fn max_files(text: &str) -> Option<i64> {
    text.lines()
        .find_map(|line| line.strip_prefix("Max open files"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let about = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let files = std::fs::read_dir("/proc/self/fd")
            .ok()
            // Reading the folder opens one more.
            .and_then(|entries| i64::try_from(entries.count().saturating_sub(1)).ok());
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Resident memory",
                status(&about, "VmRSS"),
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory",
                status(&about, "VmSize"),
            ),
            ("process_threads", "Threads", status(&about, "Threads")),
            ("process_open_fds", "Open file descriptors", files),
            (
                "process_max_fds",
                "Most open file descriptors",
                max_files(&limits),
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                gauge(&mut encoder, name, help, &ConstGauge::new(value))?;
            }
        }
        gauge(
            &mut encoder,
            "process_start_time_seconds",
            "When the host started, seconds since 1970",
            &ConstGauge::new(self.started),
        )
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &impl EncodeMetric,
) -> Result<(), std::fmt::Error> {
    let metric = encoder.encode_descriptor(name, help, None, value.metric_type())?;
    value.encode(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_read_in_bytes() {
        let text = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t7\nOdd:\tkB\n";
        assert_eq!(status(text, "VmRSS"), Some(1234 * 1024));
        assert_eq!(status(text, "Threads"), Some(7));
        assert_eq!(status(text, "Odd"), None);
        assert_eq!(status(text, "VmSize"), None);
    }

    #[test]
    fn limits_are_read() {
        let text = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(max_files(text), Some(1024));
        assert_eq!(max_files("Max open files unlimited unlimited files"), None);
    }
}
