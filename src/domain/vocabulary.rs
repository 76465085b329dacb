//! Plain words for the codes that people meet on pages and at the command line.
//!
//! JSON, logs, the database and filters keep the codes. Each table is a [`Vocabulary`]; a code that it lacks
//! stands for itself.

use super::Actor;
use super::keywords::keywords;

/// The table that a code belongs to. `held` is a verdict and a state, with different words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vocabulary {
    Verdict,
    Reason,
    /// State of a request.
    State,
    /// Status of an account.
    Status,
    /// Kind of an account.
    Kind,
    /// Class of a message.
    Class,
    /// State of a destination.
    Destination,
    /// Kind or state of a verification mail.
    Mail,
    Role,
    /// Names of the log and of the audit.
    Event,
    /// An actor, the means of a verification or of a release, or the origin of an account.
    Actor,
    /// Interface of an operator.
    Interface,
}

use Vocabulary::{
    Class, Destination, Event, Interface, Kind, Mail, Reason, Role, State, Status, Verdict,
};

// Templates use these names.
keywords!(Vocabulary {
    Verdict => "verdict",
    Reason => "reason",
    State => "state",
    Status => "status",
    Kind => "kind",
    Class => "class",
    Destination => "destination",
    Mail => "mail",
    Role => "role",
    Event => "event",
    Actor => "actor",
    Interface => "interface",
});

impl Vocabulary {
    /// The plain words of a code; the code itself if the table lacks it.
    #[must_use]
    pub fn words(self, code: &str) -> &str {
        if self == Self::Actor
            && let Some(name) = Actor::operator_name(code)
        {
            return name;
        }
        let mut table = self.table().iter();
        table
            .find(|(own, _)| *own == code)
            .map_or(code, |(_, words)| words)
    }

    fn table(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Verdict => VERDICTS,
            Reason => REASONS,
            State => STATES,
            Status => &[
                ("pending", "Not verified"),
                ("active", "Active"),
                ("blocked", "Blocked"),
            ],
            Kind => &[("internal", "Internal"), ("external", "External")],
            Class => &[
                ("normal", "Normal"),
                ("automatic", "Automatic mail"),
                ("bulk", "Mailing list or newsletter"),
                ("bounce", "Delivery report"),
            ],
            Destination => &[
                ("up", "Up"),
                ("retrying", "Retrying"),
                ("down", "Down"),
                ("paused", "Paused"),
            ],
            Mail => &[
                ("verification", "Verification"),
                ("reminder", "Reminder"),
                ("already_registered", "Already registered"),
                ("waiting", "Waiting"),
                ("claimed", "Being sent"),
                ("refused", "Given up"),
            ],
            Role => &[("viewer", "Viewer"), ("agent", "Agent"), ("admin", "Admin")],
            Event => EVENTS,
            Self::Actor => &[
                ("daemon", "Vestibule"),
                ("person", "The customer"),
                ("mail", "A message"),
                ("sign_up", "Sign-up page"),
                ("link", "Link in the mail"),
                ("reply", "Reply to the mail"),
                ("sso", "Organisation sign-in"),
                ("rule", "Access settings"),
                ("proof", "Verification"),
                ("configuration", "Configuration file"),
            ],
            Interface => &[
                ("command line", "Command line"),
                ("page", "Operators’ pages"),
                ("api", "API"),
                ("configuration", "Configuration file"),
            ],
        }
    }
}

const VERDICTS: &[(&str, &str)] = &[
    ("accepted", "Accepted"),
    ("held", "Held"),
    ("dropped", "Dropped"),
];

const REASONS: &[(&str, &str)] = &[
    ("duplicate", "Duplicate"),
    ("bounce", "Delivery report"),
    ("loop", "Mail loop"),
    ("sender_unusable", "No usable sender"),
    ("sender_denied", "Denied sender"),
    ("account_blocked", "Blocked customer"),
    ("spam", "Spam"),
    ("automatic", "Automatic mail"),
    ("bulk", "Mailing list or newsletter"),
    ("authentication_failed", "Sender not authenticated"),
    ("account_active", "Known customer"),
    ("account_pending", "Customer not verified"),
    ("internal_account_created", "New customer, internal"),
    (
        "external_accounts_disabled",
        "External customers not allowed",
    ),
    ("domain_not_allowed", "Domain not allowed"),
    ("external_account_created", "New customer, external"),
    ("hold_quota", "Hold quota reached"),
    ("confirmation", "Reply to a verification mail"),
];

const STATES: &[(&str, &str)] = &[
    ("held", "Waiting for verification"),
    ("released", "Waiting for delivery"),
    ("delivered", "Delivered"),
    ("failed", "Delivery failed"),
    ("discarded", "Discarded"),
    ("expired", "Expired"),
];

