//! Sign-in at one OpenID provider, the code flow of OpenID Connect Core 1.0 with PKCE (RFC 7636).
//!
//! In: `[sso]`, the secret of one attempt, which only the person's browser holds, and the parameters with which
//! the provider sent the browser back. Out: a [`SignedIn`] person, or the reason why there is none. Nothing is
//! stored here: the pages keep attempts and sessions.
//!
//! Invariants: keys, codes and claims come from the one issuer of the configuration; a token is accepted only
//! if it is signed with an asymmetric key of that issuer, for us and for this attempt, and within its validity
//! period.

mod cached_fetch;
mod claims;
mod error;
mod jwt;
mod keys;
mod login_attempt;
mod provider;
#[cfg(test)]
pub(crate) mod tests;

pub use claims::SignedIn;
pub use error::SsoError;
pub use login_attempt::{Callback, LoginSecret};
pub use provider::{Provider, SingleSignOn};
