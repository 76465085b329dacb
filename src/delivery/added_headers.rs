//! In: the facts about a request. Out: the header fields that are added on top of its message.
//!
//! Names, hosts and addresses in them came from outside. Everything that could end a line or a field, or is
//! not ASCII, is replaced or encoded, so the fields cannot be forged and need no SMTPUTF8.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::tz::TimeZone;

use crate::domain::{Domain, Timestamp, is_visible, join};
use crate::mail::LOOP_FIELD;
use crate::sender_auth;
use crate::store::Claim;

/// The value of `X-Vestibule-Verified`: the method and time of this request's verification.
pub(super) fn format_verification(claim: &Claim) -> String {
    if let Some(operator) = &claim.released_by {
        return format!("operator {} {}", word(operator), seconds(claim.released_at));
    }
    match &claim.verified {
        Some((how, when)) => match how.strip_prefix("operator:") {
            Some(operator) => format!("operator {} {}", word(operator), seconds(*when)),
            None => format!("{} {}", word(how), seconds(*when)),
        },
        None => "no".to_owned(),
    }
}

/// The value of `X-Vestibule-Sender-By`: `operator` if an operator named the sender because the message has no
/// usable one.
pub(super) fn sender_by(claim: &Claim) -> Option<&'static str> {
    claim.sender_named.then_some("operator")
}

/// The value of `X-Vestibule-Authenticated`: the DMARC result of this message. It is independent of the
/// verification of the address: a forged message of a verified customer is `fail`.
pub(super) fn name_authentication(claim: &Claim) -> &'static str {
    let outcome = claim.authentication.outcome(claim.authentication_enforced);
    outcome.as_str()
}

/// The added fields, each with its line ending. They are the same for every attempt at a request.
pub(super) fn fields(claim: &Claim, hostname: &Domain) -> Vec<u8> {
    // Our Authentication-Results goes above our own Received, where readers look for it (RFC 8601 4.1).
    let mut text = sender_auth::field(&claim.authentication, hostname).unwrap_or_default();
    text += &format_received(claim, hostname);
    let mut field = |name: &str, value: &str| {
        let _ = write!(text, "{name}: {value}\r\n");
    };
    field("X-Vestibule-Request", &claim.request().to_string());
    field("X-Vestibule-Account", claim.kind.as_str());
    field("X-Vestibule-Verified", &format_verification(claim));
    if let Some(who) = sender_by(claim) {
        field("X-Vestibule-Sender-By", who);
    }
    field("X-Vestibule-Authenticated", name_authentication(claim));
    if !claim.groups.is_empty() {
        let groups = claim.groups.iter();
        let groups = groups.map(|group| phrase(&escape_group(group)));
        field("X-Vestibule-Groups", &join(groups, ",\r\n "));
    }
    field(LOOP_FIELD, hostname.as_str());
    text.into_bytes()
}

/// The Received field (RFC 5321 4.4), with the protocol names of RFC 3848 and RFC 6531 4.3.
fn format_received(claim: &Claim, hostname: &Domain) -> String {
    let envelope = &claim.envelope;
    let protocol = match (envelope.smtputf8, envelope.tls) {
        (false, false) => "ESMTP",
        (false, true) => "ESMTPS",
        (true, false) => "UTF8SMTP",
        (true, true) => "UTF8SMTPS",
    };
    let mut text = format!("Received: from {}", host(&envelope.helo));
    match envelope.peer.map(|peer| peer.to_canonical()) {
        Some(std::net::IpAddr::V6(peer)) => {
            let _ = write!(text, " ([IPv6:{peer}])");
        }
        Some(peer) => {
            let _ = write!(text, " ([{peer}])");
        }
        None => {}
    }
    let _ = write!(
        text,
        "\r\n\tby {hostname} with {protocol} id {}",
        claim.ledger
    );
    // The clause is optional, so an address that would have to be altered is left out.
    let plain = |c: char| c.is_ascii_graphic() && !"<>()\\\"".contains(c);
    if claim.recipient.len() <= 320 && claim.recipient.chars().all(plain) {
        let _ = write!(text, "\r\n\tfor <{}>", claim.recipient);
    }
    let date = claim
        .received_at
        .to_zoned(TimeZone::UTC)
        .strftime("%a, %d %b %Y %H:%M:%S +0000");
    let _ = write!(text, ";\r\n\t{date}\r\n");
    text
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The client's HELO name as an atom.
fn host(helo: &str) -> String {
    let name: String = helo
        .chars()
        .take(255)
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || ".-_:[]".contains(c) => c,
            _ => '?',
        })
        .collect();
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name
    }
}

/// Reduces a text to one word of printable ASCII.
fn word(text: &str) -> String {
    text.chars()
        .take(100)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect()
}

/// Percent-escapes a group (RFC 3986 2.1): commas, `%`, blanks at the ends and invisible characters. So a program
/// reads the same groups whether it splits the list at commas before or after decoding.
pub(super) fn escape_group(group: &str) -> String {
    let inner = group.trim_matches(char::is_whitespace);
    let begin = group.len() - group.trim_start_matches(char::is_whitespace).len();
    let is_inner = |place| (begin..begin + inner.len()).contains(&place);
    let mut escaped = String::new();
    for (place, c) in group.char_indices() {
        let mut octets = [0; 4];
        let text = c.encode_utf8(&mut octets);
        let is_plain = !matches!(c, ',' | '%') && is_visible(text) || c == ' ' && is_inner(place);
        if is_plain {
            escaped.push(c);
        } else {
            for octet in text.bytes() {
                let _ = write!(escaped, "%{octet:02X}");
            }
        }
    }
    escaped
}

