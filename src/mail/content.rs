//! Content of a message: its text, its HTML and its attachments.
//!
//! Takes a raw message; returns all inline text parts in order, and everything else as attachments. Of the
//! forms in a multipart/alternative, plain text goes to the text and HTML to the HTML. HTML without a plain
//! form also goes to the text, converted (as in RFC 8621 4.1.4), so that a reader of either one misses nothing.
//! A message within the message is an attachment. For the operators' page, lengths are bounded, and the text
//! contains nothing that moves a cursor or changes the direction of text; the HTML is not sanitized.

use super::body_charset::charset_of_body;
use super::charset::Label;
use super::content_parts::{ContentParts, disposition};
use super::html_attributes::has_more_attributes;
use super::html_tree::have_too_large_trees;
use super::structure::{Part, Structure};
use super::text::is_unsafe;

/// Maximum number of octets of encoded text that a page reads, and of text that it shows.
const MAX_READ: usize = 1024 * 1024;
const MAX_TEXT: usize = 64 * 1024;
/// Maximum number of octets of HTML, of which more than half is often not text.
const MAX_HTML: usize = 256 * 1024;
/// Maximum number of attributes of one tag of HTML that is shown. People's programs write no more than a few dozen.
const MAX_ATTRIBUTES: usize = 200;

/// A message as people read it.
#[derive(Debug, Default)]
pub struct Content {
    /// The inline text parts, joined by LF. Lines end in LF, without trailing blanks. None if there is no
    /// text.
    pub text: Option<String>,
    /// The inline HTML parts, likewise.
    pub html: Option<String>,
    pub attachments: Vec<Attachment>,
}

/// A part that is not text of the message itself.
#[derive(Debug)]
pub struct Attachment {
    /// The file name, decoded.
    pub name: Option<String>,
    /// `type/subtype` in lower case.
    pub content_type: String,
    /// Without angle brackets.
    pub content_id: Option<String>,
    /// Meant to be shown in the text (RFC 2183 2.1).
    pub is_inline: bool,
    /// Decoded.
    pub octets: Vec<u8>,
}

impl Content {
    /// Reads the whole message.
    #[must_use]
    pub fn of(raw: &[u8]) -> Self {
        let structure = Structure::of(raw);
        let parts = ContentParts::of(&structure, usize::MAX);
        let body = charset_of_body(&structure);
        let attachments = parts.attachments.iter();
        Self {
            text: join(parts.plain()),
            html: join(parts.html().map(str::to_owned)),
            attachments: attachments
                .map(|part| attachment(part, body.as_ref()))
                .collect(),
        }
    }
}

/// A line of the list of attachments.
#[derive(Debug)]
pub struct AttachmentSummary {
    /// The file name, decoded.
    pub name: Option<String>,
    /// `type/subtype` in lower case.
    pub content_type: String,
    /// Size of the decoded content, in octets.
    pub size: usize,
}

/// Maximum number of attachments that are listed.
const MAX_LISTED: usize = 100;

/// The attachments of a message, up to a maximum, in the order of [`find_attachment`]; and the number of those
/// beyond it.
#[must_use]
pub fn list_attachments(raw: &[u8]) -> (Vec<AttachmentSummary>, usize) {
    let structure = Structure::of(raw);
    let parts = ContentParts::of(&structure, 0);
    let body = charset_of_body(&structure);
    // Each is decoded on its own, so that only one is in memory.
    let listed = parts.attachments.iter().take(MAX_LISTED);
    let listed = listed.map(|part| {
        let attachment = attachment(part, body.as_ref());
        AttachmentSummary {
            name: attachment.name,
            content_type: attachment.content_type,
            size: attachment.octets.len(),
        }
    });
    let more = parts.attachments.len().saturating_sub(MAX_LISTED);
    (listed.collect(), more)
}

/// The attachment at this place of the list.
#[must_use]
pub fn find_attachment(raw: &[u8], place: usize) -> Option<Attachment> {
    let structure = Structure::of(raw);
    let parts = ContentParts::of(&structure, 0);
    let found = parts.attachments.get(place)?;
    let body = charset_of_body(&structure);
    Some(attachment(found, body.as_ref()))
}

