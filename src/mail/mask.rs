//! Masking of our own valid links in a message to be stored.
//!
//! Takes the raw message. Returns the same number of octets, with the token of each verification link and of
//! each reply address overwritten with `x`; None if there is no token. Unmasked, a verification mail that
//! bounces to a portal, or an answer with a copy to it, would show an operator a link that verifies in the
//! person's place.
//!
//! Links are searched for in the raw octets, and in decoded quoted-printable, base64 and encoded-words (RFC
//! 2045 6.7 and 6.8, RFC 2047). Parts are found by their `Content-Transfer-Encoding` field alone, whatever
//! their type and the structure around them, so that nested messages need no rule of their own. Each part is
//! decoded as a whole, one after the other, up to three levels deep. Text in UTF-16 is recognised by its NUL
//! octets, whatever charset the part names, and links in base64 by themselves. The time is linear in the size of the
//! message. The memory is, for each level and for text in UTF-16, that of the decoded text and an eighth of it.

mod base64_tokens;
mod tokens;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use self::base64_tokens::{Base64Tokens, Spelling};
use self::tokens::{Word, WordMatches, breaks};
use self::view::{Coding, View};

/// Maximum nesting of encoded parts.
const MAX_LEVELS: u8 = 3;

/// Maximum number of overwritten octets.
const MAX_EDITS: usize = 256 * 1024;

/// Minimum number of characters of UTF-16 in a row; a token is longer.
const MIN_WIDE: usize = 8;

/// Maximum number of decoded octets of joined encoded-words.
const MAX_WORDS: usize = 64 * 1024;

static ENCODED_WORD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"=?"));

/// The form of this installation's links, prepared for the search.
#[derive(Debug, Clone)]
pub struct OwnLinks {
    /// Host of `http.public_url`, in lower case.
    host: String,
    link: Word,
    reply: Option<Word>,
    in_base64: Vec<Spelling>,
}

impl OwnLinks {
    /// Takes the host of `http.public_url`, and the local part of the reply address.
    #[must_use]
    pub fn new(host: &str, reply: Option<&str>) -> Self {
        Self {
            host: host.to_ascii_lowercase(),
            link: Word::of_links(),
            reply: reply.map(Word::of_replies),
            in_base64: Spelling::all(reply),
        }
    }
}

/// A message with masked links.
#[derive(Debug)]
pub struct Masked {
    pub raw: Vec<u8>,
    pub links: u32,
}

/// Masks our links in a message; None if there are none.
#[must_use]
pub fn mask(raw: &[u8], own: &OwnLinks) -> Option<Masked> {
    let mut edits = Edits::default();
    mask_message(own, raw, 0, &mut edits);
    if edits.octets.is_empty() {
        return None;
    }
    let mut copy = raw.to_vec();
    for (at, octet) in &edits.octets {
        copy[*at] = *octet;
    }
    Some(Masked {
        raw: copy,
        links: u32::try_from(edits.links.len()).unwrap_or(u32::MAX),
    })
}

/// Octets to overwrite, and the start of each link's token.
#[derive(Default)]
struct Edits {
    octets: BTreeMap<usize, u8>,
    links: BTreeSet<usize>,
}

impl Edits {
    fn octet(&self, raw: &[u8], at: usize) -> u8 {
        self.octets.get(&at).copied().unwrap_or(raw[at])
    }
}

fn mask_message(own: &OwnLinks, raw: &[u8], level: u8, edits: &mut Edits) {
    let mut words = WordMatches::find(raw, own);
    let mut in_base64 = Base64Tokens::find(raw, own, MAX_EDITS);
    for end in breaks(raw) {
        words.find_broken(end);
        in_base64.find_broken(end);
    }
    for token in words.tokens(MAX_EDITS) {
        if edits.octets.len() >= MAX_EDITS {
            return;
        }
        edits.links.extend(token.first());
        edits.octets.extend(token.iter().map(|at| (*at, b'x')));
    }
    for token in in_base64.found {
        if edits.octets.len() >= MAX_EDITS {
            return;
        }
        edits.links.insert(token.start);
        edits.octets.extend(token.masked);
    }
    if has_wide_characters(raw) {
        let mut view = View::default();
        view.take(raw, 0, raw.len(), Coding::Wide);
        mask_decoded(own, &view, raw, MAX_LEVELS, edits);
    }
    if level >= MAX_LEVELS {
        return;
    }
    mask_encoded_words(own, raw, edits);
    let mut parts = encoded_parts(raw).peekable();
    while let Some(part) = parts.next() {
        let end = parts.peek().map_or(raw.len(), |next| next.field);
        if part.body < end {
            let mut view = View::default();
            view.take(raw, part.body, end, part.coding);
            mask_decoded(own, &view, raw, level + 1, edits);
        }
    }
}

