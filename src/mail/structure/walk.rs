//! The pass that finds the parts: from delimiter to delimiter, front to back.

use std::ops::Range;

use memchr::memmem;

use super::super::header::{
    Section, field_end, is_content_field, is_header_field, line_end, mbox_lines,
};
use super::super::parameters::is_parameter;
use super::super::transfer_encoding::TransferEncoding;
use super::{Kind, MAX_DEPTH, MAX_PARTS, MAX_PARTS_BELOW, Node, media};

/// Parts of a message. An mbox line above the header is not part of it.
pub(super) fn message(raw: &[u8]) -> Vec<Node> {
    let mut walk = Walk {
        raw,
        at: mbox_lines(raw),
        most: MAX_PARTS,
        nodes: Vec::new(),
        open: Vec::new(),
        boundaries: 0,
        unended: 0,
    };
    let found = walk.entity(None, false);
    walk.run(found);
    walk.nodes
}

/// Parts below the body of a multipart, after the multipart itself.
pub(super) fn multipart(body: &[u8], boundary: Option<Vec<u8>>, is_digest: bool) -> Vec<Node> {
    let mut walk = Walk {
        raw: body,
        at: 0,
        most: MAX_PARTS_BELOW,
        nodes: Vec::new(),
        open: Vec::new(),
        boundaries: 1,
        unended: 0,
    };
    let node = walk.push(None, false, 0..0);
    walk.nodes[node].kind = Kind::Multipart;
    walk.open.push(Open {
        node,
        boundary,
        is_digest,
    });
    let found = walk.next_delimiter_from_here();
    walk.run(found);
    walk.nodes
}

/// A part whose end was not found yet.
struct Open {
    node: usize,
    /// None for a message or a leaf, and after the closing delimiter: only the end of an outer part ends it.
    boundary: Option<Vec<u8>>,
    is_digest: bool,
}

/// State of one pass over the message.
struct Walk<'a> {
    raw: &'a [u8],
    at: usize,
    /// Maximum number of parts; the last one contains the remainder.
    most: usize,
    nodes: Vec<Node>,
    open: Vec<Open>,
    /// Number of elements of `open` with a boundary.
    boundaries: usize,
    /// End of the last search for an empty line that found none.
    unended: usize,
}

/// A line that is a delimiter.
struct Delimiter {
    /// Index in `open`.
    of: usize,
    is_last: bool,
    /// Start of the line, and of the next one.
    line: Range<usize>,
}

