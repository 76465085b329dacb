//! Tokens of links and reply addresses in decoded text.
//!
//! A token follows a word, which is `verify` or the local part of the reply address, and a mark (`/` or `+`), however
//! that is written. It has 52 or 26 characters of base32, or 43 of base64url as version 0.1 wrote them. A link of
//! version 0.1 needs our host before it; exactly 52 characters of base32 after `verify` are no coincidence.
//! Words, marks and tokens are matched across [breaks](super::breaks).

use std::ops::Range;

use super::OwnLinks;
use super::bits::Bits;
use super::breaks::{base64_character, breaks, match_word, skip_breaks};
use super::patterns::{PatternKind, TokenKind};
use super::references::numeric_reference;
use crate::mail::transfer_encoding::{sextet, soft_break};

/// Maximum number of octets from the start of a link's host to the end of the word before its token.
const HOST_WITHIN: usize = 600;

/// Number of octets after a break that are searched at once if more breaks follow closely.
const MAX_JOINED: usize = 4096;

/// Lengths of the tokens: in links, in reply addresses, and in both as version 0.1 wrote them.
const LINK: usize = 52;
const REPLY: usize = 26;
const BASE64URL: usize = 43;

/// Number of octets at the end of a text that was cut off in which a token may be incomplete.
const MAX_CUT: usize = 64;

/// Minimum length of a text with a token: a word of one letter, a mark, and the shortest token.
pub(super) const MIN_LENGTH: usize = 2 + REPLY;

/// Spellings of a mark, also across breaks. References by number have more: `&#047;`.
struct Mark {
    character: char,
    spellings: &'static [&'static str],
}

const SLASH: Mark = Mark {
    character: '/',
    spellings: &[
        "/", "%2f", "%252f", "=2f", "-2f", "&#47;", "&#x2f;", "&sol;", "\\/", "\\u002f", "_",
    ],
};
const PLUS: Mark = Mark {
    character: '+',
    spellings: &[
        "+", "%2b", "%252b", "=2b", "-2b", "&#43;", "&#x2b;", "&plus;", "\\u002b",
    ],
};
const AT_SIGN: Mark = Mark {
    character: '@',
    spellings: &[
        "@", "%40", "%2540", "=40", "-40", "&#64;", "&#x40;", "&commat;",
    ],
};

/// Tokens in a text.
pub(super) struct FoundTokens {
    /// Positions of their characters.
    pub tokens: Bits,
    pub links: u32,
    /// Starts of words in base64, by the number of octets before the word in its first group.
    pub in_base64: [Bits; 3],
}

/// Finds the tokens in a text. A link without our host is one of ours that a gateway rewrote, unless
/// `needs_host` is true. If the text `is_cut` off at its end, tokens there are left: the beginning of one looks like a
/// shorter one.
pub(super) fn find(text: &[u8], own: &OwnLinks, needs_host: bool, is_cut: bool) -> FoundTokens {
    let bits = || Bits::new(text.len());
    let mut search = Search {
        text,
        own,
        needs_host,
        is_cut,
        hosts: None,
        found: FoundTokens {
            tokens: bits(),
            links: 0,
            in_base64: [bits(), bits(), bits()],
        },
    };
    own.patterns.find(text, |start, pattern| {
        search.record(start, start + pattern.octets.len(), pattern.kind);
    });
    let mut joined = JoinedText::default();
    let (mut last, mut next) = (0, 0);
    for end in breaks(text) {
        // The breaks of another kind begin.
        if end < last {
            next = 0;
        }
        last = end;
        if end >= next {
            next = search.find_broken(end, &mut joined);
        }
    }
    search.found
}

/// A piece of a text without the breaks in it.
#[derive(Default)]
struct JoinedText {
    octets: Vec<u8>,
    /// Positions of the octets in the text.
    places: Vec<usize>,
}

impl JoinedText {
    fn set(&mut self, text: &[u8], range: Range<usize>) {
        self.octets.clear();
        self.octets.extend_from_slice(&text[range.clone()]);
        self.places.clear();
        self.places.extend(range);
    }

    fn push(&mut self, octet: u8, at: usize) {
        self.octets.push(octet);
        self.places.push(at);
    }
}

struct Search<'a> {
    text: &'a [u8],
    own: &'a OwnLinks,
    needs_host: bool,
    is_cut: bool,
    /// Starts of our host, one in each short piece of the text; None before the first use.
    hosts: Option<Vec<usize>>,
    found: FoundTokens,
}

