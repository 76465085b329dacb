//! In: a message. Out: the outcome of an HTTP POST of the message, or of its parsed content.
//!
//! The message, raw or as a form field, is read twice from the store, a piece at a time: once to sign it, because
//! the signature is sent before the body, and once to send it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;

use super::webhook_json;
use crate::config::{WebhookDestination, WebhookFormat};
use crate::delivery::OutgoingMessage;
use crate::delivery::message::ReadPosition;
use crate::domain::Timestamp;
use crate::outbound::body_stream::BodyStream;
use crate::outbound::http::{HttpClient, RequestMeta};
use crate::outbound::{AttemptOutcome, Cause};
use crate::store::StoreError;

/// A URL that takes messages.
pub(in crate::delivery) struct Webhook {
    config: WebhookDestination,
    client: HttpClient,
}

impl Webhook {
    pub(in crate::delivery) fn new(config: &WebhookDestination) -> Self {
        Self {
            config: config.clone(),
            client: HttpClient::new(&config.endpoint, config.concurrency),
        }
    }

    pub(in crate::delivery) async fn attempt(
        &self,
        outgoing: &Arc<OutgoingMessage>,
    ) -> AttemptOutcome {
        let posted = match self.config.format {
            WebhookFormat::Raw => self.stream(outgoing, "message/rfc822", Form::Raw).await,
            WebhookFormat::Form => {
                let form = Form::Field(self.config.field.clone());
                let kind = "application/x-www-form-urlencoded";
                self.stream(outgoing, kind, form).await
            }
            WebhookFormat::Json => self.json(outgoing).await,
        };
        posted.unwrap_or_else(AttemptOutcome::Retry)
    }

    async fn stream(
        &self,
        outgoing: &Arc<OutgoingMessage>,
        content_type: &'static str,
        form: Form,
    ) -> Result<AttemptOutcome, Cause> {
        let id = outgoing.claim().request().to_string();
        let seconds = Timestamp::now().as_second();
        let mut signature = self.client.signature(&id, seconds)?;
        let mut octets = 0;
        let mut reading = Reading::new(Arc::clone(outgoing), form.clone());
        // Content-Length is sent before the body, too, and the length of a form is known only after reading it.
        while let Some(piece) = reading.next().await? {
            octets += u64::try_from(piece.len()).unwrap_or_default();
            if let Some(signature) = &mut signature {
                signature.add(&piece);
            }
        }
        let meta = RequestMeta {
            id: &id,
            seconds,
            content_type,
            signature,
        };
        let mut reading = Reading::new(Arc::clone(outgoing), form);
        let body = BodyStream::begin(octets, |sender| async move {
            while let Some(piece) = reading.next().await.transpose() {
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
        });
        Ok(self.client.post(meta, reqwest::Body::wrap(body)).await)
    }

    async fn json(&self, outgoing: &Arc<OutgoingMessage>) -> Result<AttemptOutcome, Cause> {
        let is_long = outgoing.message().original_len() > webhook_json::MAX_RAW;
        let raw_url = if is_long {
            outgoing.raw_url(Timestamp::now()).await?
        } else {
            None
        };
        let raw = outgoing.message().original().await?;
        let making = Arc::clone(outgoing);
        // Parsing takes time, and a message may make the parser panic.
        let made =
            tokio::task::spawn_blocking(move || webhook_json::body(&making, &raw, raw_url)).await;
        let body = match made {
            Ok(body) => body,
            Err(panic) => {
                let cause = Cause::internal(&format!("internal error in vestibule: {panic}"));
                return Ok(AttemptOutcome::Refused(cause));
            }
        };
        let id = outgoing.claim().request().to_string();
        Ok(self.client.post_json(&id, body).await)
    }
}

/// Body formats of a message.
#[derive(Clone)]
enum Form {
    Raw,
    /// `NAME=` and the base64 of the message, as in a form.
    Field(String),
}

/// Reads a message in its format, piece by piece.
struct Reading {
    outgoing: Arc<OutgoingMessage>,
    form: Form,
    place: ReadPosition,
    begun: bool,
    /// Octets that do not yet fill a group of three, the unit of base64.
    over: Vec<u8>,
}

impl Reading {
    fn new(outgoing: Arc<OutgoingMessage>, form: Form) -> Self {
        Self {
            outgoing,
            form,
            place: ReadPosition::default(),
            begun: false,
            over: Vec::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if let (Form::Field(name), false) = (&self.form, self.begun) {
            self.begun = true;
            return Ok(Some(Bytes::from(format!("{}=", encode(name)))));
        }
        let piece = self.outgoing.message().piece(&mut self.place).await?;
        let is_raw = matches!(self.form, Form::Raw);
        Ok(match piece {
            Some(piece) if is_raw => Some(Bytes::from(piece.into_owned())),
            Some(piece) => {
                self.over.extend_from_slice(&piece);
                let whole = self.over.len() / 3 * 3;
                let rest = self.over.split_off(whole);
                let ready = std::mem::replace(&mut self.over, rest);
                Some(encode(&STANDARD.encode(ready)).into())
            }
            None if self.over.is_empty() => None,
            None => {
                let last = std::mem::take(&mut self.over);
                Some(encode(&STANDARD.encode(last)).into())
            }
        })
    }
}

/// Form encoding (the URL standard), which escapes three of base64's characters.
fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
