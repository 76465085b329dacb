//! Tokens of links and reply addresses in decoded text.
//!
//! Mail programs break long words: with a line end, with quote marks at the start of the next line, with an
//! invisible character. A word is matched across all of them, wherever it is broken.

use std::collections::BTreeSet;

use memchr::memmem;

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

/// Indices of the characters of each token, at most `most` in total.
pub(super) fn tokens(text: &[u8], own: &OwnLinks, most: usize) -> Vec<Vec<usize>> {
    let mut links = Word::of("verify", &SLASHES, text);
    let locals = own.reply.iter();
    let mut replies: Vec<Word> = locals.map(|local| Word::of(local, &PLUSES, text)).collect();
    for end in breaks(text) {
        links.find_broken(text, end);
        for local in &mut replies {
            local.find_broken(text, end);
        }
    }
    let mut found = Vec::new();
    for (end, start) in links.found {
        let run = characters(text, start, LINK);
        if run.len() == LINK && run.iter().all(|at| is_base32(text[*at])) {
            found.push(run);
        } else if run.len() >= BASE64URL && names_host(text, end, &own.host) {
            found.push(run[..BASE64URL].to_vec());
        }
    }
    for (_, start) in replies.into_iter().flat_map(|local| local.found) {
        let run = characters(text, start, BASE64URL);
        if run.len() == BASE64URL {
            found.push(run);
        } else if run.len() >= REPLY && run[..REPLY].iter().all(|at| is_base32(text[*at])) {
            found.push(run[..REPLY].to_vec());
        }
    }
    let mut octets = 0;
    found.retain(|run| {
        octets += run.len();
        octets < most && run.iter().any(|at| text[*at] != b'x')
    });
    found
}

/// A word that is followed by one of the marks. Matches the word as given, in lower case, in upper case and
/// capitalized.
struct Word<'a> {
    letters: &'a str,
    marks: &'a [&'a str],
    /// Ends of the word, and of the mark.
    found: BTreeSet<(usize, usize)>,
}

impl<'a> Word<'a> {
    /// Finds the word where it is whole.
    fn of(word: &'a str, marks: &'a [&'a str], text: &[u8]) -> Self {
        let found = BTreeSet::new();
        let mut this = Self {
            letters: word,
            marks,
            found,
        };
        for spelling in spellings(word) {
            for at in memmem::find_iter(text, spelling.as_bytes()) {
                this.take(text, at + spelling.len());
            }
        }
        this
    }

    fn take(&mut self, text: &[u8], end: usize) {
        let start = match_any(text, end, self.marks);
        self.found.extend(start.map(|start| (end, start)));
    }

    /// Finds the word if it is broken here.
    fn find_broken(&mut self, text: &[u8], end: usize) {
        let word = self.letters.as_bytes();
        for length in 1..word.len().min(end + 1) {
            let start = end - length;
            if text[start..end].eq_ignore_ascii_case(&word[..length])
                && let Some(end) = match_word(text, start, word)
            {
                self.take(text, end);
            }
        }
    }
}

/// Positions at which a word can be broken: before line ends and invisible content.
pub(super) fn breaks(text: &[u8]) -> impl Iterator<Item = usize> {
    let line_ends = memchr::memchr_iter(b'\n', text).map(|end| end_of_content(text, end));
    let is_ascii = text.is_ascii();
    let invisible = INVISIBLE
        .iter()
        .filter(move |mark| mark.is_ascii() || !is_ascii)
        .flat_map(|mark| memmem::find_iter(text, mark));
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
    marks
        .iter()
        .find_map(|mark| match_word(text, at, mark.as_bytes()))
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
    !host.is_empty() && memmem::find(&before, host.to_ascii_lowercase().as_bytes()).is_some()
}
