//! One attempt to sign in. Everything that binds it, `state`, `nonce` and the PKCE verifier, is derived from one
//! secret, which only the browser's cookie holds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::Url;

use super::SsoError;
use crate::domain::{Token, TokenHash};

/// Maximum number of octets of a code.
const MAX_CODE: usize = 4096;

/// The secret of an attempt.
pub struct LoginSecret(Token);

impl LoginSecret {
    #[must_use]
    pub fn new(token: Token) -> Self {
        Self(token)
    }

    /// The stored form, by which the attempt is found.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        self.0.hash()
    }

    /// The text for the cookie. Put it nowhere else.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.reveal()
    }

    fn derive(&self, purpose: &str) -> String {
        let mut digest = Sha256::new();
        digest.update("vestibule sign-in ");
        digest.update(purpose);
        digest.update(" ");
        digest.update(self.0.reveal());
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }

    fn state(&self) -> String {
        self.derive("state")
    }

    pub(super) fn nonce(&self) -> String {
        self.derive("nonce")
    }

    /// The PKCE code verifier (RFC 7636 4.1), of 43 characters.
    pub(super) fn verifier(&self) -> String {
        self.derive("verifier")
    }

    /// Adds the parameters of the authorization request that belong to this attempt.
    pub(super) fn add_to(&self, url: &mut Url) {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier()));
        url.query_pairs_mut()
            .append_pair("state", &self.state())
            .append_pair("nonce", &self.nonce())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
    }
}

/// The parameters with which the browser came back (RFC 6749 4.1.2, RFC 9207).
#[derive(Debug, Default, Clone)]
pub struct Callback {
    pub state: Option<String>,
    pub code: Option<String>,
    pub issuer: Option<String>,
    pub error: Option<String>,
    /// A parameter was given more than once (RFC 6749 3.1).
    pub is_ambiguous: bool,
}

impl Callback {
    /// Reads the parameters of a query.
    pub fn read(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let mut callback = Self::default();
        for (name, value) in pairs {
            let field = match name.as_str() {
                "state" => &mut callback.state,
                "code" => &mut callback.code,
                "iss" => &mut callback.issuer,
                "error" => &mut callback.error,
                _ => continue,
            };
            callback.is_ambiguous |= field.replace(value).is_some();
        }
        callback
    }

    /// True if it answers this attempt: only the provider was told its `state`. Any site can send a browser
    /// here with another `state`, so such an answer must not end the attempt.
    #[must_use]
    pub fn belongs_to(&self, secret: &LoginSecret) -> bool {
        let state = self.state.as_deref().unwrap_or_default();
        state.as_bytes().ct_eq(secret.state().as_bytes()).into()
    }

    /// Returns the code, if the answer belongs to this attempt and comes from this issuer.
    pub(super) fn check(
        self,
        secret: &LoginSecret,
        issuer: &str,
        names_issuer: bool,
    ) -> Result<String, SsoError> {
        if self.is_ambiguous {
            return Err(SsoError::Foreign("a parameter is given twice"));
        }
        if !self.belongs_to(secret) {
            return Err(SsoError::Foreign("another state"));
        }
        match self.issuer {
            Some(other) if other != issuer => return Err(SsoError::Foreign("another issuer")),
            None if names_issuer => return Err(SsoError::Foreign("no issuer")),
            _ => {}
        }
        if let Some(error) = self.error {
            let is_code = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            let code: String = error.chars().filter(|c| is_code(*c)).take(60).collect();
            return Err(SsoError::Refused(code));
        }
        match self.code {
            Some(code) if !code.is_empty() && code.len() <= MAX_CODE => Ok(code),
            _ => Err(SsoError::Foreign("no code")),
        }
    }
}
