//! Our findings as an `Authentication-Results` field (RFC 8601), and detection of fields that claim to be
//! ours.
//!
//! The findings contain values that a sender chose: domains, selectors, a reverse-path. Each is cut to a
//! bounded length and to characters that can end neither the value nor the line.

use std::fmt::Write;

use crate::domain::Domain;
use crate::mail::{Authentication, AuthenticationDetail};

/// Maximum characters of a sender's value: those of an address (RFC 5321 4.5.3.1).
const MAX_VALUE: usize = 320;

/// A property of a finding, of bounded length.
pub(super) fn property(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), truncate(value))
}

/// Cuts a sender's value to the maximum length of an address.
pub(super) fn truncate(value: &str) -> String {
    value.chars().take(MAX_VALUE).collect()
}

/// The whole field with its line ending; None if nothing is known.
#[must_use]
pub fn field(found: &Authentication, hostname: &Domain) -> Option<String> {
    let reported;
    let details = if found.details.is_empty() {
        reported = reported_by_mta(found);
        &reported
    } else {
        &found.details
    };
    if details.is_empty() {
        return None;
    }
    let mut text = format!("Authentication-Results: {hostname}");
    for detail in details {
        text.push(';');
        push_detail(&mut text, detail);
    }
    text.push_str("\r\n");
    Some(text)
}

/// Results of a trusted MTA, repeated under our name.
fn reported_by_mta(found: &Authentication) -> Vec<AuthenticationDetail> {
    let results = found.by_method();
    let reason = || Some("reported by the MTA".to_owned());
    results
        .map(|(method, result)| AuthenticationDetail::new(method, result, reason()))
        .collect()
}

/// Puts each part on its own line, so that no line gets near the 998 octets of RFC 5322 2.1.1.
fn push_detail(text: &mut String, detail: &AuthenticationDetail) {
    let _ = write!(
        text,
        "\r\n\t{}={}",
        detail.method.as_str(),
        detail.result.as_str()
    );
    if let Some(reason) = &detail.reason {
        let _ = write!(text, "\r\n\t reason={}", quote(reason));
    }
    for (name, value) in &detail.properties {
        let is_plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '@');
        if !value.is_empty() && value.chars().count() <= MAX_VALUE && value.chars().all(is_plain) {
            let _ = write!(text, "\r\n\t {name}={value}");
        } else {
            let _ = write!(text, "\r\n\t {name}={}", quote(value));
        }
    }
}

/// A quoted string (RFC 5322 3.2.4) of printable ASCII; other characters become question marks.
fn quote(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars().take(MAX_VALUE) {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => text.push('?'),
        }
    }
    text.push('"');
    text
}

/// True if the value of an `Authentication-Results` field begins with our name, in any spelling. Such a field
/// from outside must not be passed on (RFC 8601 5). A name that does not end soon counts as ours, so that
/// nobody can hide it after comments or make us search.
#[must_use]
pub fn claims_to_be_ours(value: &[u8], hostname: &Domain) -> bool {
    authserv_id(value).is_none_or(|id| {
        id.eq_ignore_ascii_case(hostname.as_str())
            || Domain::parse(&id).is_ok_and(|domain| domain == *hostname)
    })
}

/// Octets within which an honest name ends.
const MAX_ID: usize = 512;