/// Text of a message for operators; None if there is none.
#[must_use]
pub fn readable(raw: &[u8]) -> Option<String> {
    let structure = Structure::of(raw);
    let text = join(ContentParts::of(&structure, MAX_READ).plain())?;
    let mut shown = truncate(&text, MAX_TEXT);
    let is_cut = text
        .chars()
        .filter(|c| is_shown(*c))
        .map(char::len_utf8)
        .sum::<usize>()
        > shown.len();
    if is_cut {
        shown.push_str("\n[…]");
    }
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// The HTML of a message for operators.
#[derive(Debug, PartialEq, Eq)]
pub enum HtmlView {
    /// There is none.
    Missing,
    /// A tag has so many attributes that parsing them takes too long, or the elements are nested so deeply, or with
    /// such mistakes, that their tree takes too much time or memory.
    TooComplex,
    /// The parts, cut at the maximum length.
    Parts(Vec<String>),
}

/// Reads the HTML of a message.
#[must_use]
pub fn html(raw: &[u8]) -> HtmlView {
    let structure = Structure::of(raw);
    let mut room = MAX_HTML;
    let mut shown = Vec::new();
    for text in ContentParts::of(&structure, MAX_READ).html() {
        let text = truncate(text, room);
        room -= text.len();
        if !text.trim().is_empty() {
            shown.push(text);
        }
    }
    if shown.is_empty() {
        HtmlView::Missing
    } else if shown
        .iter()
        .any(|html| has_more_attributes(html, MAX_ATTRIBUTES))
        || have_too_large_trees(&shown)
    {
        HtmlView::TooComplex
    } else {
        HtmlView::Parts(shown)
    }
}

fn is_shown(c: char) -> bool {
    !is_unsafe(c) || matches!(c, '\n' | '\t')
}

/// Makes a text safe to show, and cuts it at `most` octets.
pub(super) fn truncate(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for c in text.chars().filter(|c| is_shown(*c)) {
        if shown.len() + c.len_utf8() > most {
            break;
        }
        shown.push(c);
    }
    shown
}

/// Joins the texts that are not blank, each on its own lines.
fn join(texts: impl Iterator<Item = String>) -> Option<String> {
    let texts: Vec<String> = texts
        .map(|text| tidy(&text))
        .filter(|text| !text.is_empty())
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// Normalizes line ends to LF; removes blanks at the end of a line and empty lines at the end.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for line in text.replace("\r\n", "\n").split('\n') {
        tidy.push_str(line.trim_end_matches([' ', '\t', '\r']));
        tidy.push('\n');
    }
    tidy.truncate(tidy.trim_end().len());
    tidy
}

