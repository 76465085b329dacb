//! Enhanced status codes (RFC 3463): those of a delivery report, and those in the SMTP reply that it quotes.
//!
//! Takes a word, or the value of Diagnostic-Code (RFC 3464 2.3.6); returns a status code or none. The quoted reply is
//! used if the report has no status of its own, or a meaningless one.

/// Statuses of replies without an enhanced code that have one meaning (RFC 5321 4.2.3, RFC 7504 4).
const CODES: [(u16, &str); 3] = [(551, "5.1.6"), (552, "5.2.2"), (556, "5.1.10")];

/// Phrases in a 550 or 553 without an enhanced code for a mailbox that does not exist. The same codes are
/// used for policy refusals.
const NO_MAILBOX: [&str; 9] = [
    "mailbox not found",
    "no such mailbox",
    "no such recipient",
    "no such user",
    "recipient unknown",
    "unknown mailbox",
    "unknown recipient",
    "unknown user",
    "user unknown",
];

/// Returns the word if it is a status code (RFC 3463 2): class, subject and detail.
pub(super) fn parse_status_code(word: &str) -> Option<String> {
    let parts: Vec<&str> = word.split('.').take(4).collect();
    let number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    (parts.len() == 3 && parts.iter().all(number)).then(|| word.to_owned())
}

/// Returns the status in a Diagnostic-Code: `smtp; 550 5.1.1 <ann@…>: …`, `smtp;550-5.7.1 …`,
/// `smtp; 550 No such user`.
pub(super) fn status_of_diagnostic(diagnostic: &str) -> Option<String> {
    let (kind, text) = diagnostic.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("smtp") {
        return None;
    }
    let text = text.trim_start();
    let code: u16 = text.get(..3)?.parse().ok()?;
    let class = code / 100;
    if !(4..=5).contains(&class) {
        return None;
    }
    let rest = text[3..].trim_start_matches([' ', '-', '#', '\t']);
    let word = rest.split([' ', '\t', ':', ';', ',', ')']).next();
    let enhanced = word.and_then(parse_status_code);
    if let Some(enhanced) = enhanced.filter(|status| status.starts_with(['4', '5'])) {
        return Some(enhanced);
    }
    let known = CODES.iter().find(|(known, _)| *known == code);
    if let Some((_, status)) = known {
        return Some((*status).to_owned());
    }
    let text = rest.to_ascii_lowercase();
    let no_mailbox = matches!(code, 550 | 553)
        && !text.contains("sender")
        && NO_MAILBOX.iter().any(|words| text.contains(words));
    Some(if no_mailbox {
        "5.1.1".to_owned()
    } else {
        format!("{class}.0.0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_give_the_status_of_the_mailbox() {
        for (diagnostic, expected) in [
            (
                "smtp; 550 5.1.1 <ann@corp.example>: no such user",
                Some("5.1.1"),
            ),
            ("SMTP;550-5.7.1 blocked", Some("5.7.1")),
            ("smtp; 452-4.2.2: full", Some("4.2.2")),
            ("smtp; 550 #5.1.10 nobody", Some("5.1.10")),
            ("smtp; 550 No such user here", Some("5.1.1")),
            ("smtp; 550 Sender rejected: user unknown", Some("5.0.0")),
            ("smtp; 550 blocked by a list", Some("5.0.0")),
            (
                "smtp; 550 access denied, your domain does not exist",
                Some("5.0.0"),
            ),
            ("smtp; 552 quota", Some("5.2.2")),
            ("smtp; 551 user not local", Some("5.1.6")),
            ("smtp; 556 domain takes no mail", Some("5.1.10")),
            ("smtp; 421 later", Some("4.0.0")),
            ("smtp; 250 2.1.5 fine", None),
            ("smtp; gone", None),
            ("smtp; 5é", None),
            ("x-unix; 550 5.1.1 x", None),
            ("550 5.1.1 x", None),
        ] {
            assert_eq!(
                status_of_diagnostic(diagnostic).as_deref(),
                expected,
                "{diagnostic}"
            );
        }
    }
}
