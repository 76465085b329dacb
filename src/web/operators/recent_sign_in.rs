//! Requirement of a recent sign-in for whatever outlives a session: an API token, another operator, an operator's
//! new password. Without it, a stolen session could be turned into lasting access.
//!
//! An operator's own password and second factor need the current password instead. A sign-in at the provider is as
//! old as the time at which it authenticated the person: its own session may have lasted for days.

use jiff::SignedDuration;
use minijinja::{Value, context};
use url::form_urlencoded;

use super::auth::{CurrentOperator, login_address};
use super::form_fields::Fields;
use crate::domain::Timestamp;

/// Maximum age of a recent sign-in, in minutes.
const MAX_AGE: i64 = 15;

/// Maximum age that the provider is asked for (OpenID Connect Core 1.0, 3.1.2.1, `max_age`), which leaves time for the
/// form.
pub(super) const PROVIDER_MAX_AGE: SignedDuration = SignedDuration::from_mins(10);

/// Explains the refusal of a form that needs a recent sign-in.
pub(super) fn explain_refusal() -> String {
    format!(
        "For this, you must have signed in within the last {MAX_AGE} minutes. Nothing was changed. \
         Sign in again and repeat it."
    )
}

impl CurrentOperator {
    pub fn has_recent_sign_in(&self) -> bool {
        let is_recent =
            |at| Timestamp::now().duration_since(at) <= SignedDuration::from_mins(MAX_AGE);
        self.signed_in_at.is_some_and(is_recent)
    }

    /// The maximum age of a recent sign-in, and the URL of the login that leads back to the page with these fields of
    /// its form; None if the sign-in is recent.
    pub fn sign_in_again(&self, path: &str, form: &Fields, names: &[&str]) -> Option<Value> {
        if self.has_recent_sign_in() {
            return None;
        }
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form.pick(names))
            .finish();
        let url = if query.is_empty() {
            login_address(path)
        } else {
            login_address(&format!("{path}?{query}"))
        };
        Some(context! { minutes => MAX_AGE, url => url })
    }
}