impl Search<'_> {
    /// Finds the words that are broken here or at breaks shortly after. Returns the position of the first break
    /// that may be left.
    ///
    /// Breaks are left out: a pattern is then found as if it were whole. No pattern contains a quote prefix, except
    /// that of a local part with `|`: such a word is not found if it is broken before its `|`.
    fn find_broken(&mut self, end: usize, joined: &mut JoinedText) -> usize {
        let text = self.text;
        let patterns = &self.own.patterns;
        let last = text[..end].last();
        let Some(mut last) = last.copied().filter(|last| patterns.contains(*last)) else {
            return end;
        };
        let mut next = skip_breaks(text, end);
        let next_of_pattern = |last, at| {
            let octet = text.get(at).copied();
            octet.filter(|octet| patterns.may_contain(last, *octet))
        };
        if next_of_pattern(last, next).is_none() {
            return next;
        }
        let overlap = patterns.longest() - 1;
        let earliest = end.saturating_sub(overlap);
        let mut before = (earliest..end - 1).rev();
        let outside = before.find(|at| !patterns.may_contain(text[*at], text[at + 1]));
        joined.set(text, outside.map_or(earliest, |at| at + 1)..end);
        let limit = joined.octets.len() + overlap + MAX_JOINED;
        // Words that are broken end before this.
        let mut needed = joined.octets.len() + overlap;
        while joined.octets.len() < needed.min(limit)
            && let Some(octet) = next_of_pattern(last, next)
        {
            joined.push(octet, next);
            last = octet;
            let after = skip_breaks(text, next + 1);
            if after > next + 1 {
                needed = joined.octets.len() + overlap;
            }
            next = after;
        }
        let places = &joined.places;
        patterns.find(&joined.octets, |start, pattern| {
            let length = pattern.octets.len();
            let (first, last) = (places[start], places[start + length - 1]);
            let is_broken = last - first >= length;
            if is_broken {
                self.record(first, last + 1, pattern.kind);
            }
        });
        if places.len() < limit {
            return next;
        }
        // Words that are broken from here on may be longer than what was searched.
        places[limit - overlap]
    }

    /// Records an occurrence: the token after a word, or the start of a word in base64.
    fn record(&mut self, start: usize, end: usize, kind: PatternKind) {
        let token = match kind {
            PatternKind::Base64(before) => {
                self.found.in_base64[before].insert(start);
                return;
            }
            PatternKind::Word(TokenKind::Link) => self.link_token(end),
            PatternKind::Word(TokenKind::Reply) => self.reply_token(start, end),
        };
        let Some(token) = token else { return };
        // Text may follow a masked token of version 0.1 without a gap.
        if token
            .iter()
            .take(BASE64URL)
            .all(|at| self.text[*at] == b'x')
        {
            return;
        }
        let mut is_new = false;
        for at in token {
            is_new |= self.found.tokens.insert(at);
        }
        self.found.links += u32::from(is_new);
    }

    fn link_token(&mut self, end: usize) -> Option<Vec<usize>> {
        let start = match_mark(self.text, end, &SLASH)?;
        let mut run = characters(self.text, start, LINK);
        if run.len() < BASE64URL || self.may_be_cut(&run) {
            return None;
        }
        let is_base32_token = run.len() == LINK && run.iter().all(|at| is_base32(self.text[*at]));
        let is_longer = run
            .last()
            .is_some_and(|last| is_continued(self.text, last + 1));
        let is_evident = is_base32_token && !is_longer;
        if (self.needs_host || !is_evident) && !self.names_host(end) {
            return None;
        }
        if !is_base32_token {
            run.truncate(BASE64URL);
        }
        Some(run)
    }

    /// Reads the token after a word that begins at `word`.
    fn reply_token(&self, word: usize, end: usize) -> Option<Vec<usize>> {
        let start = match_mark(self.text, end, &PLUS)?;
        let token = self.reply_token_at(start, word);
        token.or_else(|| {
            // In UTF-7 (RFC 2152), a plus sign is `+-`.
            let is_utf7 = self.text[end..].starts_with(b"+-");
            is_utf7.then(|| self.reply_token_at(end + 2, word))?
        })
    }

    fn reply_token_at(&self, start: usize, word: usize) -> Option<Vec<usize>> {
        let text = self.text;
        let mut run = characters(text, start, BASE64URL);
        let at_sign_follows = |token: &[usize]| {
            let last = token.last();
            last.is_some_and(|last| match_mark(text, last + 1, &AT_SIGN).is_some())
        };
        if self.may_be_cut(&run) {
            return None;
        }
        let short = run.get(..REPLY)?;
        // Its `-40` and domain look like more of a longer token.
        if short.iter().all(|at| is_base32(text[*at]))
            && (run.len() < BASE64URL || at_sign_follows(short))
        {
            run.truncate(REPLY);
        } else if run.len() < BASE64URL {
            return None;
        }
        let after = run.last().map_or(start, |last| last + 1);
        let is_address = at_sign_follows(&run)
            || base64_character(text, after).is_none()
            || !follows_base64(text, word);
        is_address.then_some(run)
    }

    fn may_be_cut(&self, token: &[usize]) -> bool {
        let last = token.last();
        self.is_cut && last.is_some_and(|last| is_near_end(self.text, last + 1))
    }

    /// True if our host occurs shortly before a word.
    fn names_host(&mut self, end: usize) -> bool {
        let host = self.own.host.as_bytes();
        let hosts = self
            .hosts
            .get_or_insert_with(|| find_hosts(self.text, host));
        let after = hosts.partition_point(|start| start + host.len() <= end);
        let last = after.checked_sub(1).map(|index| hosts[index]);
        last.is_some_and(|start| start + HOST_WITHIN >= end)
    }
}

