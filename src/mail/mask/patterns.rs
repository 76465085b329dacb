//! Search for several patterns at once, and the patterns of our links.
//!
//! The search looks only at some blocks of two octets, so far apart that the beginning of each occurrence contains
//! exactly one of them. A table tells where in a pattern the block can be, which is nowhere most of the time.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Number of blocks that are distinguished.
const BLOCKS: usize = 1 << 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Link,
    Reply,
}

/// Meaning of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatternKind {
    /// The word before a token.
    Word(TokenKind),
    /// Such a word in base64, after this number of octets of its first group.
    Base64(usize),
}

#[derive(Debug, Clone)]
pub(super) struct WordPattern {
    pub octets: Vec<u8>,
    pub kind: PatternKind,
}

#[derive(Debug, Clone)]
pub(super) struct WordPatterns {
    /// In the order of their first octets.
    all: Vec<WordPattern>,
    /// Index of the first pattern with each octet at its start, and of the one after the last.
    starts: Vec<usize>,
    /// Distance of the blocks that the search looks at: the number of blocks in the shortest pattern, but at most 8.
    distance: usize,
    longest: usize,
    /// Places of each block within the first `distance` blocks of a pattern, one bit for each.
    places: Vec<u8>,
    /// True for blocks that begin a pattern.
    begins_with: Vec<bool>,
    /// True for blocks that occur in a pattern.
    has_block: Vec<bool>,
    /// True for octets that occur in a pattern.
    has_octet: Vec<bool>,
}

impl WordPatterns {
    /// The patterns of links and, if there is one, of the reply address, whose local part is given; it must not be
    /// empty.
    pub fn new(reply: Option<&str>) -> Self {
        let mut patterns = patterns_of_links();
        patterns.extend(reply.into_iter().flat_map(patterns_of_replies));
        patterns.sort_by_key(|pattern| pattern.octets[0]);
        let start = |octet| patterns.partition_point(|p| usize::from(p.octets[0]) < octet);
        let starts = (0..=256).map(start).collect();
        let lengths = || patterns.iter().map(|pattern| pattern.octets.len());
        let shortest = lengths().min().unwrap_or(0);
        let distance = shortest.saturating_sub(1).clamp(1, 8);
        let longest = lengths().max().unwrap_or(0);
        let mut places = vec![0; BLOCKS];
        let mut begins_with = vec![false; BLOCKS];
        let mut has_block = vec![false; BLOCKS];
        let mut has_octet = vec![false; 256];
        for WordPattern { octets, .. } in &patterns {
            for octet in octets {
                has_octet[usize::from(*octet)] = true;
            }
            for (index, pair) in octets.windows(2).enumerate() {
                let block = block(pair[0], pair[1]);
                has_block[block] = true;
                begins_with[block] |= index == 0;
                if index < distance {
                    places[block] |= 1 << index;
                }
            }
            if let [octet] = octets[..] {
                for next in 0..=u8::MAX {
                    places[block(octet, next)] |= 1;
                    begins_with[block(octet, next)] = true;
                }
            }
        }
        Self {
            all: patterns,
            starts,
            distance,
            longest,
            places,
            begins_with,
            has_block,
            has_octet,
        }
    }

    pub fn longest(&self) -> usize {
        self.longest
    }

    pub fn contains(&self, octet: u8) -> bool {
        self.has_octet[usize::from(octet)]
    }

    /// True if the octets may be adjacent in a pattern.
    pub fn may_contain(&self, first: u8, second: u8) -> bool {
        self.has_block[block(first, second)]
    }

    /// Calls `take` with the start of each occurrence and its pattern, in the order of the starts.
    pub fn find(&self, text: &[u8], mut take: impl FnMut(usize, &WordPattern)) {
        let mut at = self.distance - 1;
        while let Some(&[first, second]) = text.get(at..at + 2) {
            let mut places = self.places[block(first, second)];
            while places > 0 {
                let place = places.ilog2();
                places ^= 1 << place;
                self.compare(text, at - place as usize, &mut take);
            }
            at += self.distance;
        }
    }

