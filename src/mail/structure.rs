//! The MIME parts of a message (RFC 2046 5.1), the same for all uses: the JSON of a webhook, the operators'
//! page, reports and replies.
//!
//! Takes the raw message; returns its parts in document order, each with the octets of its header and its body.
//! Nothing is decoded or copied. A delimiter begins at the start of a line and fills the line except for
//! trailing blanks; a delimiter of an outer multipart ends all parts within. Every octet of a body is read
//! once, from front to back ([`walk`]); after a line in a header that is not a field, those up to the next empty line
//! are read up to three times more. Content nested deeper than [`MAX_DEPTH`] or after [`MAX_PARTS`] is one
//! leaf, so time and memory are proportional to the size of the message.

mod walk;

use std::ops::Range;

use super::header::Section;
use super::media::Media;
use super::transfer_encoding::{self, TransferEncoding};

/// Maximum nesting of multiparts and messages, like Postfix's `mime_nesting_limit`.
pub const MAX_DEPTH: usize = 100;
/// Maximum number of parts of one message, multiparts included.
pub const MAX_PARTS: usize = 10_000;
/// Maximum number of parts below one body while facts are read, within the memory reserved for every message.
const MAX_PARTS_BELOW: usize = 1_000;

/// The MIME tree of a message.
#[derive(Debug)]
pub struct Structure<'a> {
    raw: &'a [u8],
    nodes: Vec<Node>,
}

/// One part in a [`Structure`].
#[derive(Clone, Copy)]
pub struct Part<'a, 's> {
    structure: &'s Structure<'a>,
    index: usize,
}

#[derive(Debug)]
struct Node {
    header: Range<usize>,
    body: Range<usize>,
    /// None for the message itself.
    parent: Option<usize>,
    kind: Kind,
    /// Without a Content-Type it is a message (RFC 2046 5.1.5).
    in_digest: bool,
}

/// Role of a part in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Has content and no parts.
    Leaf,
    /// Has parts.
    Multipart,
    /// Has one part: the message in it.
    Message,
}

impl<'a> Structure<'a> {
    /// Parses a message. An mbox line above the header is not part of it.
    #[must_use]
    pub fn of(raw: &'a [u8]) -> Self {
        Self {
            raw,
            nodes: walk::message(raw),
        }
    }

    /// Parses the parts below the body of a multipart, up to [`MAX_PARTS_BELOW`]. The root has no header
    /// here.
    pub(super) fn below(body: &'a [u8], media: &Media) -> Option<Self> {
        let boundary = Some(media.boundary().filter(|_| media.is_multipart())?);
        Some(Self {
            raw: body,
            nodes: walk::multipart(body, boundary, media.is("multipart/digest")),
        })
    }

    /// All parts in document order; the first is the message itself.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a, '_>> {
        (0..self.nodes.len()).map(|index| self.part(index))
    }

    /// The parts with content, including those within attached messages.
    pub fn leaves(&self) -> impl Iterator<Item = Part<'a, '_>> {
        self.parts().filter(Part::is_leaf)
    }

    /// The message itself.
    pub(super) fn root(&self) -> Part<'a, '_> {
        self.part(0)
    }

    fn part(&self, index: usize) -> Part<'a, '_> {
        Part {
            structure: self,
            index,
        }
    }
}

impl<'a, 's> Part<'a, 's> {
    fn node(&self) -> &'s Node {
        &self.structure.nodes[self.index]
    }

    /// Position in document order.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Position of the encoded body in the raw message, without the line end before the delimiter (RFC 2046
    /// 5.1.1).
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.node().body.clone()
    }

    /// The encoded body.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        &self.structure.raw[self.range()]
    }

    pub(super) fn section(&self) -> Section<'a> {
        Section::split(&self.structure.raw[self.node().header.clone()], self.body())
    }

    /// The Content-Type. A multipart without parts is plain text, so that nobody can hide text in it.
    #[must_use]
    pub fn media(&self) -> Media {
        let media = media(&self.section(), self.node().in_digest);
        if self.is_leaf() && media.is_multipart() {
            return Media::default();
        }
        media
    }

    #[must_use]
    pub fn transfer_encoding(&self) -> TransferEncoding {
        TransferEncoding::of(&self.section())
    }

    /// The body without its transfer encoding.
    #[must_use]
    pub fn decode(&self) -> Vec<u8> {
        transfer_encoding::decode(self.body(), self.transfer_encoding())
    }

    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.node().kind == Kind::Leaf
    }

    /// True for a message/rfc822 with parts.
    pub(super) fn is_message(&self) -> bool {
        self.node().kind == Kind::Message
    }

    pub(super) fn parent(&self) -> Option<Part<'a, 's>> {
        self.node().parent.map(|index| self.structure.part(index))
    }

    /// The multiparts and messages around it, the innermost first.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = Part<'a, 's>> {
        std::iter::successors(self.parent(), Part::parent)
    }

    /// True if it belongs to an attached message, not to the message itself.
    #[must_use]
    pub fn is_within_message(&self) -> bool {
        self.ancestors().any(|part| part.is_message())
    }

    /// Direct children.
    pub(super) fn children(self) -> impl Iterator<Item = Part<'a, 's>> {
        let after = self.index + 1;
        self.structure.nodes[after..]
            .iter()
            .enumerate()
            .take_while(move |(_, node)| node.parent.is_some_and(|parent| parent >= self.index))
            .filter(move |(_, node)| node.parent == Some(self.index))
            .map(move |(offset, _)| self.structure.part(after + offset))
    }
}

