//! Breaks within words: mail programs break long ones with a line end, with quote prefixes (`>`, `|`) at the start of
//! the next line, or with an invisible character. A word is matched across all of them, wherever it is broken.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::mail::transfer_encoding::sextet;

/// Maximum number of blanks before a line end that are skipped.
const MAX_BLANKS: usize = 16;

/// Invisible content within a word: the soft hyphen, the zero-width spaces (with and without a break opportunity) and
/// the HTML break opportunity.
const INVISIBLE: [&[u8]; 6] = [
    b"\xc2\xad",
    b"\xe2\x80\x8b",
    b"\xef\xbb\xbf",
    b"<wbr>",
    b"&shy;",
    b"&#8203;",
];

static INVISIBLE_FINDERS: LazyLock<[Finder<'static>; 6]> =
    LazyLock::new(|| INVISIBLE.map(Finder::new));

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
        0xc2 | 0xe2 | 0xef | b'<' | b'&' => {
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

/// Position after all breaks here.
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

/// Position of a character of base64 here, after breaks.
pub(super) fn base64_character(text: &[u8], at: usize) -> Option<usize> {
    let is_one = |at: &usize| text.get(*at).is_some_and(|octet| sextet(*octet).is_some());
    Some(at)
        .filter(is_one)
        .or_else(|| Some(skip_breaks(text, at)).filter(is_one))
}