    /// Compares the text at a position, which has at least one block, with the patterns.
    fn compare(&self, text: &[u8], start: usize, take: &mut impl FnMut(usize, &WordPattern)) {
        let text = &text[start..];
        if !self.begins_with[block(text[0], text[1])] {
            return;
        }
        let first = usize::from(text[0]);
        for pattern in &self.all[self.starts[first]..self.starts[first + 1]] {
            if text.starts_with(&pattern.octets) {
                take(start, pattern);
            }
        }
    }
}

fn block(first: u8, second: u8) -> usize {
    usize::from(first & 0x3f) << 6 | usize::from(second & 0x3f)
}

fn patterns_of_links() -> Vec<WordPattern> {
    let words = spellings("verify");
    let once = in_base64(words.iter().map(String::as_bytes));
    let twice = in_base64(in_base64([b"verify".as_slice()]).iter().map(octets));
    [as_written(TokenKind::Link, &words), once, twice].concat()
}

fn patterns_of_replies(local: &str) -> Vec<WordPattern> {
    let words = spellings(local);
    // With the mark after it, as a short word alone occurs in any base64.
    let marked = |word: &str| [format!("{word}+"), format!("{word}%2")];
    let all: Vec<String> = words.iter().flat_map(|word| marked(word)).collect();
    let given = marked(local);
    let once = in_base64(all.iter().map(String::as_bytes));
    let inner = in_base64(given.iter().map(String::as_bytes));
    let twice = in_base64(inner.iter().map(octets));
    [as_written(TokenKind::Reply, &words), once, twice].concat()
}

fn as_written(token: TokenKind, words: &BTreeSet<String>) -> Vec<WordPattern> {
    let of = |word: &String| WordPattern {
        octets: word.clone().into_bytes(),
        kind: PatternKind::Word(token),
    };
    words.iter().map(of).collect()
}

fn octets(pattern: &WordPattern) -> &[u8] {
    &pattern.octets
}

/// The word as given, in lower case, in upper case and capitalized.
fn spellings(word: &str) -> BTreeSet<String> {
    let mut capitalized = word.to_ascii_lowercase();
    if let Some(first) = capitalized.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    BTreeSet::from([
        word.to_owned(),
        word.to_ascii_lowercase(),
        word.to_ascii_uppercase(),
        capitalized,
    ])
}

/// The three ways in which base64 can spell each word: the characters that contain no bit of anything else. None
/// of them differs between base64 and base64url, unless the local part contains `?` or `~`.
fn in_base64<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Vec<WordPattern> {
    let spell = |word: &[u8], before: usize| {
        let mut octets = vec![0; before];
        octets.extend_from_slice(word);
        let encoded = STANDARD_NO_PAD.encode(&octets);
        let characters = first_character(before)..octets.len() * 8 / 6;
        WordPattern {
            octets: encoded.as_bytes()[characters].to_vec(),
            kind: PatternKind::Base64(before),
        }
    };
    let words = words.into_iter();
    words
        .flat_map(|word| (0..3).map(move |before| spell(word, before)))
        .collect()
}

/// Index of the first character without a bit of the octets before a word.
pub(super) fn first_character(before: usize) -> usize {
    (before * 8).div_ceil(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(patterns: &WordPatterns, text: &str) -> Vec<(usize, PatternKind)> {
        let mut found = Vec::new();
        patterns.find(text.as_bytes(), |start, pattern| {
            found.push((start, pattern.kind));
        });
        found
    }

    #[test]
    fn each_occurrence_is_found() {
        for local in ["r", "it", "confirm", "a-very-long.local_part"] {
            let patterns = WordPatterns::new(Some(local));
            for before in 0..40 {
                for pattern in &patterns.all {
                    let word = std::str::from_utf8(&pattern.octets).expect("ASCII");
                    let text = format!("{}{word}!!", "!".repeat(before));
                    let found = found(&patterns, &text);
                    assert!(found.contains(&(before, pattern.kind)), "{text}");
                }
            }
        }
    }

    #[test]
    fn words_are_found_next_to_each_other() {
        let patterns = WordPatterns::new(None);
        let word = PatternKind::Word(TokenKind::Link);
        assert_eq!(
            found(&patterns, "verifyVERIFYververify verifverif"),
            [(0, word), (6, word), (15, word)]
        );
        assert_eq!(found(&patterns, "dmVyaWZ5"), [(0, PatternKind::Base64(0))]);
        assert_eq!(found(&patterns, "ver"), []);
        assert_eq!(found(&patterns, ""), []);
    }
}