fn media(section: &Section, in_digest: bool) -> Media {
    if in_digest && section.first("Content-Type").is_none() {
        return Media::message();
    }
    section.media()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each leaf as `type:body`, indented by its depth.
    fn leaves(raw: &str) -> Vec<String> {
        let structure = Structure::of(raw.as_bytes());
        structure
            .leaves()
            .map(|part| {
                let depth = " ".repeat(part.ancestors().count());
                let body = String::from_utf8_lossy(part.body());
                format!("{depth}{}:{body}", part.media().kind())
            })
            .collect()
    }

    fn leaves_of_mixed(body: &str) -> Vec<String> {
        leaves(&format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n{body}"
        ))
    }

    #[test]
    fn a_delimiter_is_a_whole_line() {
        for (body, expected) in [
            (
                "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
                &["one", "two"][..],
            ),
            (
                "preamble\r\n--b\r\n\r\none\r\n--b--\r\nepilogue\r\n--b\r\n\r\nx",
                &["one"],
            ),
            ("--b\n\none\n--b\n\ntwo\n--b--\n", &["one", "two"]),
            ("--b \t \r\n\r\none\r\n--b-- \r\n", &["one"]),
            (
                "--b\r\n\r\na --b\r\n--bc\r\n --b\r\n--b-\r\n--b---\r\n--b x\r\n--b--",
                &["a --b\r\n--bc\r\n --b\r\n--b-\r\n--b---\r\n--b x"],
            ),
            ("--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n", &["one", "two\r\n"]),
            ("--b\r\n\r\none\r\n--b", &["one", ""]),
            ("--b\r\n\r\none\r\n\r\n--b--", &["one\r\n"]),
            ("--b\r\n\r\n--b\r\n\r\n--b--", &["", ""]),
            ("--b\r\n--b\r\nX: y\r\n--b--", &["", ""]),
            ("--b\r\nno field\r\nmore\r\n--b--", &["no field\r\nmore"]),
            ("--b\r\nX: y\r\nno field\r\n--b--", &["no field"]),
            ("no delimiter\r\n--c\r\n", &["no delimiter\r\n--c\r\n"]),
            ("--b--\r\n", &["--b--\r\n"]),
            ("a\r--b\r\rb", &["a\r--b\r\rb"]),
        ] {
            let found = leaves_of_mixed(body);
            let texts: Vec<_> = found
                .iter()
                .map(|leaf| leaf.split_once("text/plain:").expect("plain text").1)
                .collect();
            assert_eq!(texts, expected, "{body:?}");
        }
    }

    #[test]
    fn a_line_that_is_not_a_field_is_part_of_a_header_where_it_is_hardly_text() {
        let of_part = |part: &str| leaves_of_mixed(&format!("--b\r\n{part}\r\n--b--"));
        for line in [
            "no field",
            "two words: x",
            ": x",
            "n\u{e9}: x",
            "\u{c}",
            "a\r\nb",
        ] {
            let content = "Content-Type: text/html\r\n\r\nh";
            for above in ["", "X: y\r\n"] {
                let found = of_part(&format!("{above}{line}\r\nX-Y: z\r\n{content}"));
                assert_eq!(found, [" text/html:h"], "{above:?} {line:?}");
            }
            let found = leaves(&format!("X: y\r\n{line}\r\n{content}"));
            assert_eq!(found, ["text/html:h"], "{line:?}");
            // A text without an empty line above it.
            let found = of_part(&format!("X: y\r\n{line}\r\nZ: z\r\n\r\nh"));
            assert_eq!(found, [format!(" text/plain:{line}\r\nZ: z\r\n\r\nh")]);
        }
        for (part, expected) in [
            // The blank of a fold is missing.
            (
                "Content-Type: text/html;\r\ncharset=utf-8\r\n\r\nh",
                "text/html:h",
            ),
            (
                "Content-Type: text/html;\r\n a=b; \r\nc=d;\r\ne=f\r\n\r\nh",
                "text/html:h",
            ),
            (
                "Content-Type: text/html\r\ncharset=utf-8\r\n\r\nh",
                "text/html:charset=utf-8\r\n\r\nh",
            ),
            // Text after a semicolon, without an empty line above it.
            (
                "Content-Type: text/html;\r\nHello Ann,\r\n\r\nh",
                "text/html:Hello Ann,\r\n\r\nh",
            ),
            (
                "Content-Type: text/html;\r\n \r\nHello;\r\na and b = c",
                "text/html:Hello;\r\na and b = c",
            ),
            (
                "Content-Type: text/html;\r\ncharset = utf-8;\r\na and b = c",
                "text/html:a and b = c",
            ),
            // A fold before the colon.
            ("Content-Type\r\n : text/html\r\n\r\nh", "text/html:h"),
            // No header ends after it.
            (
                "no field\r\nContent-Type: text/html",
                "text/plain:no field\r\nContent-Type: text/html",
            ),
            (
                "no field\r\n\r\nContent-Type: text/html\r\n",
                "text/plain:no field\r\n\r\nContent-Type: text/html\r\n",
            ),
        ] {
            assert_eq!(of_part(part), [format!(" {expected}")], "{part:?}");
        }
    }

    #[test]
    fn nested_headers_without_an_end_take_linear_time() {
        let begin = std::time::Instant::now();
        let level =
            |n| format!("Content-Type: multipart/mixed; boundary={n}\r\nno field\r\n--{n}\r\n");
        let levels: String = (0..MAX_DEPTH).map(level).collect();
        let text = "a\r\n".repeat(4_000_000);
        let found = leaves_of_mixed(&format!("--b\r\n{levels}{text}"));
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with(&text));
        // A search through the text at every level would take minutes.
        let limit = std::time::Duration::from_secs(30);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }

    #[test]
    fn an_outer_delimiter_ends_all_within() {
        let inner =
            "--b\r\nContent-Type: multipart/alternative; boundary=b1\r\n\r\n--b1\r\n\r\np\r\n";
        for (end, rest) in [("--b1--\r\n", ""), ("", ""), ("--b1\r\n", "  text/plain:")] {
            let found = leaves_of_mixed(&format!("{inner}{end}--b\r\n\r\nafter\r\n--b--\r\n"));
            let mut expected = vec!["  text/plain:p"];
            expected.extend(Some(rest).filter(|rest| !rest.is_empty()));
            expected.push(" text/plain:after");
            assert_eq!(found, expected, "{end:?}");
        }
        // The inner multipart has the boundary of the outer one: the inner one ends.
        let same = leaves_of_mixed(
            "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
             --b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
        );
        assert_eq!(same, ["  text/plain:one", " text/plain:two"]);
    }

    #[test]
    fn attached_messages_are_parsed() {
        let found = leaves_of_mixed(
            "--b\r\nContent-Type: message/rfc822\r\n\r\n\
             Subject: x\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n\
             --c\r\nContent-Type: text/html\r\n\r\nh\r\n--b\r\n\r\nafter\r\n--b--\r\n",
        );
        assert_eq!(found, ["   text/html:h", " text/plain:after"]);
        let encoded = leaves_of_mixed(
            "--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n\
             U3ViamVjdDogeAoKeAo=\r\n--b--\r\n",
        );
        assert_eq!(encoded, [" message/rfc822:U3ViamVjdDogeAoKeAo="]);
        let digest = leaves(
            "Content-Type: multipart/digest; boundary=b\r\n\r\n\
             --b\r\n\r\nSubject: x\r\n\r\none\r\n--b\r\nContent-Type: text/plain\r\n\r\ntwo\r\n--b--",
        );
        assert_eq!(digest, ["  text/plain:one", " text/plain:two"]);
    }

    #[test]
    fn content_beyond_the_limits_is_one_leaf() {
        let level = |n| format!("Content-Type: multipart/mixed; boundary={n}\r\n\r\n--{n}\r\n");
        let deep: String = (0..MAX_DEPTH * 3).map(level).collect();
        let found = leaves(&format!("{deep}\r\nthe end"));
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with("the end"), "{found:?}");

        let wide = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b\r\n\r\nthe end",
            "--b\r\n\r\n".repeat(MAX_PARTS * 2)
        );
        let found = leaves(&wide);
        assert_eq!(found.len(), MAX_PARTS - 1);
        assert!(found.last().expect("many").ends_with("the end"));
    }

    #[test]
    fn ranges_are_places_in_the_raw_message() {
        let raw =
            b"From x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--";
        let structure = Structure::of(raw);
        let part = structure.leaves().next().expect("a part");
        assert_eq!(
            (&raw[part.range()], part.body()),
            (&b"one"[..], &b"one"[..])
        );
    }
}
