//! SPF records: their terms and syntax (RFC 7208 4.6 and 12).
//!
//! An error anywhere makes the whole record invalid (RFC 7208 4.6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use mail_auth::SpfResult;

use super::macros::{DomainSpec, is_macro_string};

/// The version that begins each record; nothing or a space follows.
pub(super) const VERSION: &str = "v=spf1";

/// A valid record. Its terms are parsed again when they are needed: a parsed record takes many times the memory of its
/// text, and each `include` keeps one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpfRecord {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpfDirective {
    /// The result if the mechanism matches.
    pub(super) qualifier: SpfResult,
    pub(super) mechanism: SpfMechanism,
}

/// A test of the client (RFC 7208 5). Without a domain, the one of the record is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SpfMechanism {
    All,
    Include(DomainSpec),
    A(Option<DomainSpec>, PrefixLengths),
    Mx(Option<DomainSpec>, PrefixLengths),
    Ptr(Option<DomainSpec>),
    Network(IpNet),
    Exists(DomainSpec),
}

/// Lengths in bits of the networks around an address (`dual-cidr-length`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PrefixLengths {
    pub(super) v4: u8,
    pub(super) v6: u8,
}

const LONGEST_V4: u8 = 32;
const LONGEST_V6: u8 = 128;

impl SpfRecord {
    /// Checks the text of a record, which begins with the version; None if it violates the grammar.
    pub(super) fn parse(text: String) -> Option<Self> {
        let mut has_redirect = false;
        let mut has_explanation = false;
        for term in terms(&text) {
            match modifier(term) {
                None => drop(SpfDirective::parse(term)?),
                Some((name, value)) if is_redirect(name) => {
                    DomainSpec::parse(value)?;
                    if std::mem::replace(&mut has_redirect, true) {
                        return None;
                    }
                }
                Some((name, value)) if name.eq_ignore_ascii_case("exp") => {
                    DomainSpec::parse(value)?;
                    if std::mem::replace(&mut has_explanation, true) {
                        return None;
                    }
                }
                Some((name, value)) => {
                    if !is_modifier_name(name) || !is_macro_string(value) {
                        return None;
                    }
                }
            }
        }
        Some(Self { text })
    }

    /// The directives, in their order.
    pub(super) fn directives(&self) -> impl Iterator<Item = SpfDirective> {
        let directives = terms(&self.text).filter(|term| modifier(term).is_none());
        directives.filter_map(SpfDirective::parse)
    }

    /// The domain whose record decides if no directive matches.
    pub(super) fn redirect(&self) -> Option<DomainSpec> {
        let mut modifiers = terms(&self.text).filter_map(modifier);
        let (_, value) = modifiers.find(|(name, _)| is_redirect(name))?;
        DomainSpec::parse(value)
    }
}

/// The terms of a record after its version.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let terms = text.get(VERSION.len()..).unwrap_or_default().split(' ');
    terms.filter(|term| !term.is_empty())
}

fn is_redirect(name: &str) -> bool {
    name.eq_ignore_ascii_case("redirect")
}

/// Name and value of a modifier; None for a directive.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, rest) = term.split_at(term.find([':', '/', '='])?);
    Some((name, rest.strip_prefix('=')?))
}

fn is_modifier_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl SpfDirective {
    fn parse(term: &str) -> Option<Self> {
        let (qualifier, term) = qualifier(term);
        let at = term.find([':', '/']).unwrap_or(term.len());
        let (name, rest) = term.split_at(at);
        let mechanism = match name.to_ascii_lowercase().as_str() {
            "all" if rest.is_empty() => SpfMechanism::All,
            "include" => SpfMechanism::Include(domain(rest)?),
            "exists" => SpfMechanism::Exists(domain(rest)?),
            "ptr" if rest.is_empty() => SpfMechanism::Ptr(None),
            "ptr" => SpfMechanism::Ptr(Some(domain(rest)?)),
            "a" => {
                let (target, lengths) = domain_with_lengths(rest)?;
                SpfMechanism::A(target, lengths)
            }
            "mx" => {
                let (target, lengths) = domain_with_lengths(rest)?;
                SpfMechanism::Mx(target, lengths)
            }
            "ip4" => SpfMechanism::Network(network::<Ipv4Addr>(rest, LONGEST_V4)?),
            "ip6" => SpfMechanism::Network(network::<Ipv6Addr>(rest, LONGEST_V6)?),
            _ => return None,
        };
        Some(Self {
            qualifier,
            mechanism,
        })
    }
}

/// Splits off the qualifier (RFC 7208 4.6.2).
fn qualifier(term: &str) -> (SpfResult, &str) {
    const QUALIFIERS: [(char, SpfResult); 4] = [
        ('+', SpfResult::Pass),
        ('-', SpfResult::Fail),
        ('~', SpfResult::SoftFail),
        ('?', SpfResult::Neutral),
    ];
    QUALIFIERS
        .into_iter()
        .find_map(|(sign, result)| Some((result, term.strip_prefix(sign)?)))
        .unwrap_or((SpfResult::Pass, term))
}

