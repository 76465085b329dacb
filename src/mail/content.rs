//! Content of a message: its text, its HTML and its attachments.
//!
//! Takes a raw message; returns all inline text parts in order, and everything else as attachments. Of the
//! forms in a multipart/alternative, plain text goes to the text and HTML to the HTML. HTML without a plain
//! form also goes to the text, converted (as in RFC 8621 4.1.4), so that a reader of either one misses nothing.
//! A message within the message is an attachment. For the operators' page, lengths are bounded, and the text
//! contains nothing that moves a cursor or changes the direction of text; the HTML is not sanitized.

use std::collections::{BTreeSet, HashSet};

use super::charset::{self, Label};
use super::html_text::html_to_text;
use super::media::{Disposition, Media};
use super::structure::{Part, Structure};
use super::text::is_unsafe;

/// Maximum number of octets of encoded text that a page reads, and of text that it shows.
const MAX_READ: usize = 1024 * 1024;
const MAX_TEXT: usize = 64 * 1024;
/// Maximum number of octets of HTML, of which more than half is often not text.
const MAX_HTML: usize = 256 * 1024;

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
        let parts = Parts::of(&structure, usize::MAX);
        Self {
            text: join(parts.plain()),
            html: join(parts.html().map(str::to_owned)),
            attachments: parts.attachments.iter().map(attachment).collect(),
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
    let parts = Parts::of(&structure, 0);
    // Each is decoded on its own, so that only one is in memory.
    let listed = parts.attachments.iter().take(MAX_LISTED).map(attachment);
    let listed = listed.map(|attachment| AttachmentSummary {
        name: attachment.name,
        content_type: attachment.content_type,
        size: attachment.octets.len(),
    });
    let more = parts.attachments.len().saturating_sub(MAX_LISTED);
    (listed.collect(), more)
}

/// The attachment at this place of the list.
#[must_use]
pub fn find_attachment(raw: &[u8], place: usize) -> Option<Attachment> {
    let structure = Structure::of(raw);
    let parts = Parts::of(&structure, 0);
    parts.attachments.get(place).map(attachment)
}

