//! A parcel in; out, an HTTP POST that was answered with 2xx.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx | delivered |
//! | 408, 425, 5xx | retry |
//! | 401, 407, 429, 502, 503, 504 | retry, destination; `Retry-After` is honoured |
//! | 3xx, and any other 4xx | refused |
//! | none: connecting, TLS, time over | retry, destination |
//! | none: broken off later | retry |
//!
//! Redirects are not followed and no proxy is asked, so that the address that was checked is the
//! one that is called. A name is resolved once for each connection, and what belongs to the own
//! network is taken out of the answer: there is no second look-up that could say otherwise.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use url::{Host, Url};

use super::network::is_private;
use super::{Attempt, Cause, Parcel, Scope, signature, webhook_json};
use crate::config::{WebhookDestination, WebhookFormat};
use crate::domain::Timestamp;

/// How much of an answer that is no is read, for its cause.
const COMPLAINT: usize = 400;

/// A URL to post parcels to.
pub(super) struct Webhook {
    config: WebhookDestination,
    client: OnceCell<Client>,
}

impl Webhook {
    pub(super) fn new(config: &WebhookDestination) -> Self {
        Self {
            config: config.clone(),
            client: OnceCell::new(),
        }
    }

    pub(super) async fn attempt(&self, parcel: &Arc<Parcel>) -> Attempt {
        let body = match self.body(parcel).await {
            Ok(body) => body,
            Err(cause) => return Attempt::Refused(cause),
        };
        let request = match self.request(parcel, body, Timestamp::now()).await {
            Ok(request) => request,
            Err(cause) => return Attempt::Retry(cause),
        };
        match request.send().await {
            Ok(response) => answer(response).await,
            Err(e) => {
                let scope = if e.is_connect() || e.is_timeout() {
                    Scope::Destination
                } else {
                    Scope::Request
                };
                Attempt::Retry(Cause::new(&chain(&e), scope))
            }
        }
    }

    /// Parsing takes its time, and may meet a message that the parser cannot stand.
    async fn body(&self, parcel: &Arc<Parcel>) -> Result<Vec<u8>, Cause> {
        let parcel = Arc::clone(parcel);
        let make = match self.config.format {
            WebhookFormat::Raw => |parcel: &Parcel| parcel.message().to_vec(),
            WebhookFormat::Json => webhook_json::body,
        };
        tokio::task::spawn_blocking(move || make(&parcel))
            .await
            .map_err(|panic| Cause::of_request(&format!("a fault in vestibule: {panic}")))
    }

    async fn request(
        &self,
        parcel: &Parcel,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<RequestBuilder, Cause> {
        let url = self.url()?;
        let client = self.client.get_or_try_init(async || self.client()).await?;
        let id = parcel.claim().request().to_string();
        let seconds = now.as_second();
        let kind = match self.config.format {
            WebhookFormat::Raw => "message/rfc822",
            WebhookFormat::Json => "application/json",
        };
        let mut request = client
            .post(url)
            .header("content-type", kind)
            .header("webhook-id", &id)
            .header("webhook-timestamp", seconds)
            .header("idempotency-key", &id);
        if let Some(secret) = &self.config.secret {
            let signature = signature::sign(secret, &id, seconds, &body).ok_or_else(|| {
                Cause::of_destination("secret_file holds no key; it is base64 behind whsec_")
            })?;
            request = request.header("webhook-signature", signature);
        }
        if let Some(bearer) = &self.config.bearer {
            request = request.bearer_auth(bearer.expose_secret().trim());
        }
        for (name, value) in &self.config.headers {
            request = request.header(name, value);
        }
        Ok(request.body(body))
    }

    /// The URL, unless it names an address of the own network outright.
    fn url(&self) -> Result<Url, Cause> {
        let url = Url::parse(&self.config.url)
            .map_err(|e| Cause::of_destination(&format!("{}: {e}", self.config.url)))?;
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        match address {
            Some(address) if !self.config.allow_private && is_private(address) => {
                Err(Cause::of_destination(&unwanted(&address.to_string())))
            }
            _ => Ok(url),
        }
    }

    fn client(&self) -> Result<Client, Cause> {
        let failed = |e: &dyn std::fmt::Display| Cause::of_destination(&format!("TLS: {e}"));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| failed(&e))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver {
                allow_private: self.config.allow_private,
            }))
            .timeout(self.config.timeout)
            .pool_max_idle_per_host(self.config.concurrency)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| failed(&e))
    }
}

/// Resolves a name to the addresses that may be called.
struct Resolver {
    allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found
                .filter(|address| allow_private || !is_private(address.ip()))
                .collect();
            if addresses.is_empty() {
                return Err(unwanted(name.as_str()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn unwanted(host: &str) -> String {
    format!("{host} has no address outside of the own network; set allow_private if that is meant")
}

async fn answer(response: Response) -> Attempt {
    let status = response.status();
    let not_before = retry_after(response.headers(), SystemTime::now());
    let (is_refused, scope) = match status.as_u16() {
        200..=299 => return Attempt::Delivered,
        401 | 407 | 429 | 502..=504 => (false, Scope::Destination),
        408 | 425 | 500..=599 => (false, Scope::Request),
        _ => (true, Scope::Request),
    };
    let mut cause = Cause::new(&complaint(status, response).await, scope);
    if is_refused {
        return Attempt::Refused(cause);
    }
    cause.not_before = not_before;
    Attempt::Retry(cause)
}

/// The status and the beginning of what came with it.
async fn complaint(status: StatusCode, mut response: Response) -> String {
    let mut text = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        let wanted = COMPLAINT.saturating_sub(text.len()).min(piece.len());
        text.extend_from_slice(&piece[..wanted]);
        if text.len() == COMPLAINT {
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

/// An error and what is behind it, without the URL, which may hold a secret.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        "connect".to_owned()
    } else {
        "broken off".to_owned()
    };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
