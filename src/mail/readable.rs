//! What a message says, for an operator's eye.
//!
//! In: a raw message. Out: its first text part, decoded, of bounded length, with nothing in it that
//! turns the direction of text or moves a cursor; a message of HTML alone is given as the text in it.
//! Or its first part of HTML, as it was written but for such characters: whoever shows it has to take
//! out what acts.

use mail_parser::{MessageParser, PartType};

/// So much of a message is looked at, and so much text is shown.
const MOST_READ: usize = 1024 * 1024;
const MOST_SHOWN: usize = 64 * 1024;
/// Octets of HTML, of which more than half is often not text.
const MOST_HTML: usize = 256 * 1024;

/// None where there is no text.
#[must_use]
pub fn readable(raw: &[u8]) -> Option<String> {
    let start = &raw[..raw.len().min(MOST_READ)];
    let message = MessageParser::default().parse(start)?;
    let text = message.body_text(0)?;
    let mut shown = String::new();
    for c in text
        .chars()
        .filter(|c| !super::text::is_unsafe(*c) || matches!(c, '\n' | '\t'))
    {
        if shown.len() + c.len_utf8() > MOST_SHOWN {
            shown.push_str("\n[…]");
            break;
        }
        shown.push(c);
    }
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// None where no part of it is HTML. A long one ends where the bound is.
#[must_use]
pub fn html(raw: &[u8]) -> Option<String> {
    let start = &raw[..raw.len().min(MOST_READ)];
    let message = MessageParser::default().parse(start)?;
    let written = message.html_bodies().find_map(|part| match &part.body {
        PartType::Html(text) => Some(text),
        _ => None,
    })?;
    let mut kept = String::new();
    for c in written
        .chars()
        .filter(|c| !super::text::is_unsafe(*c) || matches!(c, '\n' | '\t'))
    {
        if kept.len() + c.len_utf8() > MOST_HTML {
            break;
        }
        kept.push(c);
    }
    (!kept.trim().is_empty()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_message() {
        for (raw, shown) in [
            (
                "Subject: x\r\n\r\nHello,\r\n\r\nit burns.\r\n",
                Some("Hello,\n\nit burns."),
            ),
            ("Subject: x\r\n\r\n", None),
            ("", None),
            (
                "Content-Type: text/plain; charset=utf-8\r\n\r\na\u{202e}b\u{1b}[31mc\r\n",
                Some("ab[31mc"),
            ),
        ] {
            assert_eq!(readable(raw.as_bytes()).as_deref(), shown, "{raw:?}");
        }
        let html = "Content-Type: text/html\r\n\r\n<script>x()</script><p>Hello</p>";
        let text = readable(html.as_bytes()).expect("text");
        assert!(text.contains("Hello") && !text.contains('<'), "{text:?}");
    }

    #[test]
    fn html_is_given_only_where_there_is_some() {
        for (raw, shown) in [
            ("Subject: x\r\n\r\nHello\r\n", None),
            ("", None),
            (
                "Content-Type: text/html; charset=utf-8\r\n\r\n<p>a\u{202e}b</p>",
                Some("<p>ab</p>"),
            ),
            (
                "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n\
                 --x\r\n\r\nHello\r\n--x\r\nContent-Type: text/html\r\n\r\n<b>Hello</b>\r\n--x--\r\n",
                Some("<b>Hello</b>"),
            ),
        ] {
            assert_eq!(html(raw.as_bytes()).as_deref(), shown, "{raw:?}");
        }
        let long = format!(
            "Content-Type: text/html\r\n\r\n{}",
            "<p>x</p>".repeat(100_000)
        );
        assert!(html(long.as_bytes()).expect("some").len() <= MOST_HTML);
    }

    #[test]
    fn a_long_message_is_cut() {
        let raw = format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(100_000));
        let text = readable(raw.as_bytes()).expect("text");
        assert!(text.len() < MOST_SHOWN + 10 && text.ends_with("[…]"));
    }
}