/// The first word outside comments, without its quotes and without invisible characters.
fn authserv_id(value: &[u8]) -> Option<String> {
    let mut id = Vec::new();
    let mut depth = 0_usize;
    let mut in_quotes = false;
    let mut bytes = value.iter().take(MAX_ID);
    let mut ends = value.len() <= MAX_ID;
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' if depth > 0 => {
                bytes.next();
            }
            b'\\' if in_quotes => id.extend(bytes.next()),
            b'(' if !in_quotes => depth += 1,
            b')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            b'"' => in_quotes = !in_quotes,
            b';' if !in_quotes => {
                ends = true;
                break;
            }
            byte if byte.is_ascii_whitespace() => {
                if !id.is_empty() && !in_quotes {
                    ends = true;
                    break;
                }
            }
            byte if byte.is_ascii_control() => {}
            byte => id.push(byte),
        }
    }
    ends.then(|| String::from_utf8_lossy(&id).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{AuthenticationMethod, AuthenticationResult};

    fn hostname() -> Domain {
        Domain::parse("gate.corp.example").expect("a domain")
    }

    fn with_details(details: Vec<AuthenticationDetail>) -> Authentication {
        Authentication {
            details,
            ..Authentication::default()
        }
    }

    fn detail(method: AuthenticationMethod, property: (&str, &str)) -> AuthenticationDetail {
        AuthenticationDetail {
            method,
            result: AuthenticationResult::Pass,
            properties: vec![super::property(property.0, property.1)],
            reason: None,
        }
    }

    #[test]
    fn the_field_contains_the_findings() {
        let mut spf = detail(
            AuthenticationMethod::Spf,
            ("smtp.mailfrom", "ann+1@corp.example"),
        );
        spf.reason = Some("client 192.0.2.1 by XFORWARD".to_owned());
        let dmarc = detail(AuthenticationMethod::Dmarc, ("header.from", "corp.example"));
        assert_eq!(
            field(&with_details(vec![dmarc, spf]), &hostname()).as_deref(),
            Some(
                "Authentication-Results: gate.corp.example;\r\n\
                 \tdmarc=pass\r\n\
                 \t header.from=corp.example;\r\n\
                 \tspf=pass\r\n\
                 \t reason=\"client 192.0.2.1 by XFORWARD\"\r\n\
                 \t smtp.mailfrom=ann+1@corp.example\r\n"
            )
        );
        assert_eq!(field(&Authentication::default(), &hostname()), None);
    }

    #[test]
    fn results_of_the_mta_are_repeated() {
        let found = Authentication {
            dmarc: Some(AuthenticationResult::Fail),
            ..Authentication::default()
        };
        assert_eq!(
            field(&found, &hostname()).as_deref(),
            Some(
                "Authentication-Results: gate.corp.example;\r\n\
                 \tdmarc=fail\r\n\
                 \t reason=\"reported by the MTA\"\r\n"
            )
        );
    }

    #[test]
    fn a_sender_chosen_text_stays_within_its_value() {
        let hostile = "x\r\nX-Vestibule-Account: internal\r\n\r\n; dmarc=pass \"\\(ü\0\u{2028}";
        let mut one = detail(AuthenticationMethod::Dkim, ("header.d", hostile));
        one.properties
            .push(property("header.s", &hostile.repeat(500)));
        one.properties.push(property("header.i", ""));
        one.reason = Some(hostile.repeat(500));
        let text = field(&with_details(vec![one]), &hostname()).expect("a field");
        assert!(text.is_ascii() && text.ends_with("\r\n"));
        let lines: Vec<&str> = text.trim_end().split("\r\n").collect();
        assert!(
            lines[1..].iter().all(|line| line.starts_with('\t')),
            "{text}"
        );
        assert!(
            lines
                .iter()
                .all(|line| line.len() <= 998
                    && !line.contains(|c: char| c.is_control() && c != '\t'))
        );
        assert!(text.contains("header.i=\"\""), "{text}");
        // Outside quotes there is one semicolon, that of the only finding.
        let bare: String = {
            let mut quoted = false;
            let mut escaped = false;
            text.chars()
                .filter(|c| {
                    let inside = quoted;
                    match c {
                        _ if escaped => escaped = false,
                        '\\' if quoted => escaped = true,
                        '"' => quoted = !quoted,
                        _ => {}
                    }
                    !inside
                })
                .collect()
        };
        assert_eq!(bare.matches(';').count(), 1, "{bare}");
    }

    #[test]
    fn our_name_is_detected_in_any_spelling() {
        for (value, ours) in [
            (" gate.corp.example; dmarc=pass", true),
            ("GATE.Corp.Example 1; none", true),
            ("\r\n\t(c (d\\)) e) gate.corp.example (x);none", true),
            ("\"gate.corp.example\"; none", true),
            ("\"gate\\.corp.example\"; none", true),
            ("gate.corp\0.example; none", true),
            ("gate.corp.example.; none", true),
            ("gate.corp.example", true),
            (&"(".repeat(600), true),
            (&format!("mx.corp.example; {}", "x".repeat(600)), false),
            ("mx.corp.example; gate.corp.example", false),
            ("notgate.corp.example; none", false),
            ("(gate.corp.example) mx.corp.example; none", false),
            ("; dmarc=pass", false),
            ("", false),
        ] {
            assert_eq!(
                claims_to_be_ours(value.as_bytes(), &hostname()),
                ours,
                "{value:?}"
            );
        }
        let idn = Domain::parse("bücher.example").expect("a domain");
        assert!(claims_to_be_ours("bücher.example; none".as_bytes(), &idn));
    }
}