/// Formats a name: unchanged if it is short plain ASCII, otherwise as encoded words (RFC 2047 2) of at most 75
/// characters that split no character.
fn phrase(text: &str) -> String {
    const OCTETS: usize = 42;
    let plain = |c: char| c == ' ' || c.is_ascii_graphic() && c != ',';
    if text.len() <= 200 && text.chars().all(plain) && !text.contains("=?") {
        return text.trim().to_owned();
    }
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(OCTETS.min(rest.len()));
        let (part, behind) = rest.split_at(end);
        words.push(format!("=?UTF-8?B?{}?=", STANDARD.encode(part)));
        rest = behind;
    }
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostname() -> Domain {
        Domain::parse("gate.corp.example").expect("a domain")
    }

    fn render(claim: &Claim) -> String {
        String::from_utf8(fields(claim, &hostname())).expect("ASCII")
    }

    #[test]
    fn the_fields_describe_the_sender_of_a_request() {
        let claim = Claim::for_testing();
        let expected = format!(
            "Received: from mta.corp.example ([192.0.2.7])\r\n\
             \tby gate.corp.example with ESMTPS id {}\r\n\
             \tfor <it-help@corp.example>;\r\n\
             \tMon, 23 Nov 2026 10:00:00 +0000\r\n\
             X-Vestibule-Request: {}\r\n\
             X-Vestibule-Account: internal\r\n\
             X-Vestibule-Verified: link 2026-11-23T10:05:00Z\r\n\
             X-Vestibule-Authenticated: none\r\n\
             X-Vestibule-Groups: staff,\r\n =?UTF-8?B?R3LDtsOfZQ==?=\r\n\
             X-Vestibule-Loop: gate.corp.example\r\n",
            claim.ledger,
            claim.request()
        );
        assert_eq!(render(&claim), expected);
    }

    #[test]
    fn the_authentication_results_are_the_first_field() {
        let mut claim = Claim::for_testing();
        claim.authentication.dmarc = Some(crate::mail::AuthenticationResult::Pass);
        let text = render(&claim);
        let results = "Authentication-Results: gate.corp.example;\r\n\tdmarc=pass";
        assert!(text.starts_with(results), "{text}");
        assert!(text.contains("\r\nReceived: from "), "{text}");
    }

    #[test]
    fn every_request_says_what_dmarc_says_of_it() {
        use crate::mail::{Authentication, AuthenticationFault, AuthenticationResult as R};
        let dmarc = |result| Authentication {
            dmarc: Some(result),
            ..Authentication::default()
        };
        let fault = Authentication {
            fault: Some(AuthenticationFault::Unreadable),
            ..Authentication::default()
        };
        let sealed = Authentication {
            arc_sealer: Some("list.example".to_owned()),
            ..dmarc(R::Fail)
        };
        for (authentication, is_enforced, word) in [
            (Authentication::default(), true, "none"),
            (dmarc(R::Pass), false, "pass"),
            (dmarc(R::Fail), false, "fail"),
            (dmarc(R::None), false, "none"),
            (dmarc(R::PermError), false, "none"),
            (dmarc(R::TempError), false, "temperror"),
            (fault.clone(), false, "none"),
            (fault, true, "fail"),
            (sealed, true, "pass"),
        ] {
            let mut claim = Claim::for_testing();
            claim.authentication = authentication;
            claim.authentication_enforced = is_enforced;
            let expected = format!("X-Vestibule-Authenticated: {word}\r\n");
            assert!(render(&claim).contains(&expected), "{word}");
        }
    }

    #[test]
    fn an_unverified_address_is_never_called_verified() {
        let mut claim = Claim::for_testing();
        claim.verified = None;
        assert!(render(&claim).contains("X-Vestibule-Verified: no\r\n"));
        claim.released_by = Some("ann".to_owned());
        assert!(
            render(&claim).contains("X-Vestibule-Verified: operator ann 2026-11-23T10:05:01Z\r\n")
        );
        claim.released_by = None;
        claim.verified = Some(("operator:bea".to_owned(), claim.received_at));
        assert!(render(&claim).contains("X-Vestibule-Verified: operator bea 2026-"));
    }

    #[test]
    fn a_sender_that_an_operator_named_is_marked() {
        let mut claim = Claim::for_testing();
        assert!(!render(&claim).contains("Sender-By"));
        claim.sender_named = true;
        claim.released_by = Some("ann\r\nX-Vestibule-Account: internal".to_owned());
        let text = render(&claim);
        assert!(
            text.contains("X-Vestibule-Sender-By: operator\r\n"),
            "{text}"
        );
        assert_eq!(
            text.matches("\r\nX-Vestibule-Account: ").count(),
            1,
            "{text}"
        );
    }

    #[test]
    fn untrusted_text_cannot_add_a_field() {
        let hostile = "x\r\nX-Vestibule-Account: internal\r\n\r\n<>()\"\\;\u{85}\u{2028}ü\0";
        let mut claim = Claim::for_testing();
        let lines = render(&claim).lines().count();
        claim.envelope.helo = hostile.to_owned();
        claim.recipient = hostile.to_owned();
        claim.groups = vec![hostile.repeat(5), "staff".to_owned()];
        claim.verified = Some((hostile.to_owned(), claim.received_at));
        let text = render(&claim);
        let names: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().expect("a first part"))
            .collect();
        assert_eq!(
            names,
            [
                "Received",
                "X-Vestibule-Request",
                "X-Vestibule-Account",
                "X-Vestibule-Verified",
                "X-Vestibule-Authenticated",
                "X-Vestibule-Groups",
                "X-Vestibule-Loop"
            ]
        );
        assert!(text.is_ascii() && lines > 0);
        assert!(
            text.split("\r\n")
                .all(|line| line.len() < 998 && !line.contains(['\r', '\n']))
        );
    }
}
