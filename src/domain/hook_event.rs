//! Events that hooks can subscribe to, and the patterns for them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::text_type::text_type;

/// Every event that a hook can receive.
pub const HOOK_EVENTS: [&str; 20] = [
    "account.created",
    "account.verified",
    "account.blocked",
    "account.unblocked",
    "request.held",
    "request.released",
    "request.discarded",
    "request.expired",
    "request.replaced",
    "request.recovered",
    "request.delivered",
    "request.failed",
    "verification.sent",
    "verification.bounced",
    "verification.refused",
    "verification.taken_back",
    "message.dropped",
    "destination.down",
    "destination.up",
    "operator.login_failed",
];

/// Neither an event nor a pattern for all events of a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an event; write one of {list}, or a pattern such as \"account.*\"", list = HOOK_EVENTS.join(", "))]
pub struct EventPatternError(pub String);

/// One event (`account.verified`) or all of a kind (`account.*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventPattern(String);

impl EventPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The pattern matches no event.
    pub fn parse(text: &str) -> Result<Self, EventPatternError> {
        let pattern = Self(text.to_owned());
        if HOOK_EVENTS.iter().any(|event| pattern.matches(event)) {
            return Ok(pattern);
        }
        Err(EventPatternError(text.to_owned()))
    }

    #[must_use]
    pub fn matches(&self, event: &str) -> bool {
        match self.0.strip_suffix(".*") {
            Some(kind) => event.split_once('.').is_some_and(|(own, _)| own == kind),
            None => self.0 == event,
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_type!(EventPattern, EventPatternError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_an_event_or_all_of_a_kind() {
        for (pattern, event, matches) in [
            ("account.*", "account.verified", true),
            ("account.*", "request.held", false),
            ("request.held", "request.held", true),
            ("request.held", "request.released", false),
        ] {
            let parsed = EventPattern::parse(pattern).expect("a pattern");
            assert_eq!(parsed.matches(event), matches, "{pattern} {event}");
        }
        for text in [
            "",
            "*",
            "account",
            "account.",
            ".*",
            "accounts.*",
            "account.ver*",
            "delivery.*",
        ] {
            assert!(EventPattern::parse(text).is_err(), "{text}");
        }
    }
}
