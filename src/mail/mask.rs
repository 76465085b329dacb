//! Masking of our own valid links in a message to be stored.
//!
//! Takes the raw message. Returns the same number of octets, with the token of each verification link and of
//! each reply address overwritten with `x`; None if there is no token. Unmasked, a verification mail that
//! bounces to a portal, or an answer with a copy to it, would show an operator a link that verifies in the
//! person's place.
//!
//! Links are searched for in the raw octets, and in decoded quoted-printable, base64, uuencode and encoded-words
//! (RFC 2045 6.7 and 6.8, RFC 2047). Parts are found by their `Content-Transfer-Encoding` field alone, whatever
//! their type and the structure around them, so that nested messages need no rule of their own. Each part is
//! decoded as a whole, one after the other, up to three levels deep. A part that names several encodings is decoded
//! from each of them, because readers choose different ones; each counts as a level. Encoded-words are decoded as our
//! reader joins them, each by itself, and all joined. Text in UTF-16 is recognised by its NUL octets, whatever
//! charset the part names. Base64 within text, as in the parameter of a gateway's link, is found by how it spells the
//! word before a token, up to two levels deep. A link within base64 must name our host: a gateway encodes the original
//! link, which has it. Compressed content, such as that of ZIP files, is not searched.
//!
//! Tags of HTML within a line, comments, and what is between two sections of a parameter (RFC 2231 3) are gaps in a
//! link. The text around them is also searched without them, unless it is in an encoded-word, or in base64 within other
//! text.
//!
//! Decoded text is masked like any other, and what changed is written back into the text that encodes it. The
//! time is linear in the size of the message. The memory is that of a copy of the message if it has a token, and
//! for each level of decoded text that of the text and, at most, as much again for positions: for the worst message
//! that we know of, seven times its size.

mod bits;
mod breaks;
mod decoder;
mod gaps;
mod joining;
mod parts;
mod patterns;
mod pieces;
mod references;
mod runs;
mod token_search;
mod unit;
mod uuencode;

use std::borrow::Cow;

use self::decoder::{Coding, Decoder};
use self::gaps::Gaps;
use self::joining::Joining;
use self::parts::EncodedParts;
use self::patterns::WordPatterns;
use self::pieces::GapPieces;
use self::runs::Base64Run;
use self::token_search::FoundTokens;

/// Maximum nesting of encoded parts.
const MAX_LEVELS: u8 = 3;

/// Maximum nesting of base64 within text.
const MAX_BASE64: u8 = 2;

/// Minimum number of characters of UTF-16 in a row; a token is longer.
const MIN_WIDE: usize = 8;

/// The form of this installation's links, prepared for the search.
#[derive(Debug, Clone)]
pub struct OwnLinks {
    /// Host of `http.public_url`, in lower case.
    host: String,
    patterns: WordPatterns,
}

