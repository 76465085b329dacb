//! In: a URL of a provider that the operator configured. Out: the status and the body of its answer, bounded in
//! size and time.
//!
//! Redirects are not followed and no proxy is used, so only the named host is contacted. It may have a private
//! address, because companies run identity providers in their own networks.

use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Client, RequestBuilder, redirect};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::tls;

/// Time limit of one exchange, from connecting to the end of the body.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Maximum octets of a body.
const MAX_BODY: usize = 256 * 1024;

/// A client for small answers.
#[derive(Default)]
pub struct HttpFetcher {
    client: OnceCell<Client>,
}

/// An answer.
#[derive(Debug)]
pub struct Fetched {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Failure of an exchange: one line without the URL, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(String);

/// Credentials of a request.
pub enum Authorization<'a> {
    /// RFC 6750 2.1.
    Bearer(&'a SecretString),
    /// RFC 7617; both parts are encoded already.
    Basic(&'a str, &'a SecretString),
    None,
}

impl HttpFetcher {
    /// # Errors
    /// No complete answer within the limits.
    pub async fn get(&self, url: &str, login: Authorization<'_>) -> Result<Fetched, FetchError> {
        let request = self.client().await?.get(url);
        exchange(request, login).await
    }

    /// Posts a form (`application/x-www-form-urlencoded`).
    ///
    /// # Errors
    /// No complete answer within the limits.
    pub async fn post_form(
        &self,
        url: &str,
        form: String,
        login: Authorization<'_>,
    ) -> Result<Fetched, FetchError> {
        let request = self.client().await?.post(url);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        exchange(request.body(form), login).await
    }

    async fn client(&self) -> Result<&Client, FetchError> {
        self.client
            .get_or_try_init(async || {
                let tls = tls::client(true).map_err(|cause| FetchError(cause.text))?;
                Client::builder()
                    .tls_backend_preconfigured(tls)
                    .redirect(redirect::Policy::none())
                    .no_proxy()
                    .timeout(TIME_LIMIT)
                    .pool_idle_timeout(Duration::from_secs(10))
                    .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
                    .build()
                    .map_err(|error| FetchError(format!("TLS: {error}")))
            })
            .await
    }
}

async fn exchange(
    request: RequestBuilder,
    login: Authorization<'_>,
) -> Result<Fetched, FetchError> {
    let request = request.header(ACCEPT, "application/json");
    let request = match login {
        Authorization::Bearer(token) => request.bearer_auth(token.expose_secret()),
        Authorization::Basic(user, password) => {
            request.basic_auth(user, Some(password.expose_secret()))
        }
        Authorization::None => request,
    };
    let mut response = request.send().await.map_err(|error| describe(&error))?;
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError(format!(
            "{status}: it redirects to another address, and redirects are not followed"
        )));
    }
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| describe(&error))? {
        if body.len() + piece.len() > MAX_BODY {
            return Err(FetchError(format!(
                "the answer is larger than {} KiB",
                MAX_BODY / 1024
            )));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Fetched {
        status: status.as_u16(),
        body,
    })
}

fn describe(error: &reqwest::Error) -> FetchError {
    FetchError(super::http::chain(error))
}
