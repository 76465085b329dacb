//! Tokens of HTML: text, tags, and elements in which tags are text.
//!
//! Takes HTML with LF as its line end; returns one token at a time, as the HTML standard's tokenizer (13.2.5)
//! finds them. Comments, declarations and attributes are skipped. html5ever's tokenizer compares each
//! attribute with all others of its tag, which takes minutes for a tag of a few MiB; nothing is stored here, so
//! that time is linear.
//!
//! Two deviations hide less than a browser does: a title, style and the like that is written `<title/>`, or
//! whose end tag is missing, has no content; and a script ends at its first end tag, even in a comment.

use memchr::{memchr, memchr_iter, memmem};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HtmlToken<'a> {
    /// Text with character references.
    Text(&'a str),
    /// A start tag; the name is as written.
    Start(&'a str),
    /// An end tag; the name is as written.
    End(&'a str),
    /// A whole element in which tags are text.
    Raw {
        /// In lower case.
        name: &'static str,
        content: &'a str,
    },
}

/// Elements in which tags are text up to the end tag.
const RAW: [&str; 8] = [
    "iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp",
];

/// An element in which everything is text up to the end of the document.
const PLAINTEXT: &str = "plaintext";

/// Splits HTML into tokens.
pub(super) struct HtmlTokens<'a> {
    rest: &'a str,
    /// For each of [`RAW`], true if the rest is known to contain no end tag. It is searched for only once.
    has_no_end: [bool; RAW.len()],
}

impl<'a> HtmlTokens<'a> {
    pub(super) fn of(html: &'a str) -> Self {
        Self {
            rest: html,
            has_no_end: [false; RAW.len()],
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Takes a tag whose name is at `start`; returns the name, and true if the tag ends in `/>`. A tag without
    /// an end extends to the end of the document and is dropped.
    fn take_tag(&mut self, start: usize) -> Option<(&'a str, bool)> {
        let tag = std::mem::take(&mut self.rest);
        let name_end = find_byte(tag.as_bytes(), start, ends_name);
        let (end, is_self_closing) = tag_end(tag.as_bytes(), name_end)?;
        self.rest = &tag[end..];
        Some((&tag[start..name_end], is_self_closing))
    }

    fn take_start_tag(&mut self) -> Option<HtmlToken<'a>> {
        let (written, is_self_closing) = self.take_tag(1)?;
        if written.eq_ignore_ascii_case(PLAINTEXT) {
            return Some(HtmlToken::Raw {
                name: PLAINTEXT,
                content: self.take(self.rest.len()),
            });
        }
        let raw = RAW.iter().position(|raw| raw.eq_ignore_ascii_case(written));
        let content = match raw {
            Some(raw) if !is_self_closing => self.take_content(raw),
            _ => None,
        };
        Some(match (raw, content) {
            (Some(raw), Some(content)) => HtmlToken::Raw {
                name: RAW[raw],
                content,
            },
            _ => HtmlToken::Start(written),
        })
    }

    /// Takes the content and the end tag of one of [`RAW`].
    fn take_content(&mut self, raw: usize) -> Option<&'a str> {
        if self.has_no_end[raw] {
            return None;
        }
        let Some(end) = find_end_tag(self.rest, RAW[raw]) else {
            self.has_no_end[raw] = true;
            return None;
        };
        let content = self.take(end);
        self.take_tag(2);
        Some(content)
    }

    /// Skips a comment or a declaration, of which the rest begins with `<!`.
    fn skip_declaration(&mut self) {
        match self.rest.strip_prefix("<!--") {
            Some(comment) => self.rest = &comment[comment_length(comment)..],
            None => self.skip_to_bracket(),
        }
    }

    /// Skips to the next `>`, which ends what the standard calls a bogus comment, and a document type.
    fn skip_to_bracket(&mut self) {
        let length = memchr(b'>', self.rest.as_bytes()).map_or(self.rest.len(), |at| at + 1);
        self.take(length);
    }
}

impl<'a> Iterator for HtmlTokens<'a> {
    type Item = HtmlToken<'a>;

    fn next(&mut self) -> Option<HtmlToken<'a>> {
        loop {
            match self.rest.as_bytes() {
                [] => return None,
                [b'<', b'a'..=b'z' | b'A'..=b'Z', ..] => return self.take_start_tag(),
                [b'<', b'/', b'a'..=b'z' | b'A'..=b'Z', ..] => {
                    return self.take_tag(2).map(|(name, _)| HtmlToken::End(name));
                }
                [b'<', b'!', ..] => self.skip_declaration(),
                [b'<', b'?', ..] | [b'<', b'/', _, ..] => self.skip_to_bracket(),
                [_, after @ ..] => {
                    let length = memchr(b'<', after).unwrap_or(after.len()) + 1;
                    return Some(HtmlToken::Text(self.take(length)));
                }
            }
        }
    }
}

