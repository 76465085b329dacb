//! A body that is read while it is sent. If the message cannot be read to its end, the body is aborted.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::store::StoreError;

/// Channel for the pieces of a body.
pub type PieceSender = mpsc::Sender<Result<Bytes, StoreError>>;

pub struct BodyStream {
    pieces: mpsc::Receiver<Result<Bytes, StoreError>>,
    left: u64,
}

impl BodyStream {
    /// Begins a body. `octets` is the length of all pieces; `read` sends them, one at a time.
    pub fn begin<F>(octets: u64, read: impl FnOnce(PieceSender) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(1);
        tokio::spawn(read(sender));
        Self {
            pieces,
            left: octets,
        }
    }
}

impl Body for BodyStream {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        let piece = ready!(self.pieces.poll_recv(cx));
        if let Some(Ok(piece)) = &piece {
            let octets = u64::try_from(piece.len()).unwrap_or_default();
            self.left = self.left.saturating_sub(octets);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