/// True for a position in the last octets of a text that may be incomplete.
pub(super) fn is_near_end(text: &[u8], at: usize) -> bool {
    at + MAX_CUT > text.len()
}

/// True if there is nothing but base64 before a word, apart from a line end, so that the word is a part of it.
fn follows_base64(text: &[u8], word: usize) -> bool {
    /// More characters than a word of ordinary text has.
    const LENGTH: usize = 16;
    let before = text[word.saturating_sub(LENGTH + 2)..word].iter();
    let before = before.filter(|octet| !matches!(octet, b'\r' | b'\n'));
    let is_base64 = |octet: u8| sextet(octet).is_some() || matches!(octet, b'-' | b'_');
    before.clone().count() >= LENGTH && before.copied().all(is_base64)
}

/// True if a letter or a digit follows a token that ends here. It is then the beginning of a longer one, which is not
/// ours: gateways write only `-` and `_` after a link. A soft line break (RFC 2045 6.7) may come between them, as no
/// program writes it between two lines; after any other break, a letter may begin other text.
fn is_continued(text: &[u8], end: usize) -> bool {
    let rest = &text[end..];
    let next_line = rest.strip_prefix(b"=").and_then(|after| {
        let length = soft_break(after)?;
        after.get(length..)
    });
    let after = next_line.unwrap_or(rest);
    after.first().is_some_and(u8::is_ascii_alphanumeric)
}

/// Starts of a host, however it is broken. Of those within a few octets, only the last.
fn find_hosts(text: &[u8], host: &[u8]) -> Vec<usize> {
    /// Length of a piece: less than a word and its token.
    const PIECE: usize = 32;
    let Some(first) = host.first() else {
        return Vec::new();
    };
    let mut hosts: Vec<usize> = Vec::new();
    for at in memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text) {
        if match_word(text, at, host).is_some() {
            match hosts.last_mut() {
                Some(last) if *last / PIECE == at / PIECE => *last = at,
                _ => hosts.push(at),
            }
        }
    }
    hosts
}

/// Position after a mark that begins here.
fn match_mark(text: &[u8], at: usize, mark: &Mark) -> Option<usize> {
    if text.get(at)?.is_ascii_alphanumeric() {
        return None;
    }
    let find = |at: usize| {
        let mut spellings = mark.spellings.iter();
        let written = spellings.find_map(|word| match_word(text, at, word.as_bytes()));
        written.or_else(|| {
            let (number, length) = numeric_reference(text.get(at..)?)?;
            (number == u32::from(mark.character)).then_some(at + length)
        })
    };
    // A break can begin like a mark: `&shy;&#47;`.
    find(at).or_else(|| find(skip_breaks(text, at)))
}

/// Indices of up to `most` characters of a token.
fn characters(text: &[u8], start: usize, most: usize) -> Vec<usize> {
    let mut run = Vec::with_capacity(most);
    let mut at = start;
    while run.len() < most
        && let Some(octet) = text.get(at)
    {
        // No break begins with a character of a token.
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_') {
            run.push(at);
            at += 1;
            continue;
        }
        let next = skip_breaks(text, at);
        if next == at {
            break;
        }
        at = next;
    }
    run
}

fn is_base32(octet: u8) -> bool {
    octet.is_ascii_alphabetic() || (b'2'..=b'7').contains(&octet)
}
