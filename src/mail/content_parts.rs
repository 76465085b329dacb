//! Parts of a message, sorted into texts and attachments.
//!
//! Takes the structure of a message; returns its inline texts, decoded, and everything else.

use std::collections::{BTreeSet, HashSet};

use super::body_charset::{declared_in_html, label_of};
use super::charset::{self, Label};
use super::flowed::join_paragraphs;
use super::html_text::html_to_text;
use super::media::{Disposition, Media};
use super::structure::{Part, Structure};

/// Subtypes of text that are files even without a name: they are made for programs, for a few mail programs besides
/// another form, or for a report.
const FILES: [&str; 15] = [
    "calendar",
    "css",
    "csv",
    "directory",
    "javascript",
    "rfc822-headers",
    "rtf",
    "tab-separated-values",
    "vcard",
    "watch-html",
    "x-amp-html",
    "x-vcalendar",
    "x-vcard",
    "x-watch-html",
    "xml",
];

/// Parts of the message itself, sorted by use.
pub(super) struct ContentParts<'a, 's> {
    texts: Vec<TextPart<'a, 's>>,
    pub(super) attachments: Vec<Part<'a, 's>>,
    /// Indices of the multipart/alternative parts.
    alternatives: HashSet<usize>,
    /// Pairs of such a part and a branch of it that contains a text.
    text_branches: BTreeSet<(usize, usize)>,
    /// Those of the pairs with plain text, if it was decoded.
    plain_branches: BTreeSet<(usize, usize)>,
}

/// An inline text.
struct TextPart<'a, 's> {
    part: Part<'a, 's>,
    is_html: bool,
    text: String,
}

/// Use of a leaf.
enum Use {
    /// Plain text or HTML.
    Text,
    /// Text of another type without a file name.
    OtherText,
    /// Plain text with a file name after another text.
    NamedText,
    File,
}

impl<'a, 's> ContentParts<'a, 's> {
    /// Sorts the parts, and decodes at most `room` octets of text in total.
    pub(super) fn of(structure: &'s Structure<'a>, mut room: usize) -> Self {
        let mut parts = Self {
            texts: Vec::new(),
            attachments: Vec::new(),
            alternatives: HashSet::new(),
            text_branches: BTreeSet::new(),
            plain_branches: BTreeSet::new(),
        };
        let mut others = Vec::new();
        let mut named = Vec::new();
        let mut has_text = false;
        let mut has_slides = false;
        // The first part of a multipart/related is its text (RFC 2387 3.2).
        let mut first_of_related = None;
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
            let media = part.media();
            if !part.is_leaf() {
                if media.is("multipart/alternative") {
                    parts.alternatives.insert(part.index());
                } else if media.is("multipart/related") {
                    first_of_related = Some(part.index() + 1);
                }
                continue;
            }
            has_slides |= media.is("application/smil");
            let is_form = part
                .parent()
                .is_some_and(|around| parts.alternatives.contains(&around.index()));
            let may_have_name = is_form || !has_text || first_of_related == Some(part.index());
            let found = Use::of(&part, &media, may_have_name);
            // Gateways for MMS put a picture or a blank text before the text, which has a name.
            let is_text = matches!(found, Use::Text | Use::OtherText);
            if is_text && !part.body().trim_ascii().is_empty() {
                has_text = true;
            }
            match found {
                Use::Text => parts.push_text(part, &media, &mut room),
                Use::OtherText => others.push(part),
                Use::NamedText => named.push(part),
                Use::File => parts.attachments.push(part),
            }
        }
        // The slides of an MMS have a text each, with a name.
        if has_slides {
            for part in named {
                parts.push_text(part, &part.media(), &mut room);
            }
        } else {
            parts.attachments.extend(named);
        }
        parts.push_others(others, &mut room);
        parts
    }

    fn push_text(&mut self, part: Part<'a, 's>, media: &Media, room: &mut usize) {
        let is_html = media.is("text/html");
        let text = decode(&part, media, room);
        let branches = self.branches_around(&part);
        if !is_html && !text.trim().is_empty() {
            self.plain_branches.extend(branches.iter().copied());
        }
        // The use of a part must not depend on the text for which there is room.
        if !part.body().trim_ascii().is_empty() {
            self.text_branches.extend(branches);
        }
        self.texts.push(TextPart {
            part,
            is_html,
            text,
        });
    }

    /// Adds texts of other types, which are read as plain text (RFC 2046 4.1.4). A second form of a text is a file.
    fn push_others(&mut self, others: Vec<Part<'a, 's>>, room: &mut usize) {
        for part in others {
            if self.has_other_form(&part, &self.text_branches) {
                self.attachments.push(part);
            } else {
                self.push_text(part, &part.media(), room);
            }
        }
        self.texts.sort_by_key(|one| one.part.index());
        self.attachments.sort_by_key(Part::index);
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

    /// True if one of these branches, other than that of the part, belongs to an alternative around the part.
    fn has_other_form(&self, part: &Part<'a, 's>, forms: &BTreeSet<(usize, usize)>) -> bool {
        self.branches_around(part)
            .into_iter()
            .any(|(alternative, branch)| {
                let all = (alternative, usize::MIN)..=(alternative, usize::MAX);
                forms.range(all).any(|(_, other)| *other != branch)
            })
    }

    pub(super) fn plain(&self) -> impl Iterator<Item = String> {
        self.texts
            .iter()
            .filter(|one| !(one.is_html && self.has_other_form(&one.part, &self.plain_branches)))
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

impl Use {
    /// A text is a file if its disposition says so (as does an unknown disposition, RFC 2183 2.8), or if it has a
    /// name, except where a text may have one: as a form in an alternative, as the first part of a multipart/related,
    /// or with no text before it.
    fn of(part: &Part, media: &Media, may_have_name: bool) -> Self {
        let disposition = disposition(part, None);
        let is_named = media.name(None).is_some()
            || disposition
                .as_ref()
                .is_some_and(|found| found.filename.is_some());
        if disposition.is_some_and(|found| !matches!(found.kind.as_str(), "inline" | "")) {
            return Self::File;
        }
        match media.kind().strip_prefix("text/") {
            Some("plain" | "html") if !is_named || may_have_name => Self::Text,
            Some("plain") => Self::NamedText,
            Some(subtype) if !is_named && !FILES.contains(&subtype) => Self::OtherText,
            _ => Self::File,
        }
    }
}

/// Parses the disposition of a part. `body` is the charset of the message's text, for raw octets in the file name.
pub(super) fn disposition(part: &Part, body: Option<&Label>) -> Option<Disposition> {
    let field = part.section().first("Content-Disposition")?;
    Some(Disposition::parse(field.value, body))
}

/// Decodes the text of a part in its charset, whatever its type and disposition. Each paragraph of a text whose lines
/// flow is one line.
#[must_use]
pub fn decode_text(part: &Part) -> String {
    let mut room = usize::MAX;
    decode(part, &part.media(), &mut room)
}

fn decode(part: &Part, media: &Media, room: &mut usize) -> String {
    let encoded = part.body();
    let encoded = &encoded[..encoded.len().min(*room)];
    *room -= encoded.len();
    let octets = super::transfer_encoding::decode(encoded, part.transfer_encoding());
    let label = label_of(media).or_else(|| {
        let may_declare = media.is("text/html") && std::str::from_utf8(&octets).is_err();
        may_declare.then(|| declared_in_html(&octets))?
    });
    let text = charset::decode_body(&octets, label.as_ref());
    if media.is_flowed() {
        join_paragraphs(&text, media.deletes_space())
    } else {
        text
    }
}

#[cfg(test)]
mod tests;
