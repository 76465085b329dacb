//! Tokens in base64 within text: gateways that rewrite links put the original one into a parameter.
//!
//! Takes the text; returns the characters to overwrite for each token. The word before a token is searched for in
//! the three ways in which base64 can spell it. Our links need no character in which base64 and base64url differ,
//! so one search finds both.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem::Finder;

use super::OwnLinks;
use super::tokens::{LINK, REPLY, is_base32, match_word, skip_breaks};
use crate::mail::transfer_encoding::{BASE64, sextet};

/// A token in base64.
pub(super) struct Base64Token {
    /// Start of the group of four characters in which the token begins.
    pub start: usize,
    /// The characters that contain the token, as they are with `x` in place of each of its octets.
    pub masked: Vec<(usize, u8)>,
}

/// The tokens in base64 within a text, with at most `most` characters in total.
pub(super) struct Base64Tokens<'a> {
    text: &'a [u8],
    spellings: &'a [Spelling],
    most: usize,
    octets: usize,
    pub found: Vec<Base64Token>,
}

impl<'a> Base64Tokens<'a> {
    /// Finds the tokens whose word is whole.
    pub fn find(text: &'a [u8], own: &'a OwnLinks, most: usize) -> Self {
        let spellings = &own.in_base64;
        let mut this = Self {
            text,
            spellings,
            most,
            octets: 0,
            found: Vec::new(),
        };
        for spelling in spellings {
            for start in spelling.characters.find_iter(text) {
                this.take(spelling, start);
            }
        }
        this
    }

    /// Finds the tokens whose word is broken here.
    pub fn find_broken(&mut self, end: usize) {
        let last = self.text[..end].last();
        if !last.is_some_and(u8::is_ascii_alphanumeric) {
            return;
        }
        for spelling in self.spellings {
            for start in spelling.broken_before(self.text, end) {
                self.take(spelling, start);
            }
        }
    }

    fn take(&mut self, spelling: &Spelling, start: usize) {
        if self.octets < self.most
            && let Some(token) = spelling.token(self.text, start)
        {
            self.octets += token.masked.len();
            self.found.push(token);
        }
    }
}

/// A word in base64, after a number of octets of its first group.
#[derive(Debug, Clone)]
pub(super) struct Spelling {
    before: usize,
    /// Octets of the word.
    word: usize,
    /// The characters that contain no bit of anything but the word.
    characters: Finder<'static>,
    /// The word's last octet, whose last bits can be in the character after these.
    last: u8,
    /// Octets of the token.
    token: usize,
}

impl Spelling {
    /// The words before our tokens in each way in which base64 can spell them.
    pub fn all(reply: Option<&str>) -> Vec<Self> {
        let reply = reply.map(|local| (format!("{local}+"), REPLY));
        let words = reply.into_iter().chain([("verify".to_owned(), LINK)]);
        words
            .flat_map(|(word, length)| (0..3).map(move |before| Self::of(&word, before, length)))
            .collect()
    }

    fn of(word: &str, before: usize, token: usize) -> Self {
        let mut octets = vec![0; before];
        octets.extend_from_slice(word.as_bytes());
        let encoded = STANDARD_NO_PAD.encode(&octets);
        let end = octets.len() * 8 / 6;
        let characters = &encoded.as_bytes()[first_character(before)..end];
        Self {
            before,
            word: word.len(),
            characters: Finder::new(characters).into_owned(),
            last: octets.last().copied().unwrap_or(0),
            token,
        }
    }

    /// Positions at which the characters may begin if a break at `end` is among them.
    fn broken_before<'a>(&'a self, text: &'a [u8], end: usize) -> impl Iterator<Item = usize> + 'a {
        let characters = self.characters.needle();
        let lengths = 1..characters.len().min(end + 1);
        lengths
            .filter(move |length| {
                // Most lengths differ in the last character already.
                text[end - 1] == characters[length - 1]
                    && text[end - length..end] == characters[..*length]
            })
            .map(move |length| end - length)
            .filter(move |start| match_word(text, *start, characters).is_some())
    }

    /// Reads the token after the word that begins at `start`.
    fn token(&self, text: &[u8], start: usize) -> Option<Base64Token> {
        let mut reader = Reader {
            text,
            at: start,
            places: Vec::new(),
            bits: 0,
            count: 0,
        };
        for expected in self.characters.needle() {
            let place = reader.character()?;
            if text[place] != *expected {
                return None;
            }
        }
        let mut first = self.before + self.word;
        let of_the_word = first * 8 % 6;
        if of_the_word > 0 {
            reader.sextet()?;
            reader.count -= of_the_word;
            let read = reader.bits >> reader.count;
            if (read ^ u32::from(self.last)) & ((1 << of_the_word) - 1) != 0 {
                return None;
            }
        }
        if self.token == LINK {
            first += reader.slash()?;
        }
        let mut is_masked = true;
        for _ in 0..self.token {
            let octet = reader.octet()?;
            if !is_base32(octet) {
                return None;
            }
            is_masked &= octet == b'x';
        }
        if is_masked {
            return None;
        }
        let skipped = first_character(self.before);
        let characters = first * 8 / 6..((first + self.token) * 8).div_ceil(6);
        let token = first..first + self.token;
        let masked = characters.map(|character| {
            let place = reader.places[character - skipped];
            let value = mask_sextet(text[place], character, &token);
            (place, BASE64[usize::from(value)])
        });
        Some(Base64Token {
            start: reader.places[first / 3 * 4 - skipped],
            masked: masked.collect(),
        })
    }
}

/// Index of the first character without a bit of the octets before a word.
fn first_character(before: usize) -> usize {
    (before * 8).div_ceil(6)
}

/// Value of a character after each of its bits that belongs to the octets of `token` is that of an `x`.
fn mask_sextet(written: u8, character: usize, token: &Range<usize>) -> u8 {
    let value = sextet(written).unwrap_or(0);
    (0..6).fold(0, |masked, bit| {
        let at = character * 6 + bit;
        let source = if token.contains(&(at / 8)) {
            b'x' >> (7 - at % 8)
        } else {
            value >> (5 - bit)
        };
        masked << 1 | source & 1
    })
}

/// Reads characters of base64, across breaks, and the octets in them.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// Positions of the characters so far.
    places: Vec<usize>,
    /// Bits that were not read as an octet yet, and their number.
    bits: u32,
    count: usize,
}

impl Reader<'_> {
    /// Position of the next character; None after the last one.
    fn character(&mut self) -> Option<usize> {
        let place = skip_breaks(self.text, self.at);
        sextet(*self.text.get(place)?)?;
        self.places.push(place);
        self.at = place + 1;
        Some(place)
    }

    fn sextet(&mut self) -> Option<()> {
        let place = self.character()?;
        let value = sextet(self.text[place])?;
        self.bits = (self.bits << 6 | u32::from(value)) & 0xffff;
        self.count += 6;
        Some(())
    }

    fn octet(&mut self) -> Option<u8> {
        while self.count < 8 {
            self.sextet()?;
        }
        self.count -= 8;
        Some((self.bits >> self.count).to_be_bytes()[3])
    }

    /// Reads a slash, which may be percent-encoded, and returns its length.
    fn slash(&mut self) -> Option<usize> {
        match self.octet()? {
            b'/' => Some(1),
            b'%' => {
                let rest = [self.octet()?, self.octet()?];
                rest.eq_ignore_ascii_case(b"2f").then_some(3)
            }
            _ => None,
        }
    }
}
