//! Gaps within words that contain text of their own: tags of HTML within a line, comments, and what is between two
//! sections of a parameter (RFC 2231 3).
//!
//! They are taken out before the search. A search across them, as across [breaks](super::breaks), could begin within
//! each of them and pass all others after it, which takes quadratic time.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2};

/// Maximum number of octets of a tag or a comment that contains a `<`. The search for the end of any other stops at the
/// next `<`, so that no octet is passed twice.
const MAX_TAG: usize = 300;

/// Maximum number of octets of a name.
const MAX_NAME: usize = 40;

/// Maximum number of blanks and line ends on each side of the semicolon between two sections.
const MAX_BLANKS: usize = 16;

/// Elements that mail programs put into words, such as those that mark a spelling mistake.
const ELEMENTS: [&[u8]; 14] = [
    b"a", b"b", b"em", b"font", b"i", b"ins", b"mark", b"o:p", b"s", b"small", b"span", b"strong",
    b"u", b"wbr",
];

/// Kind of gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gaps {
    /// Tags of [`ELEMENTS`], and comments.
    Markup,
    /// Between two sections of a parameter.
    Sections,
}

impl Gaps {
    /// Position of the first octet that may begin a gap.
    pub fn find(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Markup => memchr(b'<', text),
            Self::Sections => memchr_iter(b';', text).find_map(|at| {
                let is_gap = next_section(&text[at..]).is_some();
                is_gap.then(|| end_of_section(&text[..at]))
            }),
        }
    }

    /// Length of the gap that the text begins with.
    pub fn length(self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Markup => markup(text),
            Self::Sections => section_gap(text),
        }
    }

    /// The first gap at or after a position that may be within a link. Tags that follow each other directly are one.
    pub fn next_in_link(self, text: &[u8], from: usize) -> Option<Range<usize>> {
        match self {
            Self::Markup => next_markup_in_link(text, from),
            Self::Sections => {
                let start = from + self.find(&text[from..])?;
                section_gap(&text[start..]).map(|length| start..start + length)
            }
        }
    }
}

/// The first tags or comments between octets of a link. Each `<` within one of them is passed together with it and
/// all that follow directly, because to begin at each takes quadratic time.
fn next_markup_in_link(text: &[u8], from: usize) -> Option<Range<usize>> {
    // Invisible characters are not ASCII.
    let may_be_of_link = |octet: &u8| {
        octet.is_ascii_alphanumeric() || !octet.is_ascii() || b"%&+-./:;=@_".contains(octet)
    };
    let mut at = from;
    while let Some(before) = memchr(b'<', &text[at..]) {
        let start = at + before;
        let mut end = start;
        while let Some(length) = markup(&text[end..]) {
            end += length;
        }
        if end > start
            && text[..start].last().is_some_and(may_be_of_link)
            && text.get(end).is_some_and(may_be_of_link)
        {
            return Some(start..end);
        }
        at = end.max(start + 1);
    }
    None
}

/// Length of the tag or the comment that the text begins with, up to the first `>`.
fn markup(text: &[u8]) -> Option<usize> {
    let name = text.strip_prefix(b"<")?;
    if !name.starts_with(b"!--") && !begins_with_element(name.strip_prefix(b"/").unwrap_or(name)) {
        return None;
    }
    let next = memchr2(b'<', b'>', name)?;
    if name[next] == b'>' {
        return Some(1 + next + 1);
    }
    let within = &text[..text.len().min(MAX_TAG)];
    memchr(b'>', within).map(|at| at + 1)
}

fn begins_with_element(text: &[u8]) -> bool {
    let is_of_name = |octet: &&u8| octet.is_ascii_alphabetic() || **octet == b':';
    let length = text.iter().take(MAX_NAME).take_while(is_of_name).count();
    let (name, after) = text.split_at(length);
    let mut known = ELEMENTS.iter();
    matches!(
        after.first(),
        Some(b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>')
    ) && known.any(|known| name.eq_ignore_ascii_case(known))
}

/// Length of what the text begins with if that is the end of one section and the beginning of the next, such as
/// `"; name*1="`.
fn section_gap(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b'"'));
    at += count_blanks(&text[at..]);
    next_section(&text[at..]).map(|length| at + length)
}

/// Position of the quote and the blanks that end a section before a semicolon.
fn end_of_section(before: &[u8]) -> usize {
    let end = before.len() - count_blanks(before.iter().rev());
    end - usize::from(before[..end].ends_with(b"\""))
}