const EVENTS: &[(&str, &str)] = &[
    ("message.accepted", "Accepted"),
    ("message.held", "Held, waiting for verification"),
    ("message.dropped", "Dropped"),
    ("account.created", "Customer created"),
    ("account.added", "Customer added"),
    ("account.verified", "Address verified"),
    ("account.blocked", "Customer blocked"),
    ("account.unblocked", "Customer unblocked"),
    ("account.expired", "Unverified customer expired"),
    ("account.forgotten", "Person forgotten"),
    ("account.made_internal", "Customer changed to internal"),
    ("account.groups_changed", "Customer groups changed"),
    ("account.quiet_ended", "Verification mail allowed again"),
    ("account.takes_automatic", "Automatic mail setting changed"),
    ("verification.requested", "Verification mail requested"),
    ("verification.sent", "Verification mail sent"),
    ("verification.deferred", "Verification mail delayed"),
    (
        "verification.bounced",
        "Verification mail could not be delivered",
    ),
    ("verification.opened", "Link opened"),
    ("verification.confirmed", "Confirmed"),
    ("verification.refused", "“This was not me”"),
    ("verification.taken_back", "“This was not me” taken back"),
    ("verification.reply_ignored", "Reply ignored"),
    ("sender.told", "Sender told that mail is not accepted"),
    ("request.held", "Held, waiting for verification"),
    ("request.released", "Released"),
    ("request.discarded", "Discarded"),
    ("request.expired", "Expired"),
    ("request.recovered", "Recovered"),
    ("request.restored", "Held again"),
    ("request.replaced", "Replaced by an authenticated request"),
    ("request.authenticated", "Sender authenticated by a copy"),
    ("request.delivered", "Delivered"),
    ("request.failed", "Delivery failed"),
    ("delivery.succeeded", "Delivered"),
    ("delivery.deferred", "Delivery will be retried"),
    ("delivery.failed", "Delivery failed"),
    ("hook.retried", "Hook called again"),
    ("access.changed", "Access settings changed"),
    ("destination.paused", "Destination paused"),
    ("destination.resumed", "Destination resumed"),
    ("destination.retried", "Destination retried immediately"),
    ("destination.down", "Destination down"),
    ("destination.up", "Destination up"),
    ("operator.added", "Operator added"),
    ("operator.removed", "Operator removed"),
    ("operator.password_changed", "Password changed"),
    ("operator.role_changed", "Role changed at sign-in"),
    ("operator.second_factor_added", "Second factor added"),
    ("operator.second_factor_removed", "Second factor removed"),
    ("operator.recovery_code_used", "Recovery code used"),
    ("operator.recovery_codes_made", "Recovery codes generated"),
    ("operator.logged_in", "Logged in"),
    ("operator.login_failed", "Login failed"),
    ("operator.token_made", "Token created"),
    ("operator.token_ended", "Token or session revoked"),
    ("operator.revoked", "Tokens and sessions revoked"),
];

#[cfg(test)]
mod tests {
    use super::super::{
        AccountKind, AccountStatus, Class, HOOK_EVENTS, MailKind, QueuedMailState, Reason,
        RequestState, Role, Verdict,
    };
    use super::*;

    #[test]
    fn every_code_has_words() {
        fn codes<T: Copy>(all: &[T], code: fn(T) -> &'static str) -> Vec<&'static str> {
            all.iter().map(|value| code(*value)).collect()
        }
        for (name, codes) in [
            ("verdict", codes(Verdict::ALL, Verdict::as_str)),
            ("reason", codes(Reason::ALL, Reason::as_str)),
            ("state", codes(RequestState::ALL, RequestState::as_str)),
            ("status", codes(AccountStatus::ALL, AccountStatus::as_str)),
            ("kind", codes(AccountKind::ALL, AccountKind::as_str)),
            ("class", codes(Class::ALL, Class::as_str)),
            ("role", codes(Role::ALL, Role::as_str)),
            ("mail", codes(MailKind::ALL, MailKind::as_str)),
            ("mail", codes(QueuedMailState::ALL, QueuedMailState::as_str)),
            ("event", HOOK_EVENTS.to_vec()),
        ] {
            let vocabulary = Vocabulary::from_name(name).expect(name);
            for code in codes {
                let words = vocabulary.words(code);
                assert_ne!(words, code, "{name}");
                assert!(!words.contains(['_', '.']), "{words}");
            }
        }
    }

    #[test]
    fn operators_are_shown_by_name_and_unknown_codes_unchanged() {
        assert_eq!(Vocabulary::Actor.words("operator:olga"), "olga");
        assert_eq!(Vocabulary::Actor.words("daemon"), "Vestibule");
        assert_eq!(Vocabulary::Reason.words("next_year"), "next_year");
        assert_eq!(Vocabulary::Verdict.words("held"), "Held");
        assert_eq!(Vocabulary::State.words("held"), "Waiting for verification");
    }
}
