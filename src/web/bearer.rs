//! Bearer tokens of operators, for the API and SCIM. Cookies are ignored, so another site cannot act with an
//! operator's session.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::rate_limit::{self, ClientLimiter, Peer};
use crate::config::Config;
use crate::domain::{Actor, Interface, OperatorName, Role, Timestamp, Token, TokenScope};
use crate::store::{KeyHolder, KeyKind, Store, StoreError};

/// The operator that a request was authenticated as.
#[derive(Debug, Clone)]
pub(super) struct TokenHolder {
    pub name: OperatorName,
    pub role: Role,
    /// The only interface that the token opens; `None` if its role alone decides.
    pub scope: Option<TokenScope>,
}

impl TokenHolder {
    pub fn actor(&self) -> Actor {
        Actor::operator(self.name.as_str(), Interface::Api)
    }
}

/// Reason why a request is not authenticated.
#[derive(Debug)]
pub(super) enum BearerRefusal {
    Missing,
    /// Unknown, expired or revoked.
    Invalid,
    /// The client presented too many invalid tokens.
    TooMany,
    Store(StoreError),
}

/// The check, with the failed attempts of each client. Only invalid tokens count: a valid one is served
/// whatever other requests come from the same address.
pub(super) struct BearerGate {
    failures: ClientLimiter,
}

impl BearerGate {
    pub fn new() -> Self {
        Self {
            failures: ClientLimiter::new(60, Duration::from_secs(5)),
        }
    }

    /// Finds the holder of the token in the header.
    pub async fn admit(
        &self,
        store: &Store,
        config: &Config,
        headers: &HeaderMap,
        peer: Option<Peer>,
    ) -> Result<TokenHolder, BearerRefusal> {
        let Some(presented) = headers.get(AUTHORIZATION) else {
            return Err(BearerRefusal::Missing);
        };
        if let Some(token) = presented.to_str().ok().and_then(parse_bearer) {
            let found = store
                .key_holder(
                    token.hash(),
                    KeyKind::Token,
                    config.operators_issuer(),
                    Timestamp::now(),
                )
                .await
                .map_err(BearerRefusal::Store)?;
            if let Some(KeyHolder {
                name, role, scope, ..
            }) = found
            {
                return Ok(TokenHolder { name, role, scope });
            }
        }
        let client = rate_limit::client(peer, headers, &config.http.trusted_proxies);
        Err(if self.failures.take(client) {
            BearerRefusal::Invalid
        } else {
            BearerRefusal::TooMany
        })
    }
}

/// Reads a bearer token (RFC 6750 2.1). The scheme is case-insensitive (RFC 9110 11.1).
fn parse_bearer(field: &str) -> Option<Token> {
    let (scheme, token) = field.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| Token::parse(token.trim()).ok()).flatten()
}