/// Length of the semicolon and the beginning of a section that the text begins with, such as `; name*1="`.
fn next_section(text: &[u8]) -> Option<usize> {
    let after = text.strip_prefix(b";")?;
    let mut at = 1 + count_blanks(after);
    let is_of_name = |octet: &&u8| octet.is_ascii_alphanumeric() || matches!(**octet, b'-' | b'_');
    let name = text[at..].iter().take(MAX_NAME);
    let name = name.take_while(is_of_name).count();
    at += name;
    at += section_mark(&text[at..])?;
    at += usize::from(text.get(at) == Some(&b'"'));
    (name > 0).then_some(at)
}

fn count_blanks<'a>(octets: impl IntoIterator<Item = &'a u8>) -> usize {
    let first = octets.into_iter().take(MAX_BLANKS);
    first
        .take_while(|octet| octet.is_ascii_whitespace())
        .count()
}

/// Length of the number of a section that the text begins with, such as `*1=` and `*1*=`. The first section, 0,
/// continues no other.
fn section_mark(text: &[u8]) -> Option<usize> {
    let digits = text.strip_prefix(b"*")?;
    let count = digits.iter().take(3);
    let count = count.take_while(|octet| octet.is_ascii_digit()).count();
    if count == 0 || digits[0] == b'0' {
        return None;
    }
    let after = &digits[count..];
    let is_extended = after.first() == Some(&b'*');
    let end = 1 + count + usize::from(is_extended);
    (text.get(end) == Some(&b'=')).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_within_a_line_and_comments_are_gaps() {
        for gap in [
            "<b>",
            "</b>",
            "<SPAN class=a>",
            "<span\r\nclass=\"a\">",
            "<wbr/>",
            "</o:p>",
            "<!-- a -->",
        ] {
            let text = format!("{gap}<b>");
            assert_eq!(markup(text.as_bytes()), Some(gap.len()), "{gap}");
            let text = format!("a{gap}{gap}c");
            let found = Gaps::Markup.next_in_link(text.as_bytes(), 0);
            assert_eq!(found, Some(1..1 + 2 * gap.len()), "{gap}");
            for text in [
                format!(" {gap}c"),
                format!("a{gap} c"),
                format!("a{gap}<p>c"),
            ] {
                let found = Gaps::Markup.next_in_link(text.as_bytes(), 0);
                assert_eq!(found, None, "{text}");
            }
        }
        for (text, expected) in [
            ("a<b/<b>c", Some(1..7)),
            ("<b/<b>c", None),
            ("<b>a<b>c", Some(4..7)),
            ("a<p<b>c", Some(3..6)),
            ("p<<b>c", None),
            ("ap<b>c", Some(2..5)),
            ("a\u{ad}<b>\u{ad}c", Some(3..6)),
            ("a<b", None),
            ("<", None),
        ] {
            let found = Gaps::Markup.next_in_link(text.as_bytes(), 0);
            assert_eq!(found, expected, "{text}");
        }
        let long = format!("<b {}>", "a".repeat(100 * MAX_TAG));
        assert_eq!(markup(long.as_bytes()), Some(long.len()));
        let long = format!("<b <{}>", "a".repeat(MAX_TAG));
        for text in [
            "<b",
            "<bc>",
            "<p>",
            "<ann@b>",
            "< b>",
            "<!doctype>",
            "b",
            "",
            &long,
        ] {
            assert_eq!(markup(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_end_of_a_section_and_the_beginning_of_the_next_are_a_gap() {
        for gap in [
            "\"; name*1=\"",
            "\";\r\n\tname*12*=",
            ";name*1=",
            " ; name*1=",
            "\r\n\t; name*1=",
            "\" ; x-name*1=\"",
        ] {
            let text = format!("{gap}a");
            assert_eq!(section_gap(text.as_bytes()), Some(gap.len()), "{gap}");
            for before in ["", "a", "\";b", "; ", "; name*0=a"] {
                let text = format!("{before}{gap}a");
                let expected = before.trim_end().len()..before.len() + gap.len();
                // A blank before a quote is part of the value.
                let expected = if gap.starts_with('"') {
                    before.len()..expected.end
                } else {
                    expected
                };
                let found = Gaps::Sections.next_in_link(text.as_bytes(), 0);
                assert_eq!(found, Some(expected), "{text}");
            }
        }
        for text in [
            "",
            "\"",
            "; name=a",
            "; name*0=a",
            "; name*=a",
            "; *1=a",
            "; name*1234=a",
            "\" \"; name*1=a",
            "; name*1",
        ] {
            assert_eq!(section_gap(text.as_bytes()), None, "{text}");
        }
        let many = format!("{}; name*1=a", " ".repeat(MAX_BLANKS + 2));
        assert_eq!(section_gap(many.as_bytes()), None);
        let found = Gaps::Sections.next_in_link(many.as_bytes(), 0);
        assert_eq!(found, Some(2..many.len() - 1));
    }
}
