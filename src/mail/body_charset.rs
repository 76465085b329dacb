//! The charset that the text of a message declares, in a Content-Type or in HTML.
//!
//! Takes a message or a part; returns a label. ASCII does not count: programs put it on text of any charset.

use super::charset::{Label, decode};
use super::header::Section;
use super::media::Media;
use super::structure::Structure;

/// Maximum number of octets in which HTML declares its charset, as in browsers; and of their encoded form.
const MAX_SEARCHED: usize = 1024;
const MAX_ENCODED: usize = 4 * 1024;

/// Charset of the body, or of the first text in it that declares one: for raw octets elsewhere in the message.
pub(super) fn body_charset(message: &Section) -> Option<Label> {
    let media = message.media();
    declared_in(message, &media)
        .or_else(|| first_declared(&Structure::below(message.body, &media)?))
}

/// [`body_charset`] of a message whose parts are known, so that they are not searched for again.
pub(super) fn charset_of_body(structure: &Structure) -> Option<Label> {
    let message = structure.root().section();
    let media = message.media();
    declared_in(&message, &media)
        .or_else(|| media.is_multipart().then(|| first_declared(structure))?)
}

fn first_declared(structure: &Structure) -> Option<Label> {
    structure.leaves().find_map(|part| {
        let media = part.media();
        let is_text = media.kind().starts_with("text/");
        is_text.then(|| declared_in(&part.section(), &media))?
    })
}

fn declared_in(section: &Section, media: &Media) -> Option<Label> {
    label_of(media).or_else(|| {
        let is_html = media.is("text/html");
        is_html.then(|| declared_in_html(&section.decode(MAX_ENCODED)))?
    })
}

/// The charset of a Content-Type, except ASCII.
pub(super) fn label_of(media: &Media) -> Option<Label> {
    media.charset().filter(|label| !label.is_ascii())
}

/// The charset that HTML declares near its beginning. UTF-16 and the like do not count, as in browsers: the
/// declaration has been read as ASCII.
pub(super) fn declared_in_html(octets: &[u8]) -> Option<Label> {
    const KEY: &str = "charset=";
    let start = octets[..octets.len().min(MAX_SEARCHED)].to_ascii_lowercase();
    let at = memchr::memmem::find(&start, KEY.as_bytes())?;
    let name = start[at + KEY.len()..].trim_ascii_start();
    let name = name
        .strip_prefix(b"\"")
        .or(name.strip_prefix(b"'"))
        .unwrap_or(name);
    let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(*byte);
    let length = name.iter().take_while(is_name).count();
    let label = Label::parse(&name[..length])?;
    (decode(KEY.as_bytes(), Some(&label)) == KEY).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_charset_that_is_not_ascii_counts() {
        let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        let ascii = "--b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nx\r\n";
        let cyrillic = "--b\r\nContent-Type: text/html; charset=windows-1251\r\n\r\nx\r\n";
        let picture = "--b\r\nContent-Type: image/png; charset=koi8-r\r\n\r\nx\r\n";
        let html = "Content-Type: text/html\r\n\r\n<meta charset=\"gbk\">";
        let encoded = "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n\
            PG1ldGEgY2hhcnNldD0iZ2JrIj4=";
        for (raw, expected) in [
            (
                "Content-Type: text/plain; charset=koi8-r\r\n\r\nx".to_owned(),
                Some("koi8-r"),
            ),
            (
                format!("{multipart}{ascii}{picture}{cyrillic}--b--"),
                Some("windows-1251"),
            ),
            (format!("{multipart}{ascii}--b--"), None),
            (
                format!("{multipart}{ascii}--b\r\n{html}\r\n--b--"),
                Some("gbk"),
            ),
            (html.to_owned(), Some("gbk")),
            (encoded.to_owned(), Some("gbk")),
            (
                html.replace("html\r", "html; charset=us-ascii\r"),
                Some("gbk"),
            ),
            (html.replace("html\r", "html; charset=big5\r"), Some("big5")),
            (html.replace("html\r", "plain\r"), None),
            (html.replace("gbk", "utf-16"), None),
            ("Subject: x\r\n\r\nx".to_owned(), None),
        ] {
            let found = body_charset(&Section::of(raw.as_bytes()));
            let expected = expected.and_then(|name| Label::parse(name.as_bytes()));
            assert_eq!(found, expected, "{raw}");
            let structure = Structure::of(raw.as_bytes());
            assert_eq!(charset_of_body(&structure), expected, "{raw}");
        }
    }
}
