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

    /// Parses a stored pattern. Its event may be unknown here: a node of a later version that shares the store can
    /// subscribe to it.
    ///
    /// # Errors
    /// The text does not have the form of a pattern.
    pub fn parse_stored(text: &str) -> Result<Self, EventPatternError> {
        match text.split_once('.') {
            Some((kind, event)) if !kind.is_empty() && !event.is_empty() => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(EventPatternError(text.to_owned())),
        }
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

text_type!(EventPattern, EventPatternError, parse_stored);

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

    /// Otherwise, a subscription of a node of a later version would keep this one from accepting mail.
    #[test]
    fn a_stored_pattern_can_be_of_a_later_version() {
        let stored = r#"["request.held", "request.invented", "later.*"]"#;
        let patterns: Vec<EventPattern> = serde_json::from_str(stored).expect("patterns");
        let matching = patterns.iter().filter(|one| one.matches("request.held"));
        assert_eq!(matching.count(), 1);
        for pattern in &patterns[1..] {
            let text = pattern.to_string();
            assert!(EventPattern::parse(&text).is_err(), "{text}");
        }
        for text in [r#"[""]"#, r#"["request"]"#, r#"[".*"]"#] {
            let damaged: Result<Vec<EventPattern>, _> = serde_json::from_str(text);
            assert!(damaged.is_err(), "{text}");
        }
    }
}
