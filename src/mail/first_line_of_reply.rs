//! The first line of a reply to a verification mail, which has the answer.
//!
//! Takes a raw message; returns the first line of its text that is not blank, as operators read it, or of its HTML if
//! it has no text. A quotation or signature further down is not read.

use super::content_parts::ContentParts;
use super::html_text::html_to_text;
use super::structure::Structure;

/// Maximum number of octets that are read.
const MAX_READ: usize = 256 * 1024;
const MAX_LENGTH: usize = 200;

/// Returns None if there is no text.
#[must_use]
pub fn first_line(raw: &[u8]) -> Option<String> {
    let structure = Structure::of(&raw[..raw.len().min(MAX_READ)]);
    let parts = ContentParts::of(&structure, MAX_READ);
    // The HTML form of a plain text is read only if the plain text has nothing but invisible characters.
    parts
        .plain()
        .find_map(|text| line(text.lines()))
        .or_else(|| {
            parts
                .html()
                .find_map(|html| line(html_to_text(html).lines()))
        })
}

fn line<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    lines
        .map(|line| line.trim_matches(is_blank))
        .find(|line| !line.is_empty())
        .map(|line| line.chars().take(MAX_LENGTH).collect())
}

/// White space and zero-width characters: zero-width space, byte order mark and the like.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_is_not_blank() {
        let html = "Content-Type: text/html; charset=utf-8\r\n\r\n";
        let both = "Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n\r\n";
        for (raw, expected) in [
            ("A: b\r\n\r\nyes\r\n\r\n> Hello\r\n".to_owned(), Some("yes")),
            ("A: b\r\n\r\n\r\n \t\r\n  Yes. \r\nmore\r\n".to_owned(), Some("Yes.")),
            ("A: b\r\n\r\n> yes\r\n".to_owned(), Some("> yes")),
            ("A: b\r\n\r\n\r\n".to_owned(), None),
            (
                "Content-Type: text/plain; charset=utf-8\r\n\r\n\u{a0}\u{200b}\r\n\u{feff}yes\u{a0}\r\n".to_owned(),
                Some("yes"),
            ),
            (format!("{html}<div><br></div><div> <b>Ye</b>s </div><div>no</div>"), Some("Yes")),
            (format!("{html}<html><head><title>t</title><style>p {{}}</style></head><body><p>&nbsp;</p><p>ja</p>"), Some("ja")),
            (format!("{html}<div>yes<div>-- </div>Ann</div>"), Some("yes")),
            (format!("{html}<blockquote>yes</blockquote>"), Some("yes")),
            (format!("{html}<head><!-- a ---><title>no</title>yes<br class=\"\">Ann"), Some("yes")),
            (
                format!("{both}no\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>yes</p>\r\n--x--\r\n"),
                Some("no"),
            ),
            (
                format!("{both}\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>yes</p>\r\n--x--\r\n"),
                Some("yes"),
            ),
        ] {
            assert_eq!(first_line(raw.as_bytes()).as_deref(), expected, "{raw}");
        }
    }

    /// However the text is encoded, and whatever stands around it.
    #[test]
    fn the_answer_is_read_as_operators_read_it() {
        let base64 =
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        let quoted = "Content-Type: text/plain; charset=iso-8859-1\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\n";
        let flowed = "Content-Type: text/plain; format=flowed\r\n\r\n";
        let japanese = "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n";
        let html_in_koi8 = "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        let mixed = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n";
        let attached =
            "Content-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment\r\n\r\nno\r\n";
        let message = "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nno\r\n";
        let alternative = "Content-Type: multipart/alternative; boundary=y\r\n\r\n--y\r\n";
        for (raw, expected) in [
            (format!("{base64}U8OtLg0KDQo+IG5vDQo=\r\n"), "S\u{ed}."),
            (format!("{quoted}S=ED\r\n\r\n=3E no\r\n"), "S\u{ed}"),
            (
                format!("{japanese}\u{1b}$B$O$$\u{1b}(B\r\n"),
                "\u{306f}\u{3044}",
            ),
            (
                format!("{flowed}yes \r\n\r\nAnn\r\n> no \r\n> more\r\n"),
                "yes",
            ),
            (format!("{flowed}yes \r\n> no\r\n"), "yes"),
            (format!("{flowed}yes \r\n-- \r\nAnn\r\n"), "yes"),
            (
                format!("{flowed}yes \r\nif it is \r\nfree\r\n"),
                "yes if it is free",
            ),
            // <meta charset="koi8-r"><p>да
            (
                format!("{html_in_koi8}PG1ldGEgY2hhcnNldD0ia29pOC1yIj48cD7EwQ==\r\n"),
                "\u{434}\u{430}",
            ),
            (
                format!("{mixed}{attached}--x\r\n\r\nyes\r\n--x--\r\n"),
                "yes",
            ),
            (
                format!("{mixed}{message}--x\r\n\r\nyes\r\n--x--\r\n"),
                "yes",
            ),
            (
                format!(
                    "{mixed}{alternative}Content-Type: text/html\r\n\r\n<p>yes\r\n--y--\r\n--x\r\n\r\nno\r\n--x--\r\n"
                ),
                "yes",
            ),
            (
                format!(
                    "{alternative}Content-Type: text/plain; charset=utf-8\r\n\r\n\u{200b}\r\n--y\r\nContent-Type: text/html\r\n\r\n<p>yes\r\n--y--\r\n"
                ),
                "yes",
            ),
            // Other programs find no part in it.
            (
                "Content-Type: multipart/mixed; boundary=x\r\n\r\nyes\r\n".to_owned(),
                "yes",
            ),
        ] {
            assert_eq!(
                first_line(raw.as_bytes()).as_deref(),
                Some(expected),
                "{raw}"
            );
        }
        let only_files = format!("{mixed}{attached}--x\r\n{message}--x--\r\n");
        assert_eq!(first_line(only_files.as_bytes()), None);
    }
}