/// Place of the first byte from `start` on that matches, or the end.
pub(super) fn find_byte(bytes: &[u8], start: usize, matches: impl Fn(u8) -> bool) -> usize {
    let rest = bytes[start..].iter();
    start + rest.take_while(|byte| !matches(**byte)).count()
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b' ')
}

pub(super) fn ends_name(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'/' | b'>')
}

/// Place after the tag whose name ends at `at`, and true if the tag ends in `/>`.
fn tag_end(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    loop {
        at = find_byte(bytes, at, |byte| !is_blank(byte));
        match &bytes[at..] {
            [] => return None,
            [b'>', ..] => return Some((at + 1, false)),
            [b'/', b'>', ..] => return Some((at + 2, true)),
            [b'/', ..] => at += 1,
            _ => at = attribute_end(bytes, at)?,
        }
    }
}

/// Place after the attribute at `at`. A `>` within quotes does not end the tag.
pub(super) fn attribute_end(bytes: &[u8], at: usize) -> Option<usize> {
    // The first character is part of the name, even if it is `=`.
    let name_end = find_byte(bytes, at + 1, |byte| ends_name(byte) || byte == b'=');
    let equals = find_byte(bytes, name_end, |byte| !is_blank(byte));
    if bytes.get(equals) != Some(&b'=') {
        return Some(name_end);
    }
    let value = find_byte(bytes, equals + 1, |byte| !is_blank(byte));
    match *bytes.get(value)? {
        quote @ (b'"' | b'\'') => {
            let length = memchr(quote, &bytes[value + 1..])?;
            Some(value + length + 2)
        }
        _ => Some(find_byte(bytes, value, |byte| {
            is_blank(byte) || byte == b'>'
        })),
    }
}

/// Length of a comment with its end, without `<!--`. One that nothing ends extends to the end of the document.
fn comment_length(comment: &str) -> usize {
    let bytes = comment.as_bytes();
    let mut brackets = memchr_iter(b'>', bytes);
    let end = brackets.find(|&at| {
        let before = &bytes[..at];
        matches!(before, b"" | b"-") || before.ends_with(b"--") || before.ends_with(b"--!")
    });
    end.map_or(comment.len(), |at| at + 1)
}

