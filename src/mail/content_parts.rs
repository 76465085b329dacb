//! Parts of a message, sorted into texts and attachments.
//!
//! Takes the structure of a message; returns its inline texts, decoded, and everything else.

use std::collections::{BTreeSet, HashSet};

use super::charset::{self, Label};
use super::html_text::html_to_text;
use super::media::{Disposition, Media};
use super::structure::{Part, Structure};

/// Parts of the message itself, sorted by use.
pub(super) struct ContentParts<'a, 's> {
    texts: Vec<TextPart<'a, 's>>,
    pub(super) attachments: Vec<Part<'a, 's>>,
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

impl<'a, 's> ContentParts<'a, 's> {
    /// Sorts the parts, and decodes at most `room` octets of text in total.
    pub(super) fn of(structure: &'s Structure<'a>, mut room: usize) -> Self {
        let mut parts = Self {
            texts: Vec::new(),
            attachments: Vec::new(),
            alternatives: HashSet::new(),
            plain_branches: BTreeSet::new(),
        };
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
                    let branches = parts.branches_around(&part);
                    parts.plain_branches.extend(branches);
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

    /// Alternatives around a part, each with its direct child that contains the part.
    fn branches_around(&self, part: &Part<'a, 's>) -> Vec<(usize, usize)> {
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
        self.branches_around(part)
            .into_iter()
            .any(|(alternative, branch)| {
                let all = (alternative, usize::MIN)..=(alternative, usize::MAX);
                let mut plain = self.plain_branches.range(all);
                plain.any(|(_, plain)| *plain != branch)
            })
    }

    pub(super) fn plain(&self) -> impl Iterator<Item = String> {
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

    pub(super) fn html(&self) -> impl Iterator<Item = &str> {
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

pub(super) fn disposition(part: &Part) -> Option<Disposition> {
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
