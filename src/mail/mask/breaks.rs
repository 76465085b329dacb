//! Breaks within words: mail programs break long ones with a line end, with quote prefixes (`>`, `|`) at the start of
//! the next line, or with an invisible character. A word is matched across all of them, wherever it is broken.

use super::references::invisible_reference;
use crate::mail::transfer_encoding::sextet;

/// Maximum number of blanks before a line end that are skipped.
const MAX_BLANKS: usize = 16;

/// Positions at which a word can be broken: before line ends and invisible content.
pub(super) fn breaks(text: &[u8]) -> impl Iterator<Item = usize> {
    let line_ends = memchr::memchr_iter(b'\n', text).map(|end| end_of_content(text, end));
    let markup = memchr::memchr2_iter(b'<', b'&', text);
    // Text in ASCII has no such characters.
    let other_text: &[u8] = if text.is_ascii() { &[] } else { text };
    let characters = memchr::memchr3_iter(0xc2, 0xe2, 0xef, other_text);
    let invisible = markup
        .chain(characters)
        .filter(move |at| invisible_length(&text[*at..]).is_some());
    line_ends.chain(invisible)
}

/// Length of the invisible content that the text begins with: a soft hyphen, a zero-width character, the HTML break
/// opportunity, or a reference to such a character.
fn invisible_length(text: &[u8]) -> Option<usize> {
    match text {
        [0xc2, 0xad, ..] => Some(2),
        [0xe2, 0x80, 0x8b..=0x8d, ..] | [0xe2, 0x81, 0xa0, ..] | [0xef, 0xbb, 0xbf, ..] => Some(3),
        [b'<', ..] => break_tag_length(text),
        [b'&', ..] => invisible_reference(text),
        _ => None,
    }
}

/// Length of `<wbr>` in any letter case, also as `<wbr />` and `</wbr>`. A line end within it would be another break,
/// and each search within the tag would pass all breaks after it.
fn break_tag_length(text: &[u8]) -> Option<usize> {
    let mut end = if text.get(1) == Some(&b'/') { 2 } else { 1 };
    let name = text.get(end..end + 3)?;
    if !name.eq_ignore_ascii_case(b"wbr") {
        return None;
    }
    end += 3;
    let blanks = text[end..].iter().take(MAX_BLANKS);
    end += blanks.take_while(|octet| **octet == b' ').count();
    end += usize::from(text.get(end) == Some(&b'/'));
    (text.get(end) == Some(&b'>')).then_some(end + 1)
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
            return invisible_length(rest).map(|length| at + length);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_content_is_skipped_as_a_whole() {
        for mark in [
            "<wbr>",
            "<WBR>",
            "<wbr/>",
            "<wbr />",
            "</wbr>",
            "&shy;",
            "&#0173;",
            "&NoBreak;",
            "\u{ad}",
            "\u{200b}",
            "\u{200c}",
            "\u{200d}",
            "\u{2060}",
            "\u{feff}",
        ] {
            let text = format!("v{mark}{mark}x");
            let end = 1 + 2 * mark.len();
            assert_eq!(skip_breaks(text.as_bytes(), 1), end, "{mark:?}");
            let found: Vec<usize> = breaks(text.as_bytes()).collect();
            assert_eq!(found, [1, 1 + mark.len()], "{mark:?}");
        }
        for text in [
            "<w", "<wb>", "<wbrs>", "<wbr", "<wbr\n>", "<br>", "&amp;", "\u{a0}", "\u{2026}",
        ] {
            assert_eq!(skip_breaks(text.as_bytes(), 0), 0, "{text:?}");
        }
    }
}
