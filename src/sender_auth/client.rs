//! The client that handed a message to our machines, for SPF.
//!
//! Takes the XFORWARD data, the `Received` fields and the networks of our own machines. Returns the client's
//! address and its HELO name, or that there was no outside client.
//!
//! Anyone can write `Received` fields, so only those of our own machines count. The topmost is by the MTA
//! that connected to us (RFC 5321 4.4 makes it add one). If it names one of our machines as its client, the
//! next field is by that machine, and so on. Our own peer is never the client: it is the MTA, usually on
//! loopback.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::domain::{Envelope, parse_address, strip_prefix_any_case};

/// Maximum number of hops through our own machines that are followed; no message has more.
const MAX_HOPS: usize = 20;

/// Maximum number of octets in Exim's comment before the text of the client: an IPv6 address with its port, and
/// `ident`.
const MAX_BEFORE_CLIENT_TEXT: usize = 64;

/// Source of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Client {
    Outside {
        address: IpAddr,
        /// Name in HELO or EHLO.
        helo: Option<String>,
        /// Origin of this information.
        source: &'static str,
    },
    /// Only our own machines handled it, as far as they record.
    Inside,
    /// One of our machines wrote a field that cannot be parsed.
    Unreadable,
}

/// Finds the client. `received` are the values of the Received fields, topmost first.
pub(super) fn client<'a>(
    envelope: &Envelope,
    received: impl Iterator<Item = &'a [u8]>,
    ours: &[IpNet],
) -> Client {
    if let Some(forwarded) = &envelope.client
        && let Some(address) = forwarded.address.map(|address| address.to_canonical())
        && !is_inside(address, ours)
    {
        return Client::Outside {
            address,
            helo: forwarded.helo.clone(),
            source: "XFORWARD",
        };
    }
    for value in received.take(MAX_HOPS) {
        match Hop::of(value) {
            Hop::Within => {}
            Hop::From { address, .. } if is_inside(address, ours) => {}
            Hop::From { address, helo } => {
                return Client::Outside {
                    address,
                    helo: Some(helo),
                    source: "Received",
                };
            }
            Hop::Unreadable => return Client::Unreadable,
        }
    }
    Client::Inside
}

/// The client outside of our own machines that handed them the message, if they record it. `ours` are the
/// trusted peers of SMTP.
#[must_use]
pub fn outside_client(envelope: &Envelope, raw: &[u8], ours: &[IpNet]) -> Option<IpAddr> {
    let received = match envelope.client {
        Some(_) => None,
        None => Some(crate::mail::received_values(raw)),
    };
    match client(envelope, received.into_iter().flatten(), ours) {
        Client::Outside { address, .. } => Some(address),
        Client::Inside | Client::Unreadable => None,
    }
}

/// True for one of our machines, and for an address that never comes from another network.
fn is_inside(address: IpAddr, ours: &[IpNet]) -> bool {
    let local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    local
        || address.is_loopback()
        || address.is_unspecified()
        || ours.iter().any(|network| network.contains(&address))
}

/// The source of a message according to one Received field.
#[derive(Debug, PartialEq, Eq)]
enum Hop {
    From {
        address: IpAddr,
        helo: String,
    },
    /// A program on the same machine: there is no `from` clause, or Exim's with the program's user.
    Within,
    Unreadable,
}

impl Hop {
    /// Parses `from HELO (NAME [ADDRESS])` and its dialects. Only the comment counts, which the MTA wrote;
    /// the word before it is the client's own, and so is the text after `helo=` or `ident=` in Exim's comment.
    fn of(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let text = text.trim();
        let Some(clause) = strip_prefix_any_case(text, "from")
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii() && c.is_whitespace()))
        else {
            return Self::Within;
        };
        let (helo, comments) = from_clause(clause);
        let found = comments
            .iter()
            .find_map(|comment| ClientComment::of(comment));
        match found {
            Some(found) => Self::From {
                address: found.address,
                helo: found.helo.unwrap_or(helo),
            },
            None if is_local_to_exim(clause) => Self::Within,
            None => Self::parse_exim(clause, helo, &comments).unwrap_or(Self::Unreadable),
        }
    }

    /// Parses Exim's form for a client without a name: `from [ADDRESS] (helo=HELO)`, without the comment if the client
    /// gave this address as its HELO name, or none. Another MTA would write a HELO name here.
    fn parse_exim(clause: &str, word: String, comments: &[String]) -> Option<Self> {
        let address = parse_literal(&word)?;
        let helo = comments.first().and_then(|comment| helo_of(comment));
        if helo.is_none() && !clause.contains("(Exim ") {
            return None;
        }
        Some(Self::From {
            address,
            helo: helo.unwrap_or(word),
        })
    }
}