fn find_end_tag(html: &str, name: &str) -> Option<usize> {
    let bytes = html.as_bytes();
    memmem::find_iter(bytes, b"</").find(|at| {
        let after = &bytes[at + 2..];
        after.len() > name.len()
            && after[..name.len()].eq_ignore_ascii_case(name.as_bytes())
            && ends_name(after[name.len()])
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use html5ever::tendril::StrTendril;
    use html5ever::tokenizer::states::RawKind;
    use html5ever::tokenizer::{
        BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::mail::character_references::decode_references;

    /// Tags in lower case, and the text between them.
    #[derive(Debug, PartialEq, Eq)]
    enum Piece {
        Text(String),
        Start(String),
        End(String),
    }

    #[derive(Default)]
    struct Pieces(RefCell<Vec<Piece>>);

    impl Pieces {
        fn push(&self, piece: Piece) {
            self.0.borrow_mut().push(piece);
        }

        fn push_text(&self, text: &str) {
            if let Some(Piece::Text(before)) = self.0.borrow_mut().last_mut() {
                before.push_str(text);
                return;
            }
            if !text.is_empty() {
                self.push(Piece::Text(text.to_owned()));
            }
        }
    }

    impl TokenSink for Pieces {
        type Handle = ();

        fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
            match token {
                Token::CharacterTokens(text) => self.push_text(&text),
                Token::TagToken(tag) if tag.kind == TagKind::EndTag => {
                    self.push(Piece::End(tag.name.to_string()));
                }
                Token::TagToken(tag) => {
                    self.push(Piece::Start(tag.name.to_string()));
                    match &*tag.name {
                        "plaintext" => return TokenSinkResult::Plaintext,
                        _ if tag.self_closing => {}
                        "title" | "textarea" => return TokenSinkResult::RawData(RawKind::Rcdata),
                        // A script without the comments in it.
                        "iframe" | "noembed" | "noframes" | "script" | "style" | "xmp" => {
                            return TokenSinkResult::RawData(RawKind::Rawtext);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
            TokenSinkResult::Continue
        }
    }

    fn theirs(html: &str) -> Vec<Piece> {
        let input = BufferQueue::default();
        input.push_back(StrTendril::from(html));
        let tokenizer = Tokenizer::new(Pieces::default(), TokenizerOpts::default());
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        tokenizer.sink.0.into_inner()
    }

    fn ours(html: &str) -> Vec<Piece> {
        let pieces = Pieces::default();
        let push_decoded = |text: &str| {
            let mut decoded = String::new();
            decode_references(text, |c| decoded.push(c));
            pieces.push_text(&decoded);
        };
        for token in HtmlTokens::of(html) {
            match token {
                HtmlToken::Text(text) => push_decoded(text),
                HtmlToken::Start(name) => pieces.push(Piece::Start(name.to_ascii_lowercase())),
                HtmlToken::End(name) => pieces.push(Piece::End(name.to_ascii_lowercase())),
                HtmlToken::Raw { name, content } => {
                    pieces.push(Piece::Start(name.to_owned()));
                    match name {
                        "title" | "textarea" => push_decoded(content),
                        _ => pieces.push_text(content),
                    }
                    if name != PLAINTEXT {
                        pieces.push(Piece::End(name.to_owned()));
                    }
                }
            }
        }
        pieces.0.into_inner()
    }

    /// HTML in which every raw element has an end.
    fn html() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[a-c <>/!?=\"'&#;x0-9\n-]{0,6}",
            2 => "</?(p|B|td|pre|title|STYLE|script|xmp|textarea|iframe|plaintext)(a| ?/)?>",
            2 => "<[ap]( [a-c\"'=/<]{0,4}){0,3}[ =/]?>",
            1 => "<a (b|=) ?= ?(\"[a>&]{0,3}\"|'[b>]{0,3}'|[c/=\"']{0,3})/?>",
            1 => "<!-{0,4}[a <!-]{0,4}-{0,3}!?>",
            1 => "<!(doctype|DOCTYPE|\\[if|\\[CDATA\\[) [a\"']{0,3}>",
            1 => "&(amp|eacute|not|notin|nGt|#1[0-9]{0,8}|#x[0-9a-fA-F]{0,3}|lt|copy)[;a= ]{0,2}",
            1 => "[é€\u{1f600}]",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| {
            let ends = RAW.map(|name| format!("</{name}>")).concat();
            format!("{}\">'>-->{ends}", pieces.concat())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn tokens_are_those_of_the_standard(html in html()) {
            prop_assert_eq!(ours(&html), theirs(&html));
        }
    }

    #[test]
    fn a_raw_element_without_an_end_has_no_content() {
        for html in [
            "<title>a <b>",
            "<style>a <b>",
            "<title/>a <b>",
            "<title>a <b></title",
        ] {
            let tokens: Vec<_> = HtmlTokens::of(html).collect();
            assert!(matches!(tokens[0], HtmlToken::Start(_)), "{html}");
            assert_eq!(tokens[1], HtmlToken::Text("a "), "{html}");
        }
        let closed = HtmlTokens::of("<TITLE>a <b></TITLE x>").collect::<Vec<_>>();
        let (name, content) = ("title", "a <b>");
        assert_eq!(closed, [HtmlToken::Raw { name, content }]);
    }
}