impl Walk<'_> {
    /// Proceeds from delimiter to delimiter.
    fn run(&mut self, mut found: Option<Delimiter>) {
        while let Some(delimiter) = found {
            self.close_down_to(delimiter.of + 1, delimiter.line.start);
            self.at = delimiter.line.end;
            let outer = &self.open[delimiter.of];
            let (parent, in_digest) = (outer.node, outer.is_digest);
            found = if delimiter.is_last {
                self.open[delimiter.of].boundary = None;
                self.boundaries -= 1;
                self.next_delimiter()
            } else if self.nodes.len() + 1 < self.most {
                self.entity(Some(parent), in_digest)
            } else {
                let rest = self.raw.len();
                self.push(
                    Some(parent),
                    false,
                    delimiter.line.start..delimiter.line.start,
                );
                if let Some(node) = self.nodes.last_mut() {
                    node.body = delimiter.line.start..rest;
                }
                None
            };
        }
        self.close_down_to(0, self.raw.len());
    }

    /// Reads a header, and those of messages nested directly in it, up to a body. Returns the delimiter that
    /// ends it.
    fn entity(&mut self, parent: Option<usize>, in_digest: bool) -> Option<Delimiter> {
        let (mut parent, mut in_digest) = (parent, in_digest);
        loop {
            let start = self.at;
            let delimiter = self.header();
            let end = delimiter.as_ref().map_or(self.at, |found| found.line.start);
            let node = self.push(parent, in_digest, start..end);
            self.nodes[node].body = self.at.min(self.raw.len())..self.raw.len();
            if let Some(delimiter) = delimiter {
                self.nodes[node].body = end..end;
                return Some(delimiter);
            }
            let section = Section::split(&self.raw[start..end], b"");
            let media = media(&section, in_digest);
            let has_room = self.open.len() < MAX_DEPTH && self.nodes.len() + 1 < self.most;
            if media.is_multipart() && has_room {
                if let Some(boundary) = media.boundary() {
                    self.boundaries += 1;
                    self.open.push(Open {
                        node,
                        boundary: Some(boundary),
                        is_digest: media.is("multipart/digest"),
                    });
                    self.nodes[node].kind = Kind::Multipart;
                    return self.next_delimiter_from_here();
                }
            } else if media.is_message() && has_room && TransferEncoding::of(&section).is_identity()
            {
                self.open.push(Open {
                    node,
                    boundary: None,
                    is_digest: false,
                });
                self.nodes[node].kind = Kind::Message;
                self.at += mbox_lines(&self.raw[self.at..]);
                (parent, in_digest) = (Some(node), false);
                continue;
            }
            self.open.push(Open {
                node,
                boundary: None,
                is_digest: false,
            });
            return self.next_delimiter_from_here();
        }
    }

    fn push(&mut self, parent: Option<usize>, in_digest: bool, header: Range<usize>) -> usize {
        let end = header.end;
        self.nodes.push(Node {
            header,
            body: end..end,
            parent,
            kind: Kind::Leaf,
            in_digest,
        });
        self.nodes.len() - 1
    }

    /// Proceeds to the start of the body: after an empty line, or to the first line that is not part of the header.
    /// Returns the delimiter, if one comes before a body.
    ///
    /// Most programs skip a line that is not a field. It is skipped here where it is hardly text: a parameter after a
    /// semicolon, where the blank of a fold is missing, and above a field that describes the content.
    fn header(&mut self) -> Option<Delimiter> {
        let mut skipped = self.at;
        let mut is_unfinished = false;
        while self.at < self.raw.len() {
            if let Some(delimiter) = self.delimiter(self.at) {
                return Some(delimiter);
            }
            let line = line_end(self.raw, self.at);
            if is_empty_line(&self.raw[self.at..line]) {
                self.at = line;
                return None;
            }
            let end = field_end(self.raw, self.at);
            let lines = &self.raw[self.at..end];
            let is_of_header = is_header_field(lines) || (is_unfinished && is_parameter(lines));
            is_unfinished = lines.trim_ascii_end().ends_with(b";");
            if !is_of_header && self.at >= skipped {
                skipped = self.last_content_field()?;
            }
            self.at = end;
        }
        None
    }

    /// Start of the last field between here and the empty line that describes the content. None if there is no such
    /// field, or no empty line before the next delimiter. Then the headers of parts within need not search for one: a
    /// delimiter of theirs would end the search even earlier.
    fn last_content_field(&mut self) -> Option<usize> {
        if self.at < self.unended {
            return None;
        }
        let mut found = None;
        let mut at = self.at;
        while at < self.raw.len() && self.delimiter(at).is_none() {
            let end = line_end(self.raw, at);
            let line = &self.raw[at..end];
            if is_empty_line(line) {
                return found;
            }
            if is_content_field(line) {
                found = Some(at);
            }
            at = end;
        }
        self.unended = at;
        None
    }

    /// The first delimiter, including the line that begins here.
    fn next_delimiter_from_here(&self) -> Option<Delimiter> {
        self.delimiter(self.at).or_else(|| self.next_delimiter())
    }

    /// The first delimiter after the line that begins here.
    fn next_delimiter(&self) -> Option<Delimiter> {
        if self.boundaries == 0 {
            return None;
        }
        // The line end before the current line counts, too.
        let from = self.at.saturating_sub(1);
        memmem::find_iter(&self.raw[from..], b"\n--")
            .find_map(|offset| self.delimiter(from + offset + 1))
    }

    /// Checks the line at `start` for a delimiter, innermost multipart first.
    fn delimiter(&self, start: usize) -> Option<Delimiter> {
        if self.boundaries == 0 {
            return None;
        }
        let token = self.raw[start..].strip_prefix(b"--")?;
        let end = line_end(self.raw, start);
        let token = token[..end - start - 2].trim_ascii_end();
        for (of, open) in self.open.iter().enumerate().rev() {
            let Some(boundary) = &open.boundary else {
                continue;
            };
            let Some(rest) = token.strip_prefix(boundary.as_slice()) else {
                continue;
            };
            if rest.is_empty() || rest == b"--" {
                return Some(Delimiter {
                    of,
                    is_last: !rest.is_empty(),
                    line: start..end,
                });
            }
        }
        None
    }

    /// Ends all open parts except the first `kept`, before the line that begins at `line`.
    fn close_down_to(&mut self, kept: usize, line: usize) {
        let before = &self.raw[..line];
        let before = if line < self.raw.len() {
            let before = before.strip_suffix(b"\n").unwrap_or(before);
            before.strip_suffix(b"\r").unwrap_or(before)
        } else {
            before
        };
        let count = self.nodes.len();
        for open in self.open.drain(kept..) {
            self.boundaries -= usize::from(open.boundary.is_some());
            let node = &mut self.nodes[open.node];
            node.body.end = before.len().max(node.body.start);
            // A multipart without parts is a leaf: its first part would be the next node.
            if open.node + 1 == count {
                node.kind = Kind::Leaf;
            }
        }
    }
}

fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}
