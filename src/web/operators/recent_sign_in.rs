//! Requirement of a recent sign-in for whatever outlives a session: an API token, another operator, an operator's
//! new password. Without it, a stolen session could be turned into lasting access.
//!
//! An operator's own password and second factor need the current password instead. A sign-in at the provider is as
//! old as the time at which it authenticated the person: its own session may have lasted for days.

use jiff::SignedDuration;
use url::form_urlencoded;

use super::auth::{CurrentOperator, login_address};
use super::form_fields::Fields;
use crate::domain::Timestamp;

/// Maximum age of a recent sign-in.
const RECENT: SignedDuration = SignedDuration::from_mins(15);

/// Maximum age that the provider is asked for (OpenID Connect Core 1.0, 3.1.2.1, `max_age`), which leaves time for the
/// form.
pub(super) const MAX_AGE: SignedDuration = SignedDuration::from_mins(10);

/// Refusal of a form that needs a recent sign-in.
pub(super) const TOO_OLD: &str = "For this, you must have signed in within the last 15 minutes. \
                                  Nothing was changed. Sign in again and repeat it.";

impl CurrentOperator {
    pub fn has_recent_sign_in(&self) -> bool {
        let is_recent = |at| Timestamp::now().duration_since(at) <= RECENT;
        self.signed_in_at.is_some_and(is_recent)
    }

    /// The URL of the login that leads back to the page with these fields of its form; None if the sign-in is
    /// recent.
    pub fn sign_in_again(&self, path: &str, form: &Fields, names: &[&str]) -> Option<String> {
        if self.has_recent_sign_in() {
            return None;
        }
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form.pick(names))
            .finish();
        Some(if query.is_empty() {
            login_address(path)
        } else {
            login_address(&format!("{path}?{query}"))
        })
    }
}
