//! Requirement of a recent sign-in for whatever outlives a session: an API token, another operator, an operator's
//! new password. Without it, a stolen session could be turned into lasting access.
//!
//! An operator's own password and second factor need the current password instead.

use jiff::SignedDuration;
use url::form_urlencoded;

use super::auth::{CurrentOperator, login_address};
use super::form_fields::Fields;
use crate::domain::Timestamp;

/// Maximum age of a recent sign-in.
const RECENT: SignedDuration = SignedDuration::from_mins(15);

/// Refusal of a form that needs a recent sign-in.
pub(super) const TOO_OLD: &str = "For this, you must have signed in within the last 15 minutes. \
                                  Nothing was changed. Sign in again and repeat it.";

impl CurrentOperator {
    pub fn has_recent_sign_in(&self) -> bool {
        Timestamp::now().duration_since(self.signed_in_at) <= RECENT
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
