//! Failed logins: an event, and a row of the audit log.
//!
//! Anyone who can reach the listener can cause failed logins. So attempts are limited by client
//! ([`LoginLimits`](super::login_limits::LoginLimits)), a lockout is reported at intervals, and the audit log takes
//! a limited number of rows for all clients together; the rest is in the log only. The name is recorded only if
//! there is an operator of that name: anything else may be a password in the wrong field.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, RateLimiter};

use super::AppState;
use crate::domain::OperatorName;
use crate::observe::events;
use crate::operations::record_failed_login;
use crate::sso::SsoError;
use crate::web::rate_limit::{ClientLimiter, quota};

/// Interval between two reports that a client is locked out.
const LOCKED_OUT_EVERY: Duration = Duration::from_mins(10);

/// Burst of rows, and the interval of the rows after it: 1,440 a day.
const ROWS: u32 = 100;
const ROW_EVERY: Duration = Duration::from_mins(1);

/// Reasons why a login failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LoginFailure {
    WrongPassword,
    UnknownName,
    /// The password was right, and the code of the second factor was not.
    WrongCode,
    /// Too many attempts; the password was not checked.
    LockedOut,
    /// The provider did not sign the person in.
    Provider(SsoError),
    /// None of the person's groups at the provider has a role.
    NoRole,
}

impl fmt::Display for LoginFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongPassword => f.write_str("wrong password"),
            Self::UnknownName => f.write_str("unknown name"),
            Self::WrongCode => f.write_str("wrong code after the right password"),
            Self::LockedOut => f.write_str("locked out after too many attempts"),
            Self::Provider(error) => write!(f, "sign-in at the provider: {error}"),
            Self::NoRole => f.write_str("sign-in at the provider: no group with a role"),
        }
    }
}

/// Limits of the reports.
pub(super) struct FailedLogins {
    lockouts: ClientLimiter,
    rows: DefaultDirectRateLimiter,
}

impl FailedLogins {
    pub(super) fn new() -> Self {
        Self {
            lockouts: ClientLimiter::new(1, LOCKED_OUT_EVERY),
            rows: RateLimiter::direct(quota(ROWS, ROW_EVERY)),
        }
    }

    /// True if another lockout of this client is to be reported.
    pub(super) fn reports_lockout(&self, client: IpAddr) -> bool {
        self.lockouts.take(client)
    }
}

impl AppState {
    /// Reports a failed login. `name` is an operator's name, or `None`. A failure to record it does not
    /// change the answer.
    pub(super) async fn report_failed_login(
        &self,
        client: IpAddr,
        name: Option<OperatorName>,
        failure: LoginFailure,
    ) {
        let cause = failure.to_string();
        events::operator_login_failed(client, name.as_ref(), &cause);
        if self.failed_logins.rows.check().is_err() {
            return;
        }
        let detail = format!("{cause}, from {client}");
        if let Err(error) = record_failed_login(self.store(), name, detail).await {
            events::fault("web.login", &error);
        }
    }
}
