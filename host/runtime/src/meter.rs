//! Guest CPU: the thread time of a call.
//!
//! **Problem.** Wall time punishes a plugin for a slow disk, counting instructions lets a
//! loop of cheap host calls go free, and calls nest: a fixer's read runs a file-system
//! plugin on the same thread, which must be charged to that plugin and to it alone.
//!
//! **Design.** A call is a future; [`Metered`] reads the thread's clock ([`thread_clock`])
//! before and after each poll. Between polls (suspended) nothing is charged, inside one
//! everything is, host functions too. A nested metered poll leaves what it took in a
//! thread-local account, which the poll around it subtracts. The epoch callback asks
//! [`Meter::is_spent`] while the guest runs; after each poll the same is asked again, for
//! time spent in host functions.
//!
//! **Limits.** The granularity is one tick of the epoch, or one host function; a poll in which
//! the thread was interrupted is charged up to half a millisecond too much.

use crate::thread_clock;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

thread_local! {
    /// Thread time of metered polls that ended inside the metered poll going on.
    static NESTED: Cell<u64> = const { Cell::new(0) };
}

/// What one call may use, and has used.
#[derive(Debug, Default)]
pub struct Meter {
    allowed: AtomicU64,
    used: AtomicU64,
    poll_began: AtomicU64,
}

impl Meter {
    /// Begins a call that may use `allowed`.
    pub fn reset(&self, allowed: Duration) {
        let nanoseconds = u64::try_from(allowed.as_nanos()).unwrap_or(u64::MAX);
        self.allowed.store(nanoseconds, Ordering::Relaxed);
        self.used.store(0, Ordering::Relaxed);
    }

    /// What finished polls of this call used.
    pub fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Ordering::Relaxed))
    }

    /// Whether the call has used more than it may. Asked from inside a poll of it.
    pub fn is_spent(&self) -> bool {
        let this_poll = thread_clock::read()
            .saturating_sub(self.poll_began.load(Ordering::Relaxed))
            .saturating_sub(NESTED.get());
        let used = self.used.load(Ordering::Relaxed);
        used.saturating_add(this_poll) > self.allowed.load(Ordering::Relaxed)
    }
}

/// The call used more thread time than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent;

/// A future whose polls are charged to a meter.
#[derive(Debug)]
pub struct Metered<F> {
    meter: Arc<Meter>,
    future: Pin<Box<F>>,
}

impl<F> Metered<F> {
    /// Charges `future` to `meter`.
    pub fn new(meter: Arc<Meter>, future: F) -> Self {
        Self {
            meter,
            future: Box::pin(future),
        }
    }
}

/// Settles the accounts at the end of a poll, panics included.
struct PollAccount<'a> {
    meter: &'a Meter,
    began: u64,
    nested_before: u64,
}

impl Drop for PollAccount<'_> {
    fn drop(&mut self) {
        let took = thread_clock::read().saturating_sub(self.began);
        let own = took.saturating_sub(NESTED.get());
        self.meter.used.fetch_add(own, Ordering::Relaxed);
        NESTED.set(self.nested_before.saturating_add(took));
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = Result<F::Output, Spent>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let began = thread_clock::read();
        this.meter.poll_began.store(began, Ordering::Relaxed);
        let account = PollAccount {
            meter: &this.meter,
            began,
            nested_before: NESTED.replace(0),
        };
        let polled = this.future.as_mut().poll(context);
        drop(account);
        let used = this.meter.used.load(Ordering::Relaxed);
        if used > this.meter.allowed.load(Ordering::Relaxed) {
            return Poll::Ready(Err(Spent));
        }
        polled.map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burn(milliseconds: u64) {
        let end = thread_clock::exact() + milliseconds * 1_000_000;
        while thread_clock::exact() < end {}
    }

    fn meter(milliseconds: u64) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        meter.reset(Duration::from_millis(milliseconds));
        meter
    }

    #[tokio::test]
    async fn polls_add_up_and_waiting_is_free() {
        let meter = meter(60_000);
        let call = Metered::new(meter.clone(), async {
            burn(5);
            tokio::time::sleep(Duration::from_millis(200)).await;
            burn(5);
        });
        assert_eq!(call.await, Ok(()));
        let used = meter.used();
        assert!(used >= Duration::from_millis(10), "{used:?}");
        assert!(used < Duration::from_millis(150), "{used:?}");
    }

    #[tokio::test]
    async fn nested_work_is_charged_to_the_nested_call_alone() {
        let (outer, inner) = (meter(60_000), meter(60_000));
        let nested = Metered::new(inner.clone(), async {
            burn(200);
            tokio::task::yield_now().await;
            burn(200);
        });
        let call = Metered::new(outer.clone(), async {
            burn(5);
            nested.await.unwrap();
            burn(5);
        });
        call.await.unwrap();
        assert!(inner.used() >= Duration::from_millis(400));
        assert!(outer.used() >= Duration::from_millis(10));
        assert!(
            outer.used() < Duration::from_millis(150),
            "{:?}",
            outer.used()
        );
    }

    #[tokio::test]
    async fn host_work_that_never_yields_is_found_at_the_end_of_the_poll() {
        let meter = meter(5);
        let inner = meter.clone();
        let call = Metered::new(meter, async move {
            assert!(!inner.is_spent());
            burn(10);
            assert!(inner.is_spent());
        });
        assert_eq!(call.await, Err(Spent));
    }
}