/// True if characters alternate with NUL octets, as in UTF-16 and UTF-32.
fn has_wide_characters(text: &[u8]) -> bool {
    let (mut last, mut run) = (0, 0);
    memchr::memchr_iter(0, text).any(|at| {
        run = match at - last {
            0 | 1 => run,
            2 => run + 1,
            _ => 0,
        };
        last = at;
        run >= MIN_WIDE
    })
}

/// Masks decoded content, which may be a message with encoded parts of its own.
fn mask_decoded(own: &OwnLinks, view: &View, raw: &[u8], level: u8, edits: &mut Edits) {
    if view.text.is_empty() {
        return;
    }
    let mut inner = Edits::default();
    mask_message(own, &view.text, level, &mut inner);
    let links = inner.links.iter();
    edits
        .links
        .extend(links.filter_map(|at| view.source(*at, raw)));
    for (at, octet) in inner.octets {
        view.overwrite(at, octet, raw, edits);
    }
}

/// Masks links in runs of encoded-words, which readers join: a link is longer than one encoded-word may be.
fn mask_encoded_words(own: &OwnLinks, raw: &[u8], edits: &mut Edits) {
    let mut view = View::default();
    let mut last_end = None;
    let mut from = 0;
    while let Some(at) = ENCODED_WORD.find(&raw[from..]).map(|at| at + from) {
        let Some(word) = EncodedWord::at(raw, at) else {
            from = at + 2;
            continue;
        };
        let joins =
            last_end.is_some_and(|end: usize| raw[end..at].iter().all(u8::is_ascii_whitespace));
        if !joins || view.text.len() > MAX_WORDS {
            mask_decoded(own, &view, raw, MAX_LEVELS, edits);
            view = View::default();
        }
        view.take(raw, word.from, word.to, word.coding);
        last_end = Some(word.to + 2);
        from = word.to + 2;
    }
    mask_decoded(own, &view, raw, MAX_LEVELS, edits);
}

/// Position of the text in `=?charset?B?text?=`, or in the same with `Q`.
struct EncodedWord {
    coding: Coding,
    from: usize,
    to: usize,
}

impl EncodedWord {
    fn at(raw: &[u8], at: usize) -> Option<Self> {
        /// RFC 2047 2 allows 75 characters; readers accept more.
        const MAX_LENGTH: usize = 1000;
        let word = &raw[at + 2..raw.len().min(at + MAX_LENGTH)];
        let charset = memchr::memchr(b'?', word)?;
        let (kind, rest) = word[charset + 1..].split_first()?;
        let text = rest.strip_prefix(b"?")?;
        let length = memmem::find(text, b"?=")?;
        if charset > 40 || text[..length].iter().any(u8::is_ascii_whitespace) {
            return None;
        }
        let from = at + 2 + charset + 3;
        Some(Self {
            coding: match kind.to_ascii_lowercase() {
                b'b' => Coding::Base64,
                b'q' => Coding::Q,
                _ => return None,
            },
            from,
            to: from + length,
        })
    }
}

/// The body that a `Content-Transfer-Encoding` field applies to.
struct Part {
    /// Start of the first such field.
    field: usize,
    body: usize,
    coding: Coding,
}

/// The parts with an encoding, in order. The last field before an empty line counts.
fn encoded_parts(raw: &[u8]) -> impl Iterator<Item = Part> {
    let mut encoding = None;
    let lines = memchr::memchr_iter(b'\n', raw).map(|end| end + 1);
    std::iter::once(0).chain(lines).filter_map(move |start| {
        let body = match raw[start..] {
            [b'\n', ..] => start + 1,
            [b'\r', b'\n', ..] => start + 2,
            _ => {
                if let Some(coding) = coding_of_field(&raw[start..]) {
                    let first = encoding.map_or(start, |(first, _)| first);
                    encoding = Some((first, coding));
                }
                return None;
            }
        };
        let (field, coding) = encoding.take()?;
        Some(Part {
            field,
            body,
            coding,
        })
    })
}

/// The coding that a `Content-Transfer-Encoding` field at the start of `text` names.
fn coding_of_field(text: &[u8]) -> Option<Coding> {
    const NAME: &[u8] = b"content-transfer-encoding";
    /// A field that names an encoding is one short line.
    const MAX_FIELD: usize = 400;
    let (name, value) = text.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let value = &value[..value.len().min(MAX_FIELD)];
    let mut length = 0;
    loop {
        length += memchr::memchr(b'\n', &value[length..]).map_or(value.len() - length, |at| at + 1);
        if !matches!(value.get(length), Some(b' ' | b'\t')) {
            break;
        }
    }
    let value = value[..length].to_ascii_lowercase();
    if memmem::find(&value, b"quoted-printable").is_some() {
        Some(Coding::QuotedPrintable)
    } else if memmem::find(&value, b"base64").is_some() {
        Some(Coding::Base64)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
