//! Tokens of links and reply addresses in decoded text.
//!
//! Mail programs break long words: with a line end, with quote marks at the start of the next line, with an
//! invisible character. A word is matched across all of them, wherever it is broken.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::OwnLinks;

/// Maximum distance from a link's host to its token.
const HOST_WITHIN: usize = 600;

/// Maximum number of blanks before a line end that are skipped.
const MAX_BLANKS: usize = 16;

/// Lengths of the tokens: in links, in reply addresses, and in both as version 0.1 wrote them.
pub(super) const LINK: usize = 52;
pub(super) const REPLY: usize = 26;
const BASE64URL: usize = 43;

const SLASHES: [&str; 9] = [
    "/", "%2f", "%252f", "=2f", "-2f", "&#47;", "&#x2f;", "\\/", "_",
];
const PLUSES: [&str; 7] = ["+", "%2b", "%252b", "=2b", "-2b", "&#43;", "&#x2b;"];

/// Invisible content within a word: the soft hyphen, the zero-width space and the HTML break opportunity.
const INVISIBLE: [&[u8]; 5] = [b"\xc2\xad", b"\xe2\x80\x8b", b"<wbr>", b"&shy;", b"&#8203;"];

static INVISIBLE_FINDERS: LazyLock<[Finder<'static>; 5]> =
    LazyLock::new(|| INVISIBLE.map(Finder::new));

/// The words before tokens in a text.
pub(super) struct WordMatches<'a> {
    text: &'a [u8],
    own: &'a OwnLinks,
    links: Ends,
    replies: Ends,
}

impl<'a> WordMatches<'a> {
    /// Finds the words that are whole.
    pub fn find(text: &'a [u8], own: &'a OwnLinks) -> Self {
        let reply = own.reply.as_ref();
        Self {
            text,
            own,
            links: own.link.find(text),
            replies: reply.map_or_else(Ends::new, |word| word.find(text)),
        }
    }

    /// Finds the words that are broken here.
    pub fn find_broken(&mut self, end: usize) {
        self.own.link.find_broken(self.text, end, &mut self.links);
        if let Some(word) = &self.own.reply {
            word.find_broken(self.text, end, &mut self.replies);
        }
    }

    /// Indices of the characters of each token, at most `most` in total.
    pub fn tokens(self, most: usize) -> impl Iterator<Item = Vec<usize>> {
        let Self { text, own, .. } = self;
        let links = self.links.into_iter();
        let links = links.filter_map(move |(end, start)| link_token(text, own, end, start));
        let replies = self.replies.into_iter();
        let replies = replies.filter_map(move |(_, start)| reply_token(text, start));
        let mut octets = 0;
        links
            .chain(replies)
            .take_while(move |token| {
                octets += token.len();
                octets < most
            })
            .filter(move |token| token.iter().any(|at| text[*at] != b'x'))
    }
}

fn link_token(text: &[u8], own: &OwnLinks, end: usize, start: usize) -> Option<Vec<usize>> {
    let mut run = characters(text, start, LINK);
    if run.len() == LINK && run.iter().all(|at| is_base32(text[*at])) {
        return Some(run);
    }
    if run.len() < BASE64URL || !names_host(text, end, &own.host) {
        return None;
    }
    run.truncate(BASE64URL);
    Some(run)
}

fn reply_token(text: &[u8], start: usize) -> Option<Vec<usize>> {
    let mut run = characters(text, start, BASE64URL);
    if run.len() == BASE64URL {
        return Some(run);
    }
    run.truncate(REPLY);
    (run.len() == REPLY && run.iter().all(|at| is_base32(text[*at]))).then_some(run)
}

/// Ends of a word, and of the mark after it.
type Ends = BTreeSet<(usize, usize)>;

/// A word that is followed by one of the marks. Matches the word as given, in lower case, in upper case and
/// capitalized.
#[derive(Debug, Clone)]
pub(super) struct Word {
    letters: String,
    marks: &'static [&'static str],
    spellings: Vec<Finder<'static>>,
}

impl Word {
    /// The word in links.
    pub fn of_links() -> Self {
        Self::new("verify", &SLASHES)
    }

    /// The local part of the reply address.
    pub fn of_replies(local: &str) -> Self {
        Self::new(local, &PLUSES)
    }

    fn new(letters: &str, marks: &'static [&'static str]) -> Self {
        let spellings = spellings(letters);
        let spellings = spellings.iter().map(|word| Finder::new(word).into_owned());
        Self {
            letters: letters.to_owned(),
            marks,
            spellings: spellings.collect(),
        }
    }

    /// Finds the word where it is whole.
    fn find(&self, text: &[u8]) -> Ends {
        let mut found = Ends::new();
        for spelling in &self.spellings {
            for at in spelling.find_iter(text) {
                self.take(text, at + self.letters.len(), &mut found);
            }
        }
        found
    }

    /// Finds the word if it is broken here.
    fn find_broken(&self, text: &[u8], end: usize, found: &mut Ends) {
        let word = self.letters.as_bytes();
        for length in 1..word.len().min(end + 1) {
            let start = end - length;
            // Most lengths differ in the last octet already.
            if text[end - 1].eq_ignore_ascii_case(&word[length - 1])
                && text[start..end].eq_ignore_ascii_case(&word[..length])
                && let Some(end) = match_word(text, start, word)
            {
                self.take(text, end, found);
            }
        }
    }

    fn take(&self, text: &[u8], end: usize, found: &mut Ends) {
        let start = match_any(text, end, self.marks);
        found.extend(start.map(|start| (end, start)));
    }
}

