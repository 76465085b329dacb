//! The structure of a field with addresses as programs see it that do not parse it by the grammar.

use super::lenient_lines::line_end_length;
use super::mailbox::is_atext;

/// Maximum number of octets of a value in one line (RFC 5322 2.1.1, without a name such as `X-Original-From`). Some
/// programs truncate a longer one, or fold it anywhere, even within its address.
pub(super) const MAX_LINE: usize = 980;

/// True if the value has a square bracket, a group's colon or a second `@` outside of quotes, a comment in angle
/// brackets, a fold in a quoted string or comment, a line of blanks, another line end anywhere, or words with an
/// uncertain end: some programs then search it for an address, or read only a part of it.
pub(super) fn is_read_differently(value: &[u8]) -> bool {
    let (mut is_in_brackets, mut has_at) = (false, false);
    let is_structured = with_nesting(value).any(|(at, byte, is_nested)| match byte {
        b'\r' => false,
        b'\n' => is_nested || begins_with_blank_line(&value[at + 1..]),
        b'[' | b']' | b':' => !is_nested,
        b'@' if !is_nested => std::mem::replace(&mut has_at, true),
        b'<' | b'>' if !is_nested => {
            is_in_brackets = byte == b'<';
            false
        }
        b'(' => is_in_brackets && !is_nested,
        _ => line_end_length(&value[..=at]) > 0,
    });
    is_structured || has_uncertain_words(value)
}

/// True if a comment contains a parenthesis, quote or backslash, or a quoted string a backslash, if no blank separates
/// a quoted string from a word or a comment, or a comment from another one, if a quoted string follows a comment, or if
/// a word begins with a dot.
///
/// Some programs end the comment or string elsewhere, or take the text around it for one word, or search for an
/// address.
fn has_uncertain_words(value: &[u8]) -> bool {
    let mut last = (b' ', Place::Outside);
    let mut is_after_comment = false;
    with_places(value).any(|(_, byte, place)| {
        let (before, was) = std::mem::replace(&mut last, (byte, place));
        let is_after_delimiter = was != Place::Outside;
        let follows_comment = is_after_comment;
        if place != Place::Outside || !byte.is_ascii_whitespace() {
            is_after_comment = place == Place::Comment;
        }
        match (place, byte) {
            (Place::Comment, b'(' | b'"' | b'\\') | (Place::QuotedString, b'\\') => true,
            (Place::Outside, b'"') => {
                is_after_delimiter || follows_comment || before == b'.' || is_atext(before)
            }
            (Place::Outside, b'(') => is_after_delimiter,
            (Place::Outside, b'.') => is_after_delimiter || !is_atext(before),
            (Place::Outside, _) => was == Place::QuotedString && is_atext(byte),
            _ => false,
        }
    })
}

/// True if the first line is blank: some programs take it for the end of the header.
fn begins_with_blank_line(text: &[u8]) -> bool {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.next().is_none_or(|line| line.trim_ascii().is_empty())
}

/// Where an octet is. The first delimiter of a quoted string or comment is outside of it, the last one inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Outside,
    QuotedString,
    Comment,
    /// After a backslash in a quoted string or comment.
    Escaped,
}

/// The octets with their positions; true for those in a quoted string or comment.
pub(super) fn with_nesting(value: &[u8]) -> impl Iterator<Item = (usize, u8, bool)> {
    with_places(value).map(|(at, byte, place)| (at, byte, place != Place::Outside))
}

/// The octets with their positions and places.
pub(super) fn with_places(value: &[u8]) -> impl Iterator<Item = (usize, u8, Place)> {
    let (mut is_quoted, mut depth, mut after_backslash) = (false, 0_usize, false);
    value.iter().enumerate().map(move |(at, &byte)| {
        let place = match (std::mem::take(&mut after_backslash), is_quoted, depth) {
            (true, ..) => Place::Escaped,
            (false, true, _) => Place::QuotedString,
            (false, false, 0) => Place::Outside,
            (false, false, _) => Place::Comment,
        };
        match byte {
            _ if place == Place::Escaped => {}
            b'\\' if place != Place::Outside => after_backslash = true,
            b'"' if depth == 0 => is_quoted = !is_quoted,
            b'(' if !is_quoted => depth += 1,
            b')' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        (at, byte, place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_read_differently_is_known() {
        for (value, expected) in [
            ("Ann <a@b.example>", false),
            ("\"Ann [IT]: <x> (y)\" <a@b.example> (x: y)", false),
            ("\"Ann\"\r\n <a@b.example>", false),
            ("[IT] <a@b.example>", true),
            ("IT: a@b.example;", true),
            ("\"Ann\r\n Lee\" <a@b.example>", true),
            ("(Ann\r\n Lee) <a@b.example>", true),
            ("\"Ann\" \u{c} <a@b.example>", true),
            ("Ann\r\n \t\r\n <a@b.example>", true),
            ("<a@b.example>\n ", true),
            ("<a(Ann)@b.example>", true),
            ("<a@b.example> (Ann)", false),
            ("a(Ann)@b.example", false),
            ("(Ann)a@b.example(IT)", false),
            ("\"Ann (x) a@b.example\" Q. Lee.<a@b.example>", false),
            ("\"Ann\"<a@b.example>", false),
            ("<\"a\"@b.example>", false),
            ("a@b.example (Ann (IT))", true),
            ("a@b.example (Ann :-\\))", true),
            ("a@b.example (Ann \"IT\")", true),
            ("\"Ann \\\"IT\\\"\" <a@b.example>", true),
            ("a@b.example <a@b.example>", true),
            ("(Ann)(IT) <a@b.example>", true),
            ("\"Ann\"(IT) <a@b.example>", true),
            ("(IT)\"Ann\" <a@b.example>", true),
            ("(IT) \"Ann\" <a@b.example>", true),
            ("\"Ann\" (IT) \"Lee\" <a@b.example>", true),
            ("\"Ann\" (IT) Lee <a@b.example>", false),
            ("\"Ann\"\"Lee\" <a@b.example>", true),
            ("Ann\"Lee\" <a@b.example>", true),
            ("\"Ann\"Lee <a@b.example>", true),
            ("Ann .Lee <a@b.example>", true),
            ("(Ann). <a@b.example>", true),
        ] {
            assert_eq!(is_read_differently(value.as_bytes()), expected, "{value:?}");
        }
    }
}