impl OwnLinks {
    /// Takes the host of `http.public_url`, and the local part of the reply address.
    #[must_use]
    pub fn new(host: &str, reply: Option<&str>) -> Self {
        let reply = reply.filter(|local| !local.is_empty());
        Self {
            host: host.to_ascii_lowercase(),
            patterns: WordPatterns::new(reply),
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
    let mut text = Cow::Borrowed(raw);
    let links = mask_text(own, &mut text, Depth::default());
    match text {
        Cow::Borrowed(_) => None,
        Cow::Owned(raw) => Some(Masked { raw, links }),
    }
}

/// Encodings around a text.
#[derive(Debug, Clone, Copy, Default)]
struct Depth {
    parts: u8,
    base64: u8,
    /// True if the gaps of the text were taken out, or are not searched for.
    is_without_gaps: bool,
    /// True if the text is a piece of another one, and was cut off at its end.
    is_cut: bool,
}

/// Masks the links in a text; returns their number.
fn mask_text(own: &OwnLinks, text: &mut Cow<[u8]>, depth: Depth) -> u32 {
    let without_parts = Depth {
        parts: MAX_LEVELS,
        ..depth
    };
    let without_gaps = Depth {
        is_without_gaps: true,
        ..without_parts
    };
    let mut links = 0;
    if !depth.is_without_gaps {
        // Before the search, which would find no more than the beginning of a token with a gap in it.
        links += mask_between_gaps(own, text, without_gaps);
    }
    // Within base64, a link with these words is as likely another service's, so it needs our host.
    let found = token_search::find(text, own, depth.base64 > 0, depth.is_cut);
    links += found.links;
    if found.links > 0 {
        let text = text.to_mut();
        for at in found.tokens.iter() {
            text[at] = b'x';
        }
    }
    if depth.base64 < MAX_BASE64 {
        let inner = Depth {
            base64: depth.base64 + 1,
            ..without_gaps
        };
        links += mask_base64(own, text, &found, inner);
    }
    // Not kept while parts are decoded: each level has its own.
    drop(found);
    if has_wide_characters(text) {
        let decoder = Decoder::new(Coding::Wide, 0, text.len());
        links += mask_decoded(own, text, decoder, without_parts);
    }
    if depth.parts < MAX_LEVELS {
        links += mask_encoded_words(own, text, without_gaps);
        links += mask_parts(own, text, depth);
    }
    links
}

/// Masks the links that have gaps.
fn mask_between_gaps(own: &OwnLinks, text: &mut Cow<[u8]>, inner: Depth) -> u32 {
    let mut links = 0;
    for gaps in [Gaps::Markup, Gaps::Sections] {
        let mut pieces = GapPieces::new(gaps);
        while let Some(piece) = pieces.next(text) {
            let inner = Depth {
                is_cut: piece.end < text.len(),
                ..inner
            };
            let decoder = Decoder::new(Coding::Without(gaps), piece.start, piece.end);
            links += mask_decoded(own, text, decoder, inner);
        }
    }
    links
}

/// Masks the links in base64 within a text.
fn mask_base64(own: &OwnLinks, text: &mut Cow<[u8]>, found: &FoundTokens, inner: Depth) -> u32 {
    let mut links = 0;
    let mut at = 0;
    while let Some(run) = Base64Run::find(text, at, found) {
        let inner = Depth {
            is_cut: inner.is_cut && token_search::is_near_end(text, run.end),
            ..inner
        };
        for start in run.starts.into_iter().flatten() {
            let decoder = Decoder::new(Coding::EmbeddedBase64, start, run.end);
            links += mask_decoded(own, text, decoder, inner);
        }
        at = run.end;
    }
    links
}

/// Masks the links in encoded-words, however readers join them.
fn mask_encoded_words(own: &OwnLinks, text: &mut Cow<[u8]>, inner: Depth) -> u32 {
    let mut links = 0;
    for joining in Joining::of(text) {
        let decoder = Decoder::new(Coding::Words(*joining), 0, text.len());
        links += mask_decoded(own, text, decoder, inner);
    }
    links
}

/// Masks the links in parts with a transfer encoding.
fn mask_parts(own: &OwnLinks, text: &mut Cow<[u8]>, depth: Depth) -> u32 {
    let mut links = 0;
    let mut parts = EncodedParts::default();
    let mut next = parts.next(text);
    while let Some(part) = next {
        next = parts.next(text);
        let end = next.as_ref().map_or(text.len(), |next| next.field);
        // Each encoding counts: parts that name several would otherwise multiply the time at each level.
        let levels = u8::try_from(part.codings.len()).unwrap_or(MAX_LEVELS);
        let inner = Depth {
            parts: depth.parts + levels,
            ..depth
        };
        for coding in part.codings {
            let decoder = Decoder::new(coding, part.body, end);
            links += mask_decoded(own, text, decoder, inner);
        }
    }
    links
}

/// Masks the links in decoded text, which may be a message with encoded parts of its own; returns their number.
fn mask_decoded(own: &OwnLinks, text: &mut Cow<[u8]>, decoder: Decoder, depth: Depth) -> u32 {
    let content = decoder.clone().decode(text);
    if content.len() < token_search::MIN_LENGTH {
        return 0;
    }
    let mut content = Cow::Owned(content);
    let links = mask_text(own, &mut content, depth);
    if links > 0 {
        decoder.write_back(text.to_mut(), &content);
    }
    links
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

#[cfg(test)]
mod tests;
