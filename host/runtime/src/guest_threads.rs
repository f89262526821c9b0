//! The threads that guests run on.
//!
//! At most cores - 1 (at least one), so that however busy guests are, the host answers.
//! A future that is awaited from one of these threads already (a nested call) runs where
//! it is: handing it to another thread would cost time and could wait for itself.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::available_parallelism;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};
use tracing::Instrument;

/// A tokio runtime of its own.
pub(crate) struct GuestThreads {
    /// Taken when it is shut down.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl GuestThreads {
    /// Starts the threads.
    pub(crate) fn start() -> std::io::Result<Self> {
        let cores = available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores.saturating_sub(1).max(1))
            .thread_name("guest")
            // A guest that never rests is polled for a tick at a time. Calls that come from
            // other threads, and timers, are looked for after few of these polls, where
            // tokio's own choice (some dozens) is for polls of microseconds.
            .global_queue_interval(1)
            .event_interval(8)
            // Nested calls are polled on top of each other, with a compiler's worth of
            // host frames between them.
            .thread_stack_size(8 << 20)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self {
            runtime: Some(runtime),
            handle,
        })
    }

    /// The runtime's handle.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs `future` on the guest threads. Dropping what this returns drops `future`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        let here = Handle::try_current().is_ok_and(|handle| handle.id() == self.handle.id());
        if here {
            Ok(future.await)
        } else {
            AbortOnDrop(self.handle.spawn(future.in_current_span())).await
        }
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        // Waiting here would panic where the last owner is itself asynchronous.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
