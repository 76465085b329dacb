//! In: a body and an endpoint. Out: the outcome of an HTTP POST.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx | delivered |
//! | 400, 413, 415, 422 | refused: the same message would be refused again |
//! | 3xx, 401, 404, 405, 407, 410, 429, 502, 503, 504 | retry, destination |
//! | any other | retry |
//! | none: connection or TLS failed, timeout | retry, destination |
//! | none: the connection broke later | retry |
//! | none: the message could not be read to its end | retry, internal |
//!
//! Redirects are not followed and no proxy is used, so the address that was checked is the one that is called.

use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::webhook_signature::{self, Signature};
use super::{AttemptOutcome, Cause, Scope, private_network, tls};
use crate::config::{Endpoint, HttpCredentials};
use crate::domain::Timestamp;
use crate::store::StoreError;

/// Maximum octets of an error answer that are read for its cause.
const MAX_ERROR_BODY: usize = 400;

/// An endpoint with its connections.
pub struct HttpClient {
    endpoint: Endpoint,
    /// Maximum number of connections that are kept open.
    concurrency: usize,
    client: OnceCell<Client>,
}

/// Metadata of a POST, sent as header fields.
pub struct RequestMeta<'a> {
    /// The same for every attempt.
    pub id: &'a str,
    /// Seconds since 1970.
    pub seconds: i64,
    pub content_type: &'static str,
    /// `None` without a secret.
    pub signature: Option<Signature>,
}

impl HttpClient {
    pub fn new(endpoint: &Endpoint, concurrency: usize) -> Self {
        Self {
            endpoint: endpoint.clone(),
            concurrency,
            client: OnceCell::new(),
        }
    }

    /// Begins the signature of a body, if there is a secret. The body's pieces are added to it.
    pub fn signature(&self, id: &str, seconds: i64) -> Result<Option<Signature>, Cause> {
        let Some(secret) = &self.endpoint.secret else {
            return Ok(None);
        };
        let begun = Signature::begin(secret, id, seconds).ok_or_else(|| {
            Cause::of_destination(
                "secret_file contains no key; expected base64, with or without whsec_",
            )
        })?;
        Ok(Some(begun))
    }

    pub async fn post(&self, meta: RequestMeta<'_>, body: impl Into<Body>) -> AttemptOutcome {
        let request = match self.request(meta).await {
            Ok(request) => request.body(body),
            Err(cause) => return AttemptOutcome::Retry(cause),
        };
        match request.send().await {
            Ok(response) => answer(response).await,
            Err(error) => AttemptOutcome::Retry(cause_without_answer(&error)),
        }
    }

    /// Posts JSON, signed if there is a secret.
    pub async fn post_json(&self, id: &str, body: Vec<u8>) -> AttemptOutcome {
        let seconds = Timestamp::now().as_second();
        let mut signature = match self.signature(id, seconds) {
            Ok(signature) => signature,
            Err(cause) => return AttemptOutcome::Retry(cause),
        };
        if let Some(signature) = &mut signature {
            signature.add(&body);
        }
        let meta = RequestMeta {
            id,
            seconds,
            content_type: "application/json",
            signature,
        };
        self.post(meta, body).await
    }

    async fn request(&self, meta: RequestMeta<'_>) -> Result<RequestBuilder, Cause> {
        let url = private_network::parse_url(&self.endpoint)?;
        let client = self.client.get_or_try_init(async || self.client()).await?;
        let mut request = client
            .post(url)
            .header("content-type", meta.content_type)
            .header("webhook-id", meta.id)
            .header("webhook-timestamp", meta.seconds)
            .header("idempotency-key", meta.id);
        if let Some(signature) = meta.signature {
            request = request.header(webhook_signature::FIELD, signature.end());
        }
        request = match &self.endpoint.credentials {
            Some(HttpCredentials::Bearer(token)) => {
                request.bearer_auth(token.expose_secret().trim())
            }
            Some(HttpCredentials::Basic(user, password)) => {
                request.basic_auth(user, Some(password.expose_secret()))
            }
            None => request,
        };
        for (name, value) in &self.endpoint.headers {
            request = request.header(name, value);
        }
        for (name, value) in &self.endpoint.secret_headers {
            request = request.header(name, secret_value(value)?);
        }
        Ok(request)
    }

    fn client(&self) -> Result<Client, Cause> {
        Client::builder()
            .tls_backend_preconfigured(tls::client(true)?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(private_network::Resolver {
                allow_private: self.endpoint.allow_private,
            }))
            .timeout(self.endpoint.timeout)
            .pool_max_idle_per_host(self.concurrency)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Cause::of_destination(&format!("TLS: {e}")))
    }
}

/// Marks a secret as sensitive, so that neither a log nor the debug output of the request shows it.
fn secret_value(secret: &SecretString) -> Result<HeaderValue, Cause> {
    let mut value = HeaderValue::from_str(secret.expose_secret().trim()).map_err(|_| {
        Cause::of_destination("the content of a file in header_files is not a valid header value")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

async fn answer(response: Response) -> AttemptOutcome {
    let status = response.status();
    let not_before = retry_after(response.headers(), SystemTime::now());
    let (is_refused, scope) = match status.as_u16() {
        200..=299 => return AttemptOutcome::Delivered,
        400 | 413 | 415 | 422 => (true, Scope::Request),
        300..=399 | 401 | 404 | 405 | 407 | 410 | 429 | 502..=504 => (false, Scope::Destination),
        _ => (false, Scope::Request),
    };
    let mut cause = Cause::new(&describe_error(status, response).await, scope);
    if is_refused {
        return AttemptOutcome::Refused(cause);
    }
    cause.not_before = not_before;
    AttemptOutcome::Retry(cause)
}

/// The status and the beginning of the body of an error answer.
async fn describe_error(status: StatusCode, mut response: Response) -> String {
    let mut text = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        let wanted = MAX_ERROR_BODY.saturating_sub(text.len()).min(piece.len());
        text.extend_from_slice(&piece[..wanted]);
        if text.len() == MAX_ERROR_BODY {
            break;
        }
    }
    format!("{status} {}", String::from_utf8_lossy(&text))
}

/// RFC 9110 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Timestamp> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let time = match value.parse::<u32>() {
        Ok(seconds) => now.checked_add(Duration::from_secs(u64::from(seconds)))?,
        Err(_) => httpdate::parse_http_date(value).ok()?,
    };
    Timestamp::try_from(time).ok()
}

/// The cause of a failure without an answer. If the body could not be read, this says nothing about the server.
fn cause_without_answer(error: &reqwest::Error) -> Cause {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(unread) = cause.downcast_ref::<StoreError>() {
            return Cause::internal(&unread.to_string());
        }
        source = cause.source();
    }
    let scope = if error.is_connect() || error.is_timeout() {
        Scope::Destination
    } else {
        Scope::Request
    };
    Cause::new(&chain(error), scope)
}

/// An error and its causes, without the URL, which may hold a secret.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "connect".to_owned()
    } else {
        "the connection broke".to_owned()
    };
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
