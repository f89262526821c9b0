//! How much a plugin logs: bytes by call, lines by second over all its calls.

use cofferdam_contract::failure::Limit;
use cofferdam_contract::limits::Limits;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What a line costs beside its text, bytes: empty lines are not free.
const LINE_COST: usize = 64;

/// The lines that a plugin may log in a second; after a quiet second, that many at once.
#[derive(Debug)]
pub(crate) struct LogRate {
    per_second: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    lines: f64,
    filled: Instant,
}

impl LogRate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let per_second = f64::from(limits.log_lines_per_second);
        Self {
            per_second,
            bucket: Mutex::new(Bucket {
                lines: per_second,
                filled: Instant::now(),
            }),
        }
    }

    fn take(&self, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(bucket.filled);
        let filled = passed.as_secs_f64().mul_add(self.per_second, bucket.lines);
        bucket.lines = filled.min(self.per_second);
        bucket.filled = bucket.filled.max(now);
        if bucket.lines < 1.0 {
            return false;
        }
        bucket.lines -= 1.0;
        true
    }
}

/// What one instance may still log in the call going on.
#[derive(Debug)]
pub(crate) struct LogBudget {
    per_call: usize,
    left: usize,
    rate: Arc<LogRate>,
}

impl LogBudget {
    pub(crate) fn new(limits: &Limits, rate: Arc<LogRate>) -> Self {
        let per_call = (limits.log_kib as usize) << 10;
        Self {
            per_call,
            left: per_call,
            rate,
        }
    }

    pub(crate) fn begin_call(&mut self) {
        self.left = self.per_call;
    }

    /// Takes a line of so many bytes, or says which limit it is beyond. What comes after a
    /// line that was too long for the call is dropped too: a log with holes misleads.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Limit> {
        let Some(left) = self.left.checked_sub(bytes.saturating_add(LINE_COST)) else {
            self.left = 0;
            return Err(Limit::LogBytes);
        };
        if !self.rate.take(Instant::now()) {
            return Err(Limit::LogRate);
        }
        self.left = left;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limits(log_kib: u32, log_lines_per_second: u32) -> Limits {
        Limits {
            log_kib,
            log_lines_per_second,
            ..Limits::DEFAULT
        }
    }

    #[test]
    fn a_call_logs_its_bytes_and_a_line_is_never_free() {
        let limits = limits(1, 1_000);
        let mut budget = LogBudget::new(&limits, Arc::new(LogRate::new(&limits)));
        let lines = std::iter::repeat_with(|| budget.charge(0));
        assert_eq!(lines.take_while(Result::is_ok).take(1_000).count(), 16);
        assert_eq!(budget.charge(0), Err(Limit::LogBytes));
        budget.begin_call();
        assert_eq!(budget.charge(2_000), Err(Limit::LogBytes));
        assert_eq!(budget.charge(0), Err(Limit::LogBytes), "no holes");
    }

    #[test]
    fn a_second_gives_its_lines_and_no_more() {
        let rate = LogRate::new(&limits(1, 10));
        let now = Instant::now() + Duration::from_secs(1);
        let taken = |now| (0..100).filter(|_| rate.take(now)).count();
        assert_eq!(taken(now), 10);
        assert_eq!(taken(now + Duration::from_millis(500)), 5);
        assert_eq!(taken(now + Duration::from_secs(100)), 10);
        assert_eq!(taken(now), 0, "time does not go back");
    }

    #[test]
    fn all_calls_share_the_rate() {
        let limits = limits(100, 5);
        let rate = Arc::new(LogRate::new(&limits));
        let mut first = LogBudget::new(&limits, Arc::clone(&rate));
        let mut second = LogBudget::new(&limits, rate);
        let logged = (0..5)
            .filter(|_| first.charge(0).is_ok() | second.charge(0).is_ok())
            .count();
        assert!(logged <= 3, "{logged}");
        assert_eq!(first.charge(0), Err(Limit::LogRate));
    }
}
