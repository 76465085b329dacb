//! A stream that enforces a minimum rate at which the peer reads.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connections::Activity;

/// Time within which a client must read [`MIN_PROGRESS`] octets after a write blocks.
pub(super) const LIMIT: Duration = Duration::from_secs(15);

/// Octets that count as progress; about a kilobyte a second.
const MIN_PROGRESS: usize = 16 * 1024;

/// A stream whose writes fail with `TimedOut` when the client reads more slowly than that.
pub(super) struct MinimumRate<S> {
    stream: S,
    activity: Arc<Activity>,
    /// Progress since a write blocked.
    wait: Option<Wait>,
}

struct Wait {
    limit: Pin<Box<Sleep>>,
    /// Octets written since then.
    written: usize,
    /// The request that the answer belongs to.
    request: u64,
}

impl<S> MinimumRate<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            activity,
            wait: None,
        }
    }

    fn limit(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(octets)) => {
                if let Some(wait) = &mut self.wait {
                    wait.written += octets;
                    if wait.written >= MIN_PROGRESS {
                        self.wait = None;
                        self.activity.note_progress();
                    }
                }
                Poll::Ready(Ok(octets))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let request = self.activity.requests();
                // A new request shows that the previous answer was read.
                let wait = match &mut self.wait {
                    Some(wait) if wait.request == request => wait,
                    other => other.insert(Wait {
                        limit: Box::pin(sleep(LIMIT)),
                        written: 0,
                        request,
                    }),
                };
                ready!(wait.limit.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MinimumRate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MinimumRate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.limit(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.limit(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
