//! Macros in SPF records (RFC 7208 7): names that depend on the message.
//!
//! The sender chooses most of the values, so an expanded name may be anything; it is cut here, and checked where it
//! is queried.

use std::fmt::Write;
use std::net::IpAddr;

/// Maximum octets of an expanded name (RFC 7208 7.3).
const MAX_NAME: usize = 253;

const DELIMITERS: &[u8] = b".-+,/_=";

/// A name in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DomainSpec(Vec<SpecPart>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum SpecPart {
    Text(String),
    Macro(SpfMacro),
}

/// `%{`symbol, transformers, delimiters`}`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SpfMacro {
    /// In lower case.
    symbol: char,
    /// Number of labels that are kept, from the right.
    kept: usize,
    reverse: bool,
    delimiters: String,
    /// True if the value is percent-encoded.
    encode: bool,
}

/// Values of the macros.
#[derive(Debug, Clone, Copy)]
pub(super) struct MacroValues<'a> {
    /// The whole address.
    pub(super) sender: &'a str,
    /// Domain of the current record.
    pub(super) domain: &'a str,
    pub(super) address: IpAddr,
    /// Empty if unknown.
    pub(super) helo: &'a str,
    /// Validated name of the client, or `unknown`.
    pub(super) validated: &'a str,
}

impl DomainSpec {
    /// Parses a `domain-spec`; None if it violates the grammar.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts = parts(text)?;
        let is_complete = match parts.last()? {
            SpecPart::Text(text) => has_top_label(text),
            SpecPart::Macro(_) => true,
        };
        is_complete.then_some(Self(parts))
    }

    /// True if the name depends on the validated name of the client.
    pub(super) fn needs_validated_name(&self) -> bool {
        let is_validated =
            |part: &SpecPart| matches!(part, SpecPart::Macro(found) if found.symbol == 'p');
        self.0.iter().any(is_validated)
    }

    /// The name without a final dot. A longer one than DNS permits loses labels from the left.
    pub(super) fn expand(&self, values: &MacroValues<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                SpecPart::Text(literal) => text.push_str(literal),
                SpecPart::Macro(found) => found.push_value(values, &mut text),
            }
        }
        let mut name = text.strip_suffix('.').unwrap_or(&text);
        while name.len() > MAX_NAME
            && let Some((_, rest)) = name.split_once('.')
        {
            name = rest;
        }
        name.to_owned()
    }
}

/// True for a valid `macro-string`.
pub(super) fn is_macro_string(text: &str) -> bool {
    parts(text).is_some()
}

/// Splits a `macro-string` into text and macros.
fn parts(text: &str) -> Option<Vec<SpecPart>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('%') {
        push_literal(literal, &mut parts)?;
        rest = if let Some(after) = after.strip_prefix('{') {
            let (found, after) = after.split_once('}')?;
            parts.push(SpecPart::Macro(SpfMacro::parse(found)?));
            after
        } else {
            let escaped = match after.chars().next()? {
                '%' => "%",
                '_' => " ",
                '-' => "%20",
                _ => return None,
            };
            parts.push(SpecPart::Text(escaped.to_owned()));
            &after[1..]
        };
    }
    push_literal(rest, &mut parts)?;
    Some(parts)
}

fn push_literal(literal: &str, parts: &mut Vec<SpecPart>) -> Option<()> {
    let is_visible = literal.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible && !literal.is_empty() {
        parts.push(SpecPart::Text(literal.to_owned()));
    }
    is_visible.then_some(())
}

/// True if a dot and the label of a top-level domain end the text.
fn has_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    text.rsplit_once('.').is_some_and(|(_, label)| {
        let is_label = label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let is_number = label.bytes().all(|byte| byte.is_ascii_digit());
        is_label && !is_number && !label.starts_with('-') && !label.ends_with('-')
    })
}

impl SpfMacro {
    /// Parses what is between the braces. The letters `c`, `r` and `t` are for explanations only.
    fn parse(text: &str) -> Option<Self> {
        let symbol = text.chars().next().filter(char::is_ascii_alphabetic)?;
        let rest = &text[1..];
        let without_digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = &rest[..rest.len() - without_digits.len()];
        let kept = match digits {
            "" => usize::MAX,
            // More digits than a number can have mean all labels, too.
            digits => digits.parse().unwrap_or(usize::MAX),
        };
        let (reverse, delimiters) = match without_digits.strip_prefix(['r', 'R']) {
            Some(delimiters) => (true, delimiters),
            None => (false, without_digits),
        };
        let is_valid = "slodiphv".contains(symbol.to_ascii_lowercase())
            && kept > 0
            && delimiters.bytes().all(|byte| DELIMITERS.contains(&byte));
        is_valid.then(|| Self {
            symbol: symbol.to_ascii_lowercase(),
            kept,
            reverse,
            delimiters: if delimiters.is_empty() {
                "."
            } else {
                delimiters
            }
            .to_owned(),
            encode: symbol.is_ascii_uppercase(),
        })
    }

    fn push_value(&self, values: &MacroValues<'_>, text: &mut String) {
        let value = values.get(self.symbol);
        let mut labels: Vec<&str> = value.split(|c: char| self.delimiters.contains(c)).collect();
        if self.reverse {
            labels.reverse();
        }
        let value = labels[labels.len().saturating_sub(self.kept)..].join(".");
        if self.encode {
            push_encoded(&value, text);
        } else {
            text.push_str(&value);
        }
    }
}

impl MacroValues<'_> {
    fn get(&self, symbol: char) -> String {
        let (local, domain) = self.sender.rsplit_once('@').unwrap_or(("", self.sender));
        let value = match symbol {
            's' => self.sender,
            'l' => local,
            'o' => domain,
            'd' => self.domain,
            'i' => return labels_of(self.address),
            'v' if self.address.is_ipv4() => "in-addr",
            'v' => "ip6",
            'p' => self.validated,
            _ if self.helo.is_empty() => "unknown",
            _ => self.helo,
        };
        value.to_owned()
    }
}

/// The address as labels: its octets, or the hexadecimal digits of IPv6.
fn labels_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", address.to_bits());
            let digits: Vec<String> = digits.chars().map(String::from).collect();
            digits.join(".")
        }
    }
}

/// Percent-encodes all but the unreserved characters of a URI (RFC 3986 2.3).
fn push_encoded(value: &str, text: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(spec: &str, address: &str) -> String {
        let values = MacroValues {
            sender: "strong-bad@email.example.com",
            domain: "email.example.com",
            address: address.parse().expect("an address"),
            helo: "mx.example.org",
            validated: "unknown",
        };
        DomainSpec::parse(spec).expect("a name").expand(&values)
    }

    /// The examples of RFC 7208 7.4.
    #[test]
    fn macros_expand_as_in_the_standard() {
        for (spec, expected) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{S}", "strong-bad%40email.example.com"),
            ("%{h}.%{p}", "mx.example.org.unknown"),
            (
                "%{ir}.%{v}._spf.%{d2}",
                "3.2.0.192.in-addr._spf.example.com",
            ),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("a%%b%_c%-.example.com.", "a%b c%20.example.com"),
        ] {
            assert_eq!(expand(spec, "192.0.2.3"), expected, "{spec}");
        }
        assert_eq!(
            expand("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01"),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        );
    }

    #[test]
    fn a_name_that_is_too_long_loses_labels_from_the_left() {
        let label = "a".repeat(63);
        let spec = format!("{label}.{label}.{label}.{label}.%{{d}}");
        let expected = format!("{label}.{label}.{label}.email.example.com");
        assert_eq!(expand(&spec, "192.0.2.3"), expected);
    }
}
