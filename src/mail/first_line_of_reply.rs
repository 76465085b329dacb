//! The first line of a reply to a verification mail, which has the answer.
//!
//! Takes a raw message; returns the first line of its text that is not blank, or of its HTML if it has no
//! text. A quotation or signature further down is not read.

use mail_parser::MessageParser;

use super::html_text::html_to_text;

/// Maximum number of octets that are read.
const MAX_READ: usize = 256 * 1024;
const MAX_LENGTH: usize = 200;

/// Returns None if there is no text.
#[must_use]
pub fn first_line(raw: &[u8]) -> Option<String> {
    let start = &raw[..raw.len().min(MAX_READ)];
    let message = MessageParser::default().parse(start)?;
    let text = message.text_bodies().find_map(|part| {
        part.is_text()
            .then(|| part.text_contents())
            .flatten()
            .and_then(|text| line(text.lines()))
            .filter(|_| !part.is_text_html())
    });
    text.or_else(|| {
        let html = message.html_bodies().find(|part| part.is_text_html())?;
        line(html_to_text(html.text_contents()?).lines())
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
}