/// Decodes an attachment. `body` is the charset of the message's text, for raw octets in the name.
fn attachment(part: &Part, body: Option<&Label>) -> Attachment {
    let media = part.media();
    let disposition = disposition(part, body);
    let content_id = part.section().first("Content-ID");
    Attachment {
        is_inline: disposition
            .as_ref()
            .is_some_and(|found| found.kind == "inline"),
        name: disposition
            .and_then(|found| found.filename)
            .or_else(|| media.name(body)),
        content_type: media.kind().to_owned(),
        content_id: content_id.and_then(super::text::message_id),
        octets: if part.is_message() {
            part.body().to_vec()
        } else {
            part.decode()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_text_of_a_message() {
        for (raw, shown) in [
            (
                "Subject: x\r\n\r\nHello,\r\n\r\nit burns.\r\n",
                Some("Hello,\n\nit burns."),
            ),
            ("Subject: x\r\n\r\n", None),
            ("", None),
            (
                "Content-Type: text/plain; charset=utf-8\r\n\r\na\u{202e}\u{61c}b\u{1b}[31mc\r\n",
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
    fn a_text_with_a_name_is_shown_in_an_alternative_or_if_no_text_precedes_it() {
        let image = ("image/jpeg; name=a.jpg\r\nContent-Disposition: inline", "x");
        let smil = ("application/smil; name=a.smil", "<smil/>");
        let (empty, unnamed) = (("text/plain", "\r\n"), ("text/plain", "one"));
        let markdown = ("text/x-markdown", "one");
        let named = ("text/plain; name=a.txt", "two");
        let inline = (
            "text/plain; name=a.txt\r\nContent-Disposition: inline; filename=a.txt",
            "two",
        );
        let html = (
            "text/html; name=a.html\r\nContent-Disposition: inline; filename=a.html",
            "<p>two</p>",
        );
        let attached = ("text/html\r\nContent-Disposition: attachment", "two");
        let csv = ("text/csv; name=a.csv\r\nContent-Disposition: inline", "x");
        for (kind, parts, expected) in [
            ("mixed", [image, inline], ("two", "", "image/jpeg")),
            ("mixed", [image, html], ("two", "<p>two</p>", "image/jpeg")),
            ("related", [smil, named], ("two", "", "application/smil")),
            ("mixed", [empty, inline], ("two", "", "")),
            ("mixed", [empty, attached], ("", "", "text/html")),
            ("mixed", [unnamed, inline], ("one", "", "text/plain")),
            ("mixed", [unnamed, html], ("one", "", "text/html")),
            ("mixed", [markdown, inline], ("one", "", "text/plain")),
            ("mixed", [inline, named], ("two", "", "text/plain")),
            ("alternative", [empty, html], ("two", "<p>two</p>", "")),
            ("alternative", [unnamed, html], ("one", "<p>two</p>", "")),
            ("alternative", [named, html], ("two", "<p>two</p>", "")),
            ("alternative", [unnamed, attached], ("one", "", "text/html")),
            ("alternative", [unnamed, csv], ("one", "", "text/csv")),
        ] {
            let part = |(fields, text): (&str, &str)| {
                format!("--b\r\nContent-Type: {fields}\r\n\r\n{text}\r\n")
            };
            let parts = parts.map(part).concat();
            let raw = format!("Content-Type: multipart/{kind}; boundary=b\r\n\r\n{parts}--b--\r\n");
            let content = Content::of(raw.as_bytes());
            let files: Vec<_> = content
                .attachments
                .iter()
                .map(|one| one.content_type.as_str())
                .collect();
            let found = (
                content.text.as_deref().unwrap_or_default(),
                content.html.as_deref().unwrap_or_default(),
                files.join(","),
            );
            let (text, html, types) = expected;
            assert_eq!(found, (text, html, types.to_owned()), "{raw}");
            let (listed, _) = list_attachments(raw.as_bytes());
            let listed: Vec<_> = listed.iter().map(|one| one.content_type.as_str()).collect();
            assert_eq!(listed, files, "{raw}");
        }
    }

    #[test]
    fn html_is_returned_only_if_there_is_some() {
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
            let expected = shown.map_or(HtmlView::Missing, |html: &str| {
                HtmlView::Parts(vec![html.to_owned()])
            });
            assert_eq!(html(raw.as_bytes()), expected, "{raw:?}");
        }
        let long = format!(
            "Content-Type: text/html\r\n\r\n{}",
            "<p>x</p>".repeat(100_000)
        );
        let HtmlView::Parts(parts) = html(long.as_bytes()) else {
            panic!("HTML is missing");
        };
        assert!(parts[0].len() <= MAX_HTML);
    }

    #[test]
    fn html_with_too_many_attributes_is_not_shown() {
        let of = |count: usize| {
            let attributes: Vec<_> = (0..count).map(|number| format!("a{number}")).collect();
            let tag = format!("<p {}>one</p>", attributes.join(" "));
            let raw = format!("Content-Type: text/html\r\n\r\n{tag}");
            (html(raw.as_bytes()), HtmlView::Parts(vec![tag]))
        };
        let (found, whole) = of(MAX_ATTRIBUTES);
        assert_eq!(found, whole);
        assert_eq!(of(MAX_ATTRIBUTES + 1).0, HtmlView::TooComplex);
        assert_eq!(of(100_000).0, HtmlView::TooComplex);
    }

    #[test]
    fn html_with_too_large_a_tree_is_not_shown() {
        for (unit, count, is_shown) in [
            ("<div>", 500, true),
            ("<div>", 600, false),
            ("<table><tr><td>", 100_000, false),
            ("<p><b><i><u>", 50_000, false),
        ] {
            let raw = format!("Content-Type: text/html\r\n\r\nHello{}", unit.repeat(count));
            let is_found = matches!(html(raw.as_bytes()), HtmlView::Parts(_));
            assert_eq!(is_found, is_shown, "{count} times {unit}");
            let text = readable(raw.as_bytes()).expect("text");
            assert!(text.starts_with("Hello"), "{text:.80}");
        }
    }

    #[test]
    fn a_long_message_is_truncated() {
        let raw = format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(100_000));
        let text = readable(raw.as_bytes()).expect("text");
        assert!(text.len() < MAX_TEXT + 10 && text.ends_with("[…]"));
    }
}
