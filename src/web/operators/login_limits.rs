//! Limits of the attempts to log in with a password or a code.
//!
//! A client that reaches its limit is locked out, whatever it sends. Whoever has the password of an operator may
//! come from many addresses, so codes are limited by operator, too. Sign-ins at the provider have limits of
//! their own ([`AttemptLimits`](super::sso::AttemptLimits)).

use std::time::Duration;

use governor::{DefaultKeyedRateLimiter, RateLimiter};

use crate::domain::OperatorName;
use crate::web::rate_limit::{ClientLimiter, quota};

pub(super) const TOO_MANY_PASSWORDS: &str =
    "Too many password attempts. Wait a few minutes and try again.";

pub(super) const TOO_MANY_CODES: &str = "Too many code attempts. Wait a few minutes and try again.";

/// Attempts of a client: a burst, and the interval after it.
const ATTEMPTS: u32 = 10;
const ATTEMPT_EVERY: Duration = Duration::from_secs(10);

/// Codes that an operator can try: a burst, and the interval after it. A code is one of a million; at this rate,
/// somebody with the password has a chance of 1 in 500 a day to guess one.
const CODES: u32 = 5;
const CODE_EVERY: Duration = Duration::from_mins(2);

pub(super) struct LoginLimits {
    pub(super) clients: ClientLimiter,
    pub(super) codes: OperatorLimit,
    /// Limit of the passwords typed in a session.
    pub(super) passwords: OperatorLimit,
}

impl LoginLimits {
    pub(super) fn new() -> Self {
        Self {
            clients: ClientLimiter::new(ATTEMPTS, ATTEMPT_EVERY),
            codes: OperatorLimit::new(),
            passwords: OperatorLimit::new(),
        }
    }
}

/// Limit of [`CODES`] by operator. Names are those of operators, so memory is bounded by their number.
pub(super) struct OperatorLimit(DefaultKeyedRateLimiter<OperatorName>);

impl OperatorLimit {
    fn new() -> Self {
        Self(RateLimiter::keyed(quota(CODES, CODE_EVERY)))
    }

    pub(super) fn take(&self, name: &OperatorName) -> bool {
        self.0.check_key(name).is_ok()
    }
}