/// Text of a message for operators; None if there is none.
#[must_use]
pub fn readable(raw: &[u8]) -> Option<String> {
    let structure = Structure::of(raw);
    let text = join(Parts::of(&structure, MAX_READ).plain())?;
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

/// HTML parts of a message, if any, cut at the maximum length.
#[must_use]
pub fn html(raw: &[u8]) -> Vec<String> {
    let structure = Structure::of(raw);
    let mut room = MAX_HTML;
    let mut shown = Vec::new();
    for text in Parts::of(&structure, MAX_READ).html() {
        let text = truncate(text, room);
        room -= text.len();
        if !text.trim().is_empty() {
            shown.push(text);
        }
    }
    shown
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

/// Parts of the message itself, sorted by use.
struct Parts<'a, 's> {
    texts: Vec<TextPart<'a, 's>>,
    attachments: Vec<Part<'a, 's>>,
    /// Indices of the multipart/alternative parts.
    alternatives: HashSet<usize>,
    /// Pairs of such a part and a branch of it that contains plain text.
    plain_branches: BTreeSet<(usize, usize)>,
}

/// An inline text.
struct TextPart<'a, 's> {
    part: Part<'a, 's>,
    is_html: bool,
    text: String,
}

impl<'a, 's> Parts<'a, 's> {
    /// Sorts the parts, and decodes at most `room` octets of text in total.
    fn of(structure: &'s Structure<'a>, room: usize) -> Self {
        let mut parts = Self {
            texts: Vec::new(),
            attachments: Vec::new(),
            alternatives: HashSet::new(),
            plain_branches: BTreeSet::new(),
        };
        let mut room = room;
        let mut is_first = true;
        // The parts of an attached message are consecutive.
        let mut within: Option<usize> = None;
        for part in structure.parts() {
            if let Some(message) = within {
                if part.ancestors().any(|around| around.index() == message) {
                    continue;
                }
                within = None;
            }
            if part.is_message() {
                within = Some(part.index());
                parts.attachments.push(part);
                continue;
            }
            if !part.is_leaf() {
                if part.media().is("multipart/alternative") {
                    parts.alternatives.insert(part.index());
                }
                continue;
            }
            let media = part.media();
            let is_html = media.is("text/html");
            if !(is_html || media.is("text/plain")) || is_file(&part, &media, is_first) {
                parts.attachments.push(part);
            } else {
                let text = decode(&part, &media, is_html, &mut room);
                if !is_html && !text.trim().is_empty() {
                    parts.record_plain(&part);
                }
                parts.texts.push(TextPart {
                    part,
                    is_html,
                    text,
                });
            }
            is_first = false;
        }
        parts
    }

    /// Records the branches of alternatives that contain a plain text.
    fn record_plain(&mut self, part: &Part<'a, 's>) {
        let branches = self.alternatives(part);
        self.plain_branches.extend(branches);
    }

    /// Alternatives around a part, each with its direct child that contains the part.
    fn alternatives(&self, part: &Part<'a, 's>) -> Vec<(usize, usize)> {
        if self.alternatives.is_empty() {
            return Vec::new();
        }
        let branches = std::iter::once(*part).chain(part.ancestors());
        let pairs = branches.zip(part.ancestors());
        pairs
            .map(|(branch, around)| (around.index(), branch.index()))
            .filter(|(around, _)| self.alternatives.contains(around))
            .collect()
    }

    /// True if an HTML part has a plain form.
    fn is_represented(&self, part: &Part<'a, 's>) -> bool {
        self.alternatives(part)
            .into_iter()
            .any(|(alternative, branch)| {
                let all = (alternative, usize::MIN)..=(alternative, usize::MAX);
                let mut plain = self.plain_branches.range(all);
                plain.any(|(_, plain)| *plain != branch)
            })
    }

    fn plain(&self) -> impl Iterator<Item = String> {
        self.texts
            .iter()
            .filter(|one| !(one.is_html && self.is_represented(&one.part)))
            .map(|one| {
                if one.is_html {
                    html_to_text(&one.text)
                } else {
                    one.text.clone()
                }
            })
    }

    fn html(&self) -> impl Iterator<Item = &str> {
        let html = self.texts.iter().filter(|one| one.is_html);
        html.map(|one| one.text.as_str())
    }
}

/// True for a text that is a file: its disposition says so (as does an unknown disposition, RFC 2183 2.8), or
/// it has a name, no inline disposition and does not open the message.
fn is_file(part: &Part, media: &Media, is_first: bool) -> bool {
    match disposition(part) {
        Some(disposition) => match disposition.kind.as_str() {
            "inline" => false,
            "" => disposition.filename.is_some() && !is_first,
            _ => true,
        },
        None => media.name().is_some() && !is_first,
    }
}

fn disposition(part: &Part) -> Option<Disposition> {
    let field = part.section().first("Content-Disposition")?;
    Some(Disposition::parse(field.value))
}

/// Decodes the text of a part in its charset, whatever its type and disposition.
#[must_use]
pub fn decode_text(part: &Part) -> String {
    let media = part.media();
    let mut room = usize::MAX;
    decode(part, &media, media.is("text/html"), &mut room)
}

fn decode(part: &Part, media: &Media, is_html: bool, room: &mut usize) -> String {
    let encoded = part.body();
    let encoded = &encoded[..encoded.len().min(*room)];
    *room -= encoded.len();
    let octets = super::transfer_encoding::decode(encoded, part.transfer_encoding());
    let label = media
        .charset()
        .or_else(|| is_html.then(|| stated_in_html(&octets))?);
    charset::decode(&octets, label.as_ref())
}

/// The charset that an HTML text declares, searched near its beginning as browsers do.
fn stated_in_html(octets: &[u8]) -> Option<Label> {
    const LOOKED_AT: usize = 1024;
    if std::str::from_utf8(octets).is_ok() {
        return None;
    }
    let start = octets[..octets.len().min(LOOKED_AT)].to_ascii_lowercase();
    let at = memchr::memmem::find(&start, b"charset=")?;
    let name = start[at + 8..].trim_ascii_start();
    let name = name
        .strip_prefix(b"\"")
        .or(name.strip_prefix(b"'"))
        .unwrap_or(name);
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(*byte);
    let length = name.iter().take_while(is_name).count();
    Label::parse(&name[..length])
}

fn attachment(part: &Part) -> Attachment {
    let media = part.media();
    let disposition = disposition(part);
    let content_id = part.section().first("Content-ID");
    Attachment {
        is_inline: disposition
            .as_ref()
            .is_some_and(|found| found.kind == "inline"),
        name: disposition
            .and_then(|found| found.filename)
            .or_else(|| media.name()),
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
            assert_eq!(html(raw.as_bytes()), Vec::from_iter(shown), "{raw:?}");
        }
        let long = format!(
            "Content-Type: text/html\r\n\r\n{}",
            "<p>x</p>".repeat(100_000)
        );
        assert!(html(long.as_bytes())[0].len() <= MAX_HTML);
    }

    #[test]
    fn a_long_message_is_truncated() {
        let raw = format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(100_000));
        let text = readable(raw.as_bytes()).expect("text");
        assert!(text.len() < MAX_TEXT + 10 && text.ends_with("[…]"));
    }
}
