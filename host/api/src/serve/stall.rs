//! A stream whose writes must make progress.
//!
//! A client that asks for much and reads nothing would hold its connection, and the
//! buffers behind it, for ever: TCP alone lets it.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Fails a write, flush or shutdown that has been waiting for the socket longer than
/// allowed. Reading is left alone.
pub(super) struct StallGuard<S> {
    stream: S,
    allowed: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<S: Unpin> StallGuard<S> {
    pub(super) fn new(stream: S, allowed: Duration) -> Self {
        Self {
            stream,
            allowed,
            timer: Box::pin(tokio::time::sleep(allowed)),
            waiting: false,
        }
    }

    /// `poll`, or the error once it has been pending too long.
    fn guarded<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        if let Poll::Ready(ready) = poll(Pin::new(&mut self.stream), cx) {
            self.waiting = false;
            return Poll::Ready(ready);
        }
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.allowed);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(Error::new(
            ErrorKind::TimedOut,
            "the client does not read",
        )))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.guarded(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.guarded(cx, |stream, cx| stream.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.guarded(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.guarded(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_reader_that_stops_is_given_up() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = StallGuard::new(near, Duration::from_millis(100));
        near.write_all(&[1; 4]).await.unwrap();
        let error = near.write_all(&[2; 4]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // One that reads again is written to again.
        far.read_exact(&mut [0; 4]).await.unwrap();
        near.write_all(&[3; 4]).await.unwrap();
    }
}
