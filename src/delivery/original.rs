//! The content of `raw_url` in the webhook JSON: the same message as `raw`, read a piece at a time.

use hyper::body::{Body, Bytes};

use super::DeliveredMessage;
use super::message::ReadPosition;
use crate::domain::{Domain, LedgerId};
use crate::outbound::body_stream::BodyStream;
use crate::store::{PIECE, Store, StoreError};

/// The original message of an entry, without the fields that destinations must not trust.
#[derive(Debug)]
pub struct OriginalMessage {
    message: DeliveredMessage,
}

impl OriginalMessage {
    /// Opens the original message; `None` if the content is no longer kept.
    ///
    /// # Errors
    /// The content cannot be read.
    pub async fn open(
        ledger: LedgerId,
        store: &Store,
        hostname: &Domain,
    ) -> Result<Option<Self>, StoreError> {
        let Some((content, start)) = store.content(ledger, PIECE).await? else {
            return Ok(None);
        };
        let message = DeliveredMessage::open(Vec::new(), start, content, hostname).await?;
        Ok(Some(Self { message }))
    }

    /// The message as a body that is read while it is sent.
    pub fn into_body(self) -> impl Body<Data = Bytes, Error = StoreError> + Send + 'static {
        let octets = self.message.original_len();
        BodyStream::begin(octets, |sender| async move {
            let mut place = ReadPosition::ORIGINAL;
            loop {
                let piece = self.message.piece(&mut place).await;
                let piece = piece.map(|piece| piece.map(|piece| Bytes::from(piece.into_owned())));
                let Some(piece) = piece.transpose() else {
                    return;
                };
                let is_last = piece.is_err();
                if sender.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        })
    }
}