fn domain(rest: &str) -> Option<DomainSpec> {
    DomainSpec::parse(rest.strip_prefix(':')?)
}

fn domain_with_lengths(rest: &str) -> Option<(Option<DomainSpec>, PrefixLengths)> {
    let start = rest.trim_end_matches(|c: char| c.is_ascii_digit() || c == '/');
    let at = rest[start.len()..]
        .find('/')
        .map_or(rest.len(), |at| start.len() + at);
    let (target, lengths) = rest.split_at(at);
    let target = match target {
        "" => None,
        target => Some(domain(target)?),
    };
    Some((target, PrefixLengths::parse(lengths)?))
}

impl PrefixLengths {
    /// Those of a network with one address.
    pub(super) const WHOLE: Self = Self {
        v4: LONGEST_V4,
        v6: LONGEST_V6,
    };

    /// Parses `/24`, `//64` and `/24//64`.
    fn parse(text: &str) -> Option<Self> {
        let (v4, v6) = match text.split_once("//") {
            Some((v4, v6)) => (v4, prefix_length(v6, LONGEST_V6)?),
            None => (text, LONGEST_V6),
        };
        let v4 = match v4.strip_prefix('/') {
            Some(v4) => prefix_length(v4, LONGEST_V4)?,
            None if v4.is_empty() => LONGEST_V4,
            None => return None,
        };
        Some(Self { v4, v6 })
    }
}

fn network<A>(rest: &str, longest: u8) -> Option<IpNet>
where
    A: FromStr + Into<IpAddr>,
{
    let text = rest.strip_prefix(':')?;
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, prefix_length(length, longest)?),
        None => (text, longest),
    };
    let address: A = address.parse().ok()?;
    IpNet::new(address.into(), length).ok()
}

/// A length in decimal digits without leading zeros.
fn prefix_length(text: &str, longest: u8) -> Option<u8> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_decimal || (text.starts_with('0') && text != "0") {
        return None;
    }
    text.parse::<u8>().ok().filter(|length| *length <= longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_valid_as_a_whole_or_not_at_all() {
        for (terms, expected) in [
            ("", true),
            (" -all", true),
            ("   MX   -ALL  ", true),
            (" a/24 a//64 a/24//64 a:b.example/24//64 mx/0 -all", true),
            (
                " ip4:192.0.2.0/24 ip4:192.0.2.1 ip6:2001:db8::/32 ip6:::1",
                true,
            ),
            (" ptr ptr:b.example exists:%{ir}.b.example", true),
            (
                " include:%{i}._ip.%{h}._ehlo.%{d}._spf.b.example ~all",
                true,
            ),
            (" exists:%{d} a:%{l1r-}.%{D2} a:%%%_%-.example.", true),
            (" redirect=b.example", true),
            (" exp=why.b.example x.y-z_1=%{d}/1:2= -all", true),
            (" ip4:192.0.2.1/", false),
            (" ip4:192.0.2.1/33", false),
            (" ip4:192.0.2.1/032", false),
            (" ip4:192.0.2", false),
            (" ip4:192.0.2.256", false),
            (" ip4:2001:db8::1", false),
            (" ip6:2001:db8::/129", false),
            (" ip6:192.0.2.1", false),
            (" ip4", false),
            (" a/", false),
            (" a/24/64", false),
            (" a/24//", false),
            (" a:", false),
            (" a:b", false),
            (" a:192.0.2.1", false),
            (" a:b.example:25", false),
            (" include", false),
            (" include:", false),
            (" include=b.example", true),
            (" exists:b.example/24", false),
            (" ptr/24", false),
            (" all:b.example", false),
            (" ipv4:192.0.2.1 -all", false),
            (" - all", false),
            (" +-all", false),
            (" -all\tmx", false),
            (" a:%{x}.example", false),
            (" a:%{c}.example", false),
            (" a:%{d0}.example", false),
            (" a:%{d.example", false),
            (" a:%d.example", false),
            (" redirect=b.example redirect=b.example", false),
            (" exp=b.example exp=b.example", false),
            (" redirect=", false),
            (" =b", false),
            (" 1x=b", false),
        ] {
            let record = SpfRecord::parse(format!("{VERSION}{terms}"));
            assert_eq!(record.is_some(), expected, "{terms}");
        }
    }

    #[test]
    fn a_directive_has_its_qualifier_and_network() {
        let text = "v=spf1 ~ip4:192.0.2.9/24 redirect=%{d}.b.example mx//64".to_owned();
        let record = SpfRecord::parse(text).expect("a record");
        assert_eq!(
            record.directives().collect::<Vec<_>>(),
            [
                SpfDirective {
                    qualifier: SpfResult::SoftFail,
                    mechanism: SpfMechanism::Network("192.0.2.9/24".parse().expect("a network")),
                },
                SpfDirective {
                    qualifier: SpfResult::Pass,
                    mechanism: SpfMechanism::Mx(None, PrefixLengths { v4: 32, v6: 64 }),
                },
            ]
        );
        assert_eq!(record.redirect(), DomainSpec::parse("%{d}.b.example"));
    }
}
