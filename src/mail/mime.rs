//! Media type, parts and decoded body of a [`Section`]. Its parts are one level of the
//! [`Structure`](super::structure::Structure), so that the caller counts the levels.

use super::header::Section;
use super::media::Media;
use super::structure::Structure;
use super::transfer_encoding::{self, TransferEncoding};

impl<'a> Section<'a> {
    pub(super) fn media(&self) -> Media {
        self.first("Content-Type")
            .and_then(|field| Media::parse(field.value))
            .unwrap_or_default()
    }

    /// Direct parts of a multipart; none of anything else.
    pub(super) fn parts(&self, media: &Media) -> impl Iterator<Item = Self> + use<'a> {
        let structure = Structure::below(self.body, media);
        let parts: Vec<_> = structure
            .iter()
            .flat_map(|structure| structure.root().children().map(|part| part.section()))
            .collect();
        parts.into_iter()
    }

    /// The first `most` octets of the body, without the transfer encoding.
    pub(super) fn decode(&self, most: usize) -> Vec<u8> {
        let body = &self.body[..self.body.len().min(most)];
        transfer_encoding::decode(body, TransferEncoding::of(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(raw: &str) -> Vec<String> {
        let entity = Section::of(raw.as_bytes());
        let media = entity.media();
        entity
            .parts(&media)
            .map(|part| part.media().kind().to_owned())
            .collect()
    }

    #[test]
    fn parts_are_found_with_and_without_an_end() {
        let head = "Content-Type: Multipart/Mixed; boundary=\"x y\"\r\n\r\npreamble\r\n";
        let two = "--x y\r\nContent-Type: text/html\r\n\r\na --x y b\r\n--x y  \r\n\r\nplain\r\n";
        assert_eq!(kinds(&format!("{head}{two}")), ["text/html", "text/plain"]);
        assert_eq!(
            kinds(&format!("{head}{two}--x y--\r\n--x y\r\n\r\nepilogue")),
            ["text/html", "text/plain"]
        );
        assert!(kinds("Content-Type: multipart/mixed\r\n\r\n--\r\n\r\n").is_empty());
        assert!(kinds("Content-Type: text/plain; boundary=x\r\n\r\n--x\r\n\r\n").is_empty());
    }

    #[test]
    fn a_body_is_decoded_up_to_a_bound() {
        for (encoding, body, text) in [
            ("base64", "aGVsbG8=", "hello"),
            ("Quoted-Printable", "h=65llo", "hello"),
            ("8bit", "hello world", "hello world"),
        ] {
            let raw = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{body}");
            assert_eq!(Section::of(raw.as_bytes()).decode(64), text.as_bytes());
        }
        assert_eq!(Section::of(b"\r\nhello world").decode(5), b"hello");
    }
}