/// Positions at which a word can be broken: before line ends and invisible content.
pub(super) fn breaks(text: &[u8]) -> impl Iterator<Item = usize> {
    let line_ends = memchr::memchr_iter(b'\n', text).map(|end| end_of_content(text, end));
    let is_ascii = text.is_ascii();
    let invisible = INVISIBLE_FINDERS
        .iter()
        .filter(move |mark| mark.needle().is_ascii() || !is_ascii)
        .flat_map(|mark| mark.find_iter(text));
    line_ends.chain(invisible)
}

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

/// End of a line's content, without blanks and the `=` of a soft line break.
fn end_of_content(text: &[u8], line_end: usize) -> usize {
    let mut end = line_end;
    if end > 0 && text[end - 1] == b'\r' {
        end -= 1;
    }
    let without_blanks = |mut end: usize| {
        let least = end.saturating_sub(MAX_BLANKS);
        while end > least && matches!(text[end - 1], b' ' | b'\t') {
            end -= 1;
        }
        end
    };
    end = without_blanks(end);
    if end > 0 && text[end - 1] == b'=' {
        end = without_blanks(end - 1);
    }
    end
}

/// Position after one break of a word, if there is one.
fn match_break(text: &[u8], at: usize) -> Option<usize> {
    let rest = &text[at..];
    match rest.first()? {
        0xc2 | 0xe2 | b'<' | b'&' => {
            let known = INVISIBLE.iter().find(|known| rest.starts_with(known));
            return known.map(|known| at + known.len());
        }
        b'\r' | b'\n' | b' ' | b'\t' | b'=' => {}
        _ => return None,
    }
    let blanks = |from: usize| {
        let blanks = rest[from..].iter().take(MAX_BLANKS);
        from + blanks.take_while(|o| matches!(o, b' ' | b'\t')).count()
    };
    let mut end = blanks(0);
    if rest.get(end) == Some(&b'=') {
        end = blanks(end + 1);
    }
    if rest.get(end) == Some(&b'\r') {
        end += 1;
    }
    if rest.get(end) == Some(&b'\n') {
        end += 1;
    } else if rest.get(end.wrapping_sub(1)) != Some(&b'\r') {
        return None;
    }
    let marks = rest[end..].iter();
    end += marks
        .take_while(|octet| matches!(octet, b' ' | b'\t' | b'>' | b'|'))
        .count();
    // An empty line does not break a word but ends it.
    (!matches!(rest.get(end), Some(b'\r' | b'\n'))).then_some(at + end)
}

pub(super) fn skip_breaks(text: &[u8], mut at: usize) -> usize {
    while let Some(next) = text.get(at).and_then(|_| match_break(text, at)) {
        at = next;
    }
    at
}

/// Position after a word that begins here, in any letter case.
pub(super) fn match_word(text: &[u8], start: usize, word: &[u8]) -> Option<usize> {
    let mut at = start;
    for octet in word {
        // A mark that begins with `=` is not a break.
        if !text.get(at)?.eq_ignore_ascii_case(octet) {
            at = skip_breaks(text, at);
        }
        if !text.get(at)?.eq_ignore_ascii_case(octet) {
            return None;
        }
        at += 1;
    }
    Some(at)
}

fn match_any(text: &[u8], at: usize, marks: &[&str]) -> Option<usize> {
    let find = |at| {
        let mut marks = marks.iter();
        marks.find_map(|mark| match_word(text, at, mark.as_bytes()))
    };
    // A break can begin like a mark: `&shy;&#47;`.
    find(at).or_else(|| find(skip_breaks(text, at)))
}

/// Indices of up to `most` characters of a token.
fn characters(text: &[u8], start: usize, most: usize) -> Vec<usize> {
    let mut run = Vec::new();
    let mut at = start;
    while run.len() < most {
        at = skip_breaks(text, at);
        match text.get(at) {
            Some(octet) if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_') => {
                run.push(at);
                at += 1;
            }
            _ => break,
        }
    }
    run
}

pub(super) fn is_base32(octet: u8) -> bool {
    octet.is_ascii_alphabetic() || (b'2'..=b'7').contains(&octet)
}

fn names_host(text: &[u8], end: usize, host: &str) -> bool {
    let mut before = Vec::new();
    let mut at = end.saturating_sub(HOST_WITHIN);
    loop {
        at = skip_breaks(text, at);
        if at >= end {
            break;
        }
        before.push(text[at].to_ascii_lowercase());
        at += 1;
    }
    !host.is_empty() && memmem::find(&before, host.as_bytes()).is_some()
}
