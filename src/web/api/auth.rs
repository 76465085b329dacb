//! Authentication of API requests: a token whose role is sufficient is required. Cookies are ignored, so
//! another site cannot act with an operator's session.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::AppState;
use super::problem::{Problem, ProblemKind};
use crate::domain::{Actor, Interface, OperatorName, Role, Timestamp, Token};
use crate::store::KeyKind;
use crate::web::rate_limit::{self, Peer};

/// Authorization that a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum RequiredToken {
    /// None: the `OpenAPI` document.
    Nothing,
    /// A token of at least this role.
    Token(Role),
}

/// The operator that a request was authenticated as.
#[derive(Debug, Clone)]
pub(super) struct TokenHolder {
    pub name: OperatorName,
}

impl TokenHolder {
    pub fn actor(&self) -> Actor {
        Actor::operator(self.name.as_str(), Interface::Api)
    }
}

impl AppState {
    /// Admits requests with a valid token of sufficient role. Only invalid tokens count against a client's
    /// rate limit: a valid token is served whatever other requests come from the same address.
    pub async fn admit(
        &self,
        least: Role,
        headers: &HeaderMap,
        peer: Option<Peer>,
    ) -> Result<TokenHolder, Problem> {
        let Some(presented) = headers.get(AUTHORIZATION) else {
            return Err(Problem::new(
                ProblemKind::NoToken,
                "send Authorization: Bearer TOKEN; vestibule operators token makes one",
            ));
        };
        let token = presented.to_str().ok().and_then(bearer);
        let holder = match token {
            Some(token) => {
                let now = Timestamp::now();
                self.store
                    .key_holder(token.hash(), KeyKind::Token, now)
                    .await?
            }
            None => None,
        };
        let Some((name, role)) = holder else {
            let client = rate_limit::client(peer, headers, &self.config().http.trusted_proxies);
            return Err(if self.failures.take(client) {
                Problem::new(
                    ProblemKind::InvalidToken,
                    "it is unknown, has expired or was revoked",
                )
            } else {
                Problem::bare(ProblemKind::TooMany)
            });
        };
        if role < least {
            return Err(Problem::role(least, role));
        }
        Ok(TokenHolder { name })
    }
}

/// Reads a bearer token (RFC 6750 2.1). The scheme is case-insensitive (RFC 9110 11.1).
fn bearer(field: &str) -> Option<Token> {
    let (scheme, token) = field.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| Token::parse(token.trim()).ok()).flatten()
}
