//! A stream whose bytes are charged to a budget.

use cofferdam_runtime::EgressBudget;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is charged, and handed to the network, at once.
const AT_ONCE: usize = 16 << 10;

/// Charges what is sent before it is sent, and what was received when it is there.
pub(super) struct Charged<S> {
    stream: S,
    budget: Arc<EgressBudget>,
    /// Charged and not sent yet.
    paid: usize,
}

impl<S> Charged<S> {
    pub(super) fn new(stream: S, budget: Arc<EgressBudget>) -> Self {
        Self {
            stream,
            budget,
            paid: 0,
        }
    }

    fn charge(&self, bytes: usize) -> io::Result<()> {
        self.budget.charge(bytes as u64).map_err(io::Error::other)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Charged<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let received = buffer.filled().len().saturating_sub(before);
        Poll::Ready(self.charge(received))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Charged<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let some = bytes.get(..AT_ONCE).unwrap_or(bytes);
        if let Some(more) = some.len().checked_sub(self.paid) {
            self.charge(more)?;
            self.paid = some.len();
        }
        let sent = ready!(Pin::new(&mut self.stream).poll_write(context, some))?;
        self.paid = self.paid.saturating_sub(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