/// True for Exim's form for mail of a program on its machine: `from USER by HOST with PROTOCOL (Exim VERSION)`, and
/// `from USER (helo=HELO) by` if the program speaks SMTP. The protocol can be any word (`-oMr`). Exim writes the address
/// of every client that has one, so no client on the network causes this form. It could be in the HELO name that another
/// MTA writes without a check, but then that MTA's own `by` follows.
fn is_local_to_exim(clause: &str) -> bool {
    let words: Vec<&str> = clause.split_whitespace().collect();
    let is_by = |word: &&&str| word.eq_ignore_ascii_case("by");
    let after_user = match words.as_slice() {
        [user, helo, rest @ ..] if is_user(user) && is_helo_comment(helo) => rest,
        [user, rest @ ..] if is_user(user) => rest,
        _ => return false,
    };
    matches!(after_user, ["by", _, "with", _, "(Exim", ..])
        && words.iter().filter(is_by).count() == 1
}

/// True for a user name as Exim writes it, unless it needs quotes.
fn is_user(word: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+$".contains(&byte);
    word.bytes().all(is_of_name)
}

fn is_helo_comment(word: &str) -> bool {
    let comment = word
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'));
    comment.is_some_and(|comment| name_given(comment).is_some())
}

/// The word after `from`, and the comments up to the `by` clause, or up to the text of the client in Exim's comment.
fn from_clause(clause: &str) -> (String, Vec<String>) {
    let mut helo = String::new();
    let mut comments = Vec::new();
    let mut comment = String::new();
    let mut depth = 0_usize;
    let mut word = String::new();
    for (place, c) in clause.char_indices().chain([(clause.len(), ' ')]) {
        match c {
            '=' if depth == 1 && comments.is_empty() && precedes_client_text(&helo, &comment) => {
                let rest = &clause[place..];
                let end = rest.find(|c: char| c.is_whitespace() || c == ')');
                comment.push_str(&rest[..end.unwrap_or(rest.len())]);
                comments.push(comment);
                break;
            }
            '(' => {
                depth += 1;
                comment.push(if depth > 1 { '(' } else { ' ' });
            }
            ')' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    comments.push(std::mem::take(&mut comment));
                } else {
                    comment.push(')');
                }
            }
            c if depth > 0 => comment.push(c),
            c if c.is_whitespace() => {
                if word.eq_ignore_ascii_case("by") && !helo.is_empty() {
                    break;
                }
                if helo.is_empty() {
                    helo = std::mem::take(&mut word);
                }
                word.clear();
            }
            c => word.push(c),
        }
    }
    (helo, comments)
}

/// True if `comment` ends with the name of Exim's `helo=` or `ident=`. What follows may contain brackets and
/// parentheses: the client's answer to an ident query (RFC 1413) does, and its HELO name with
/// `helo_accept_junk_hosts`. Exim writes the client's address before it: `[ADDRESS] (port=N helo=HELO ident=IDENT)`, or
/// `NAME ([ADDRESS] helo=HELO ident=IDENT)` for a client with a name.
fn precedes_client_text(word: &str, comment: &str) -> bool {
    if comment.len() > MAX_BEFORE_CLIENT_TEXT {
        return false;
    }
    let mut words: Vec<_> = comment.split_whitespace().collect();
    if !matches!(words.pop(), Some("helo" | "ident")) {
        return false;
    }
    match words.as_slice() {
        [] => parse_literal(word).is_some(),
        [only] if only.starts_with("port=") => parse_literal(word).is_some(),
        [only] => parse_literal(only).is_some(),
        _ => false,
    }
}

/// The client as an MTA describes it in one comment.
struct ClientComment {
    address: IpAddr,
    helo: Option<String>,
}

impl ClientComment {
    /// Parses an address literal (RFC 5321 4.4, `TCP-info`), else a bare address alone in its comment, as
    /// Exchange and qmail write it.
    fn of(comment: &str) -> Option<Self> {
        let words = || {
            comment
                .split_whitespace()
                .filter(|word| name_given(word).is_none())
        };
        let address = words().find_map(parse_literal).or_else(|| {
            let mut words = words();
            let word = words.next()?;
            words.next().is_none().then(|| parse_address(word))?
        })?;
        Some(Self {
            address,
            helo: helo_of(comment),
        })
    }
}

/// Exim's `helo=NAME`.
fn helo_of(comment: &str) -> Option<String> {
    comment
        .split_whitespace()
        .find_map(name_given)
        .map(ToOwned::to_owned)
}

fn name_given(word: &str) -> Option<&str> {
    strip_prefix_any_case(word, "helo=")
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]`, optionally with a port after it.
fn parse_literal(word: &str) -> Option<IpAddr> {
    let (literal, port) = word.strip_prefix('[')?.split_once(']')?;
    let port = port.strip_prefix(':').unwrap_or(port);
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    parse_address(literal)
}

#[cfg(test)]
mod tests;
